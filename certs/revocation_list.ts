/** The CA's list of revoked certificates (RFC 5280, section 5). */
import { AsnConvert } from "@peculiar/asn1-schema";
import {
  CertificateList,
  CRLNumber,
  Extension as LibraryExtension,
  id_ce_cRLNumber,
  RevokedCertificate,
} from "@peculiar/asn1-x509";
import { join } from "node:path";
import { derOf, type PemBlock } from "../common/pem.ts";
import { splitList } from "../lib/tls/revoked_entries.ts";
import type { Authority } from "./authority.ts";
import { DAY_MS } from "./certificate.ts";
import { CertsError } from "./errors.ts";
import { existingOf, readPem } from "./files.ts";
import { signingKey } from "./keys.ts";
import {
  AuthorityKeyIdentifierExtension,
  Extension,
  SubjectKeyIdentifierExtension,
  X509Crl,
  X509CrlGenerator,
  X509CrlReason,
} from "./x509.ts";

/** What stands after BEGIN in the file of a list. */
export const LIST_LABEL = "X509 CRL";

/** Why a certificate is revoked, in the words of RFC 5280, section 5.3.1. */
export const REASONS = [
  "keyCompromise",
  "affiliationChanged",
  "superseded",
  "cessationOfOperation",
] as const;

/** One of {@link REASONS}. */
export type Reason = (typeof REASONS)[number];

/** A certificate that is to be put on the list. */
export interface Revocation {
  /** Hexadecimal. */
  readonly serial: string;
  readonly reason: Reason | undefined;
}

/** The file of the list in the folder of a CA. */
export function listPath(folder: string): string {
  return join(folder, "ca.crl");
}

/**
 * Reads the list in the folder of a CA.
 *
 * @returns nothing where there is none yet
 * @throws {CertsError} when it is damaged, or another CA's
 */
export async function loadList(
  folder: string,
  { certificate }: Authority,
): Promise<X509Crl | undefined> {
  const path = listPath(folder);
  if ((await existingOf([path])).length === 0) return undefined;
  const block = (await readPem(path)).find(({ label }) => label === LIST_LABEL);
  const list = block && parseList(block, path);
  if (list !== undefined && await list.verify({ publicKey: certificate })) return list;
  throw new CertsError(
    "failure",
    `cannot go on from ${path}: it is not a list of this CA; put the CA's last list there, ` +
      "or move the file away to begin a new one",
  );
}

/**
 * Reads one list, however many entries it has.
 *
 * @throws {CertsError} when it is damaged
 */
export function parseList(block: PemBlock, path: string): X509Crl {
  try {
    const der = derOf(block);
    // Unless told otherwise the library refuses lists of more than some 3,300 entries.
    const list = AsnConvert.parse(der, CertificateList, { berOptions: { maxNodes: der.length } });
    // Of a list that does not name the time of the next one it overlooks entries or extensions.
    const { tbsCertList } = list;
    const { entries, extensions } = splitList(der);
    tbsCertList.revokedCertificates ??= entries.map((each) =>
      AsnConvert.parse(each, RevokedCertificate)
    );
    tbsCertList.crlExtensions ??= extensions.map((each) =>
      AsnConvert.parse(each, LibraryExtension)
    );
    return new X509Crl(list);
  } catch {
    throw new CertsError("failure", `cannot read ${path}: the revocation list in it is damaged`);
  }
}

/** The number of a list, which grows with each; 0 where it has none. */
export function numberOf(list: X509Crl | undefined): number {
  const extension = list?.extensions.find(({ type }) => type === id_ce_cRLNumber);
  // The library gives long numbers as texts.
  return extension === undefined ? 0 : Number(AsnConvert.parse(extension.value, CRLNumber).value);
}

/** The serial numbers on a list, upper-case hexadecimal. */
export function serialsOf(list: X509Crl | undefined): Set<string> {
  return new Set(list?.entries.map(({ serialNumber }) => serialNumber.toUpperCase()));
}

/**
 * Makes the list that follows another: what was revoked stays so.
 *
 * @param options `added`: what is to be revoked, and not yet; `days`: when a newer list is promised
 * @throws {CertsError} when the last list is of the future
 */
export async function makeList(
  last: X509Crl | undefined,
  options: { authority: Authority; added: readonly Revocation[]; days: number; now: Date },
): Promise<X509Crl> {
  const { authority: { certificate, key }, added, days } = options;
  // Whole seconds, as X.509 has them.
  const now = new Date(Math.floor(options.now.getTime() / 1000) * 1000);
  if (last !== undefined && last.thisUpdate > now) {
    throw new CertsError(
      "failure",
      `cannot make a list: the last one is of ${last.thisUpdate.toISOString()}, which is yet to ` +
        "come; check this host's clock",
    );
  }
  const identifier = certificate.getExtension(SubjectKeyIdentifierExtension)?.keyId;
  const number = new CRLNumber(numberOf(last) + 1);
  return await X509CrlGenerator.create({
    issuer: certificate.subjectName,
    thisUpdate: now,
    nextUpdate: new Date(now.getTime() + days * DAY_MS),
    signingAlgorithm: { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" } as Algorithm,
    signingKey: await signingKey(key),
    extensions: [
      new Extension(id_ce_cRLNumber, false, AsnConvert.serialize(number)),
      ...(identifier === undefined ? [] : [new AuthorityKeyIdentifierExtension(identifier)]),
    ],
    entries: [
      ...(last?.entries ?? []).map(({ serialNumber, revocationDate, reason }) => ({
        serialNumber,
        revocationDate,
        ...(reason !== undefined && { reason }),
      })),
      ...added.map(({ serial, reason }) => ({
        serialNumber: serial,
        revocationDate: now,
        ...(reason !== undefined && { reason: X509CrlReason[reason] }),
      })),
    ],
  });
}
