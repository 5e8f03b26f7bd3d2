import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { endOfPath, pathsOf } from "../../common/certificate_path.ts";
import { ClientError, messageOf, oneLine } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { IdentityParts } from "./identity_files.ts";

/** What a handshake takes, as PEM. */
export interface CheckedIdentity {
  readonly key: string;
  /** The client's certificate, then those between it and the CA, if any. */
  readonly cert: string;
  readonly ca: string;
  /** The certificate's common name: the user's name on the server. */
  readonly name: string;
  /** When the certificate expires, in milliseconds since 1970-01-01 UTC. */
  readonly expiresAtMs: number;
  /** The certificate's subject and file, for messages. */
  readonly holder: string;
  /** The file of the CA, for messages. */
  readonly caFile: string;
  /** The file of the key. */
  readonly keyFile: string;
}

/**
 * Checks the client's own certificate as the server will.
 *
 * TLS does not tell a client why its certificate was rejected (on its side the handshake is complete
 * by then), so problems are found here, before a connection is made.
 *
 * @param parts The texts and the names of the files they came from.
 * @param nowMs The time, in milliseconds since 1970-01-01 UTC.
 * @throws {ClientError} A file is damaged, the key does not match, or the certificate has expired, is
 * not yet valid, or was not signed by the CA.
 */
export function checkIdentity(parts: IdentityParts, nowMs: number): CheckedIdentity {
  const certificates = parts.certificates.map((pem) => readCertificate(pem, parts.certFile));
  const { certificate, key } = findPair(parts, certificates);
  const others = certificates.filter((other) => other !== certificate);
  const authorities = parts.authorities?.map((pem) => readCertificate(pem, parts.caFile)) ??
    others;
  if (authorities.length === 0) {
    throw unusable(`Cannot find a CA certificate in ${parts.caFile}: name it with --ca FILE`);
  }
  const holder = `${oneLine(certificate.subject)}, ${parts.certFile}`;
  checkDates(certificate, { holder, nowMs });
  const intermediates = others.filter((other) => other.ca && other.subject !== other.issuer);
  const path = pathTo(certificate, { holder, authorities, intermediates, parts });
  const [early] = path.filter(({ validFrom }) => Date.parse(validFrom) > nowMs);
  const endsAtMs = endOfPath(path);
  if (early !== undefined || endsAtMs < nowMs) {
    const problem = early === undefined
      ? `expired at ${new Date(endsAtMs).toISOString()}`
      : `is not valid before ${new Date(early.validFrom).toISOString()}`;
    throw unusable(
      `Cannot use the certificate (${holder}): a CA that leads from it to the one in ` +
        `${parts.caFile} ${problem}. Request a certificate with the CAs of today`,
    );
  }
  return {
    key,
    cert: [certificate, ...intermediates].join(""),
    ca: authorities.join(""),
    expiresAtMs: Math.min(Date.parse(certificate.validTo), endOfPath(path.slice(0, -1))),
    name: /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? "",
    holder,
    caFile: parts.caFile,
    keyFile: parts.keyFile,
  };
}

function unusable(message: string): ClientError {
  return new ClientError(`${message}.`, ExitStatus.refused);
}

function readCertificate(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throw unusable(
      `Cannot read the certificate in ${file}: it is damaged (${messageOf(error)}). ` +
        `Get a new copy of it`,
    );
  }
}

function readKey(pem: string, file: string): KeyObject {
  if (/BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED/.test(pem)) {
    throw unusable(
      `Cannot use the key in ${file}: it is encrypted. ` +
        `Decrypt it with "openssl pkey -in ${file} -out NEWFILE" and name that one`,
    );
  }
  try {
    return createPrivateKey(pem);
  } catch (error) {
    throw unusable(
      `Cannot read the key in ${file}: it is damaged (${messageOf(error)}). ` +
        `Get a new copy of it, or a new identity`,
    );
  }
}

/** The certificate and the key that belong together; a bundle may hold them in any order. */
function findPair(
  parts: IdentityParts,
  certificates: readonly X509Certificate[],
): { certificate: X509Certificate; key: string } {
  for (const key of parts.keys) {
    const keyObject = readKey(key, parts.keyFile);
    const certificate = certificates.find((candidate) => matches(candidate, keyObject));
    if (certificate !== undefined) return { certificate, key };
  }
  const [first] = certificates;
  throw unusable(
    `Cannot use the certificate in ${parts.certFile} (${oneLine(first?.subject ?? "")}): ` +
      `the key in ${parts.keyFile} does not match it. Name the key that was issued with it`,
  );
}

function matches(certificate: X509Certificate, key: KeyObject): boolean {
  try {
    return certificate.checkPrivateKey(key);
  } catch {
    // Keys of different algorithms cannot be compared: they do not match.
    return false;
  }
}

function checkDates(
  certificate: X509Certificate,
  { holder, nowMs }: { holder: string; nowMs: number },
): void {
  const from = new Date(certificate.validFrom);
  const to = new Date(certificate.validTo);
  if (nowMs > to.getTime()) {
    throw unusable(
      `Cannot use the certificate (${holder}): it expired at ${to.toISOString()}. ` +
        `Request a new one`,
    );
  }
  if (nowMs < from.getTime()) {
    throw unusable(
      `Cannot use the certificate (${holder}): it is not valid before ${from.toISOString()}. ` +
        `Check this machine's clock, or wait`,
    );
  }
}

/** The CAs from the one that signed the certificate to one that is trusted; the one that lasts longest. */
function pathTo(
  certificate: X509Certificate,
  { holder, authorities, intermediates, parts: { certFile, caFile } }: {
    holder: string;
    authorities: readonly X509Certificate[];
    intermediates: readonly X509Certificate[];
    parts: Pick<IdentityParts, "certFile" | "caFile">;
  },
): X509Certificate[] {
  const maySign = (each: X509Certificate) => each.ca;
  const [path] = pathsOf(certificate, { authorities, intermediates, maySign })
    .sort((one, other) => endOfPath(other) - endOfPath(one));
  if (path !== undefined) return path;
  throw unusable(
    `Cannot use the certificate (${holder}): the CA in ${caFile} ` +
      `(${authorities.map((authority) => oneLine(authority.subject)).join("; ")}) did not sign ` +
      `it; ${
        oneLine(certificate.issuer)
      } did. Name the right CA, add the certificates of the CAs ` +
      `between them to ${certFile}, or request a certificate from this one`,
  );
}
