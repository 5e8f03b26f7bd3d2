/** `worker-certs show`: describes certificate files. */
import { type CertificateDescription, describeCertificate } from "./describe.ts";
import { CertsError } from "./errors.ts";
import { isCertificate, isPrivateKey, type PemBlock } from "../common/pem.ts";
import { parsePem, readBytes } from "./files.ts";
import { keyFits, readPrivateKey } from "./keys.ts";
import { LIST_LABEL, numberOf, parseList } from "./revocation_list.ts";
import { X509Certificate, type X509Crl, X509CrlReason } from "./x509.ts";

/** Less than a day is given in hours. */
const HOUR_MS = 60 * 60 * 1000;

/** The first byte of every DER certificate: SEQUENCE. */
const DER_SEQUENCE = 0x30;

/** What `show` is asked to do. */
export interface ShowOptions {
  /** The OID of the role extension. */
  readonly oid: string;
  readonly now: Date;
}

/** A private key that stands beside certificates in a file. */
export interface KeyDescription {
  /** Which certificate of the file it belongs to, counted from 1; null: to none of them. */
  readonly fitsCertificate: number | null;
  /** Why it cannot be told, or null. */
  readonly error: string | null;
}

/** A revocation list. */
export interface ListDescription {
  /** RFC 4514. */
  readonly issuer: string;
  /** Grows with each list of the CA; 0: it has none. */
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly thisUpdate: string;
  /** ISO 8601, UTC; null: no newer list is promised. */
  readonly nextUpdate: string | null;
  readonly revoked: readonly {
    /** Upper-case hexadecimal. */
    readonly serial: string;
    /** ISO 8601, UTC. */
    readonly at: string;
    /** As RFC 5280 calls it; null: none is given. */
    readonly reason: string | null;
  }[];
}

/** What `show` tells of a file; `--json` prints it as it is. */
export interface FileDescription {
  readonly file: string;
  readonly certificates: readonly CertificateDescription[];
  readonly lists: readonly ListDescription[];
  /** Null when the file holds no private key. */
  readonly privateKey: KeyDescription | null;
}

/**
 * Describes every certificate in a file, PEM or DER, and the private key beside them.
 *
 * @throws {CertsError} when the file cannot be read or holds no certificate
 */
export async function describeFile(file: string, options: ShowOptions): Promise<FileDescription> {
  const bytes = await readBytes(file);
  const blocks = bytes[0] === DER_SEQUENCE ? [] : parsePem(bytes, file);
  const key = blocks.find(isPrivateKey);
  const sources = bytes[0] === DER_SEQUENCE
    ? [new Uint8Array(bytes)]
    : blocks.filter(isCertificate).map(({ text }) => text);
  const lists = blocks.filter(({ label }) => label === LIST_LABEL)
    .map((block) => describeList(parseList(block, file)));
  if (sources.length + lists.length === 0) {
    const what = key === undefined
      ? "it holds no certificate"
      : "it holds a key and no certificate";
    throw new CertsError("failure", `cannot show ${file}: ${what}`);
  }
  const certificates = sources.map((source, index) => parse(source, { file, index }));
  return {
    file,
    certificates: certificates.map((certificate, index) =>
      describe(certificate, { ...options, file, index })
    ),
    lists,
    privateKey: key === undefined ? null : describeKey(key, { file, certificates }),
  };
}

/** Writes the descriptions of files for people. Control characters are made visible. */
export function renderText(files: readonly FileDescription[], now: Date): string {
  return files.map((file) => renderFile(file, now)).join("\n");
}

/** Writes the descriptions of files for programs: a JSON array, one element a file. */
export function renderJson(files: readonly FileDescription[]): string {
  return `${JSON.stringify(files, null, 2)}\n`;
}

function parse(
  source: string | Uint8Array<ArrayBuffer>,
  { file, index }: { file: string; index: number },
): X509Certificate {
  try {
    return new X509Certificate(source);
  } catch {
    throw unreadable(file, index);
  }
}

/** The library decodes some extensions only when they are asked for, and throws then. */
function describe(
  certificate: X509Certificate,
  options: ShowOptions & { file: string; index: number },
): CertificateDescription {
  try {
    return describeCertificate(certificate, options);
  } catch {
    throw unreadable(options.file, options.index);
  }
}

function unreadable(file: string, index: number): CertsError {
  return new CertsError("failure", `cannot show ${file}: certificate ${index + 1} is damaged`);
}

function describeList(list: X509Crl): ListDescription {
  return {
    issuer: list.issuer,
    number: numberOf(list),
    thisUpdate: list.thisUpdate.toISOString(),
    nextUpdate: list.nextUpdate?.toISOString() ?? null,
    revoked: list.entries.map(({ serialNumber, revocationDate, reason }) => ({
      serial: serialNumber.toUpperCase(),
      at: revocationDate.toISOString(),
      reason: reason === undefined ? null : X509CrlReason[reason] ?? String(reason),
    })),
  };
}

function describeKey(
  block: PemBlock,
  { file, certificates }: { file: string; certificates: readonly X509Certificate[] },
): KeyDescription {
  try {
    const key = readPrivateKey(block, file);
    const index = certificates.findIndex((certificate) => keyFits(key, certificate));
    return { fitsCertificate: index < 0 ? null : index + 1, error: null };
  } catch (error) {
    if (!(error instanceof CertsError)) throw error;
    return { fitsCertificate: null, error: error.message };
  }
}

function renderFile(
  { file, certificates, lists, privateKey }: FileDescription,
  now: Date,
): string {
  const parts = certificates.map((certificate, index) => {
    const count = certificates.length > 1 ? `, certificate ${index + 1}` : "";
    return `${visible(file)}${count}\n${renderCertificate(certificate, now)}`;
  });
  parts.push(...lists.map((list) => `${visible(file)}\n${renderList(list, now)}`));
  if (privateKey !== null) {
    parts.push(`${visible(file)}, private key\n  ${renderKey(privateKey, certificates.length)}\n`);
  }
  return parts.join("");
}

function renderKey({ fitsCertificate, error }: KeyDescription, count: number): string {
  if (error !== null) return visible(error);
  if (fitsCertificate !== null) {
    return count > 1 ? `fits certificate ${fitsCertificate}` : "fits the certificate";
  }
  return count > 1 ? "DOES NOT FIT any of the certificates" : "DOES NOT FIT the certificate";
}

function renderCertificate(certificate: CertificateDescription, now: Date): string {
  const rows: [string, string][] = [
    ["Subject", certificate.subject],
    ["Issuer", certificate.issuer],
    ["Serial", certificate.serial],
    ["Usage", certificate.usages.join(", ") || "any"],
    ["Role", renderRoles(certificate)],
    ["Names", certificate.names.join(", ") || "none"],
    ["Key", certificate.key],
    ["Signature", certificate.signature],
    ["Valid from", certificate.notBefore],
    ["Valid until", `${certificate.notAfter} (${renderState(certificate, now)})`],
    ["SHA-256", certificate.fingerprint],
  ];
  return rows.map(([title, text]) => `  ${`${title}:`.padEnd(13)}${visible(text)}\n`).join("");
}

function renderList(
  { issuer, number, thisUpdate, nextUpdate, revoked }: ListDescription,
  now: Date,
) {
  const isOverdue = nextUpdate !== null && Date.parse(nextUpdate) <= now.getTime();
  const rows: [string, string][] = [
    ["List of", issuer],
    ["Number", String(number)],
    ["Made", thisUpdate],
    ["Next", `${nextUpdate ?? "not said"}${isOverdue ? " (OVERDUE)" : ""}`],
    ...revoked.map(({ serial, at, reason }): [string, string] => [
      "Revoked",
      `${serial} at ${at}${reason === null ? "" : `, ${reason}`}`,
    ]),
  ];
  return rows.map(([title, text]) => `  ${`${title}:`.padEnd(13)}${visible(text)}\n`).join("");
}

function renderRoles({ roles, roleError }: CertificateDescription): string {
  if (roleError !== null) return `MALFORMED, no access: ${roleError}`;
  return roles.join(", ") || "none";
}

function renderState({ state, daysLeft, notAfter }: CertificateDescription, now: Date): string {
  if (state === "expired") return "EXPIRED";
  if (state === "not yet valid") return "NOT YET VALID";
  if (daysLeft > 0) return daysLeft === 1 ? "1 day left" : `${daysLeft} days left`;
  const hours = Math.floor((Date.parse(notAfter) - now.getTime()) / HOUR_MS);
  return `${hours} h left`;
}

/** The contents of a certificate come from outside and must not control the terminal. */
function visible(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
