/** The server's certificate files: read, and checked before they are used. */
import { createPrivateKey, type X509Certificate } from "node:crypto";
import { messageOf } from "../errors.ts";
import { endOfPath, isSignedBy, pathsOf } from "../../common/certificate_path.ts";
import { isIntermediateFor, maySignBelow } from "./signing.ts";
import { certificatesIn, isFor, keyWeakness, signatureWeakness } from "./x509.ts";

/** The server's certificate, its key and the CAs, as PEM texts that fit together. */
export interface ServerIdentity {
  ca: string;
  cert: string;
  key: string;
  /** The certificates in `ca` that are valid now. */
  authorities: X509Certificate[];
  /** The CAs in `cert` between the certificate and one in `ca`. */
  intermediates: X509Certificate[];
  /** When the certificates expire. */
  expiries: Expiry[];
}

/** When something expires. */
export interface Expiry {
  file: string;
  /** In milliseconds since 1970-01-01 UTC. */
  atMs: number;
}

/** Where the files are. */
export interface IdentityFiles {
  ca: string;
  cert: string;
  key: string;
}

/** The texts of the files, in the order of {@linkcode IdentityFiles}. */
type IdentityTexts = readonly [ca: string, cert: string, key: string];

/**
 * Reads the files and checks that they fit together. A set of files that changes while it is read
 * does not fit together, and is refused.
 *
 * @throws {Error} One line that names the file, what is wrong with it and what to do.
 */
export async function readServerIdentity(
  files: IdentityFiles,
  nowMs: number = Date.now(),
): Promise<ServerIdentity> {
  return checkIdentity(await readTexts(files), { files, nowMs });
}

/** Reads the files again and again, and checks them where the answer may be another one. */
export class IdentityReader {
  readonly #files: IdentityFiles;
  /** What was found to be good last, and when. */
  #good: { readonly texts: IdentityTexts; identity: ServerIdentity; atMs: number } | undefined;

  constructor(files: IdentityFiles) {
    this.#files = files;
  }

  /** As {@linkcode readServerIdentity} does; what has not changed is the same object. */
  async read(nowMs: number): Promise<ServerIdentity> {
    const texts = await readTexts(this.#files);
    const good = this.#good;
    if (
      good !== undefined && texts.every((text, index) => text === good.texts[index]) &&
      // A certificate may have ended; or the clock was set back, to before one that has not begun.
      nowMs >= good.atMs && good.identity.expiries.every(({ atMs }) => nowMs < atMs)
    ) return good.identity;
    const identity = checkIdentity(texts, { files: this.#files, nowMs });
    this.#good = { texts, identity, atMs: nowMs };
    return identity;
  }
}

async function readTexts(files: IdentityFiles): Promise<IdentityTexts> {
  return await Promise.all([
    readPem(files.ca, "--ca"),
    readPem(files.cert, "--cert"),
    readPem(files.key, "--key"),
  ]);
}

function checkIdentity(
  [ca, cert, key]: IdentityTexts,
  { files, nowMs }: { files: IdentityFiles; nowMs: number },
): ServerIdentity {
  const authorities = parseAuthorities(ca, files.ca, nowMs);
  const [certificate, ...others] = parseCertificates(cert, files.cert);
  const privateKey = parseKey(key, files.key);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(
      `the key ${files.key} does not fit the certificate ${files.cert}; give the pair that was issued together`,
    );
  }
  // Before the signature is looked at: the runtime cannot verify every weak kind.
  requireStrong(certificate, files.cert);
  const path = pathOf(certificate, { others, authorities, files, nowMs });
  requireServerCertificate(certificate, files.cert);
  requireValid(certificate, { file: files.cert, nowMs });
  const expiries = [
    ...authorities.map(({ validTo }) => ({ file: files.ca, atMs: Date.parse(validTo) })),
    { file: files.cert, atMs: endOfPath([certificate, ...path.slice(0, -1)]) },
  ];
  return { ca, cert, key, authorities, intermediates: path.slice(0, -1), expiries };
}

/**
 * The CAs from the one that signed the certificate to one that is trusted; of several such paths the one
 * that is valid for the longest time.
 *
 * @throws {Error} There is none, or none that is valid now.
 */
function pathOf(
  certificate: X509Certificate,
  { others, authorities, files, nowMs }: {
    readonly others: readonly X509Certificate[];
    readonly authorities: readonly X509Certificate[];
    readonly files: IdentityFiles;
    readonly nowMs: number;
  },
): X509Certificate[] {
  const [path] = pathsOf(certificate, {
    authorities,
    intermediates: others,
    maySign: (each, belowCount) =>
      authorities.includes(each)
        ? maySignBelow(each, belowCount, "server")
        : isIntermediateFor("server")(each, belowCount),
  }).sort((one, other) => endOfPath(other) - endOfPath(one));
  if (path !== undefined) {
    for (const each of path.slice(0, -1)) {
      requireValid(each, { file: `${files.cert}: the CA ${nameOf(each.subject)}`, nowMs });
    }
    return path;
  }
  const { top, flaw } = topOf(certificate, others);
  if (flaw !== undefined) {
    throw new Error(
      `the certificate ${files.cert} is signed by ${
        nameOf(flaw.subject)
      }, which is no CA that may sign ` +
        "it (it is too weak, not a CA, or its constraints forbid it); ask for another certificate",
    );
  }
  throw new Error(
    `the certificate ${files.cert} is not signed by ${files.ca}; issue one with worker-certs issue ` +
      `--server, or add to it the certificate of ${nameOf(top.issuer)}, which signed ` +
      `${top === certificate ? "it" : nameOf(top.subject)} and is neither in --ca nor in the file`,
  );
}

/** How far signatures lead within a file, and the first signer that may not be one. */
function topOf(
  certificate: X509Certificate,
  others: readonly X509Certificate[],
): { readonly top: X509Certificate; readonly flaw: X509Certificate | undefined } {
  let top = certificate;
  for (let below = 0; below < others.length; below++) {
    const signer = others.find((each) => each !== top && isSignedBy(top, each));
    if (signer === undefined) break;
    if (!isIntermediateFor("server")(signer, below)) return { top, flaw: signer };
    top = signer;
  }
  return { top, flaw: undefined };
}

/** A distinguished name on one line: `O=Example, CN=Issuing CA`. */
function nameOf(name: string): string {
  return name.trim().replaceAll(/\s*\n\s*/g, ", ");
}

function requireServerCertificate(certificate: X509Certificate, file: string): void {
  if (certificate.subjectAltName === undefined) {
    throw new Error(
      `the certificate ${file} has no host names, so that no client would trust it; ` +
        "issue one with worker-certs issue --server",
    );
  }
  if (!isFor(certificate, "server")) {
    throw new Error(
      `the certificate ${file} is not for servers (serverAuth); ` +
        "issue one with worker-certs issue --server",
    );
  }
}

function requireStrong(certificate: X509Certificate, file: string): void {
  const weakness = keyWeakness(certificate) ?? signatureWeakness(certificate);
  if (weakness === undefined) return;
  throw new Error(
    `the certificate ${file} is too weak: ${weakness}; issue one with worker-certs issue --server`,
  );
}

async function readPem(file: string, flag: string): Promise<string> {
  try {
    return await Deno.readTextFile(file);
  } catch (error) {
    const problem = error instanceof Deno.errors.NotFound
      ? "does not exist"
      : `cannot be read (${messageOf(error)})`;
    throw new Error(
      `${file} ${problem}; say where it is with ${flag}, or make it with worker-certs`,
    );
  }
}

/** While one CA replaces another the file holds both; one that has expired is left out. */
function parseAuthorities(pem: string, file: string, nowMs: number): X509Certificate[] {
  const certificates = parseCertificates(pem, file);
  for (const certificate of certificates) {
    if (!certificate.ca) {
      throw new Error(`${file} holds a certificate that is not the certificate of a CA`);
    }
    const weakness = keyWeakness(certificate);
    if (weakness === undefined) continue;
    throw new Error(`${file} holds a CA that is too weak: ${weakness}; make one with worker-certs`);
  }
  const valid = certificates.filter(({ validTo }) => Date.parse(validTo) > nowMs);
  const [newest] = certificates;
  if (valid.length === 0) requireValid(newest, { file, nowMs });
  for (const certificate of valid) requireValid(certificate, { file, nowMs });
  return valid;
}

function parseCertificates(
  pem: string,
  file: string,
): [X509Certificate, ...X509Certificate[]] {
  let certificates: X509Certificate[];
  try {
    certificates = certificatesIn(pem);
  } catch {
    throw new Error(`${file} is not a PEM certificate`);
  }
  const [first, ...others] = certificates;
  if (first === undefined) throw new Error(`${file} is not a PEM certificate`);
  return [first, ...others];
}

function parseKey(pem: string, file: string) {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error(`${file} is not a PEM private key without a passphrase`);
  }
}

function requireValid(
  certificate: X509Certificate,
  { file, nowMs }: { file: string; nowMs: number },
): void {
  if (Date.parse(certificate.validTo) <= nowMs) {
    throw new Error(
      `${file} has expired (${certificate.validTo}); issue a new one with worker-certs`,
    );
  }
  if (Date.parse(certificate.validFrom) > nowMs) {
    throw new Error(`${file} is not valid before ${certificate.validFrom}; check the host's clock`);
  }
}
