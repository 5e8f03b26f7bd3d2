/** The CA in its folder: where its files are, and reading and checking them. */
import { join } from "node:path";
import type { Issuer } from "./certificate.ts";
import { CertsError } from "./errors.ts";
import { isCertificate } from "../common/pem.ts";
import { existingOf, readPem } from "./files.ts";
import { isStrongRsaKey, KEY_BITS, keyFits, readKeyFile } from "./keys.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
} from "./x509.ts";

/** A CA that may sign. */
export interface Authority extends Issuer {
  /** The certificates in ca.crt: what servers and clients trust. */
  readonly trusted: readonly X509Certificate[];
  /** The same as PEM. */
  readonly trustedPem: string;
}

/** Where a certificate and its key lie. */
export interface PairPaths {
  readonly certificate: string;
  readonly key: string;
}

/** What the CA is read for: `list` alone needs none that may still sign. */
export type Purpose = "issue" | "renew" | "revoke" | "list";

/** The files of the CA in a folder. */
export function authorityPaths(folder: string): PairPaths {
  return { certificate: join(folder, "ca.crt"), key: join(folder, "ca.key") };
}

/**
 * Reads the CA of a folder and makes sure that what it signs will be accepted.
 *
 * While one CA follows another, ca.crt holds both certificates; the one that signs is the one that
 * the key belongs to.
 *
 * @throws {CertsError} when it is not there, damaged, not a CA, not RSA 4096, not valid now, or the
 * key belongs to none of the certificates
 */
export async function loadAuthority(
  folder: string,
  { now, purpose }: { now: Date; purpose: Purpose },
): Promise<Authority> {
  const paths = authorityPaths(folder);
  const failure = (problem: string) => new CertsError("failure", `cannot ${purpose}: ${problem}`);
  const problem = await missingOf(folder, paths);
  if (problem !== undefined) throw failure(problem);
  const certificates = await readCertificates(paths.certificate);
  if (certificates === undefined) {
    throw failure(`${paths.certificate} holds a certificate that cannot be read`);
  }
  const key = await readKeyFile(paths.key);
  const found = certificates.find(({ certificate }) => keyFits(key, certificate));
  if (found === undefined) {
    throw failure(
      `${paths.key} does not belong to ${paths.certificate}; ` +
        "put the two files of one CA there",
    );
  }
  if (!isStrongRsaKey(key)) {
    throw failure(
      `${paths.key} is not an RSA key of ${KEY_BITS} bits; ` +
        "make a new CA in an empty folder with worker-certs init",
    );
  }
  const trouble = troubleOf(found.certificate, { path: paths.certificate, now, purpose });
  if (trouble !== undefined) throw failure(trouble);
  return {
    certificate: found.certificate,
    key,
    trusted: certificates.map(({ certificate }) => certificate),
    trustedPem: certificates.map(({ text }) => text).join(""),
  };
}

/** Which of the CA's files is not there, and what to do. */
async function missingOf(folder: string, paths: PairPaths): Promise<string | undefined> {
  const existing = await existingOf([folder, paths.certificate, paths.key]);
  const start = `run worker-certs init --dir ${folder} first, or name the CA's folder with --dir`;
  if (!existing.includes(folder)) return `the folder ${folder} does not exist; ${start}`;
  const [missing] = [paths.certificate, paths.key].filter((path) => !existing.includes(path));
  if (missing === undefined) return undefined;
  if (existing.length === 1) return `there is no CA in ${folder}; ${start}`;
  return `${missing} is missing; put it back, or name another folder`;
}

/** Undefined: one of them is damaged. */
async function readCertificates(
  path: string,
): Promise<{ certificate: X509Certificate; text: string }[] | undefined> {
  const blocks = await readPem(path);
  try {
    return blocks.filter(isCertificate)
      .map(({ text }) => ({ certificate: new X509Certificate(text), text }));
  } catch {
    return undefined;
  }
}

/** Why a certificate is not one of a CA that can be used. */
function troubleOf(
  certificate: X509Certificate,
  { path, now, purpose }: { path: string; now: Date; purpose: Purpose },
): string | undefined {
  const constraints = certificate.getExtension(BasicConstraintsExtension);
  const usages = certificate.getExtension(KeyUsagesExtension)?.usages ?? KeyUsageFlags.keyCertSign;
  if (constraints?.ca !== true || (usages & KeyUsageFlags.keyCertSign) === 0) {
    return `${path} is not the certificate of a CA`;
  }
  if (purpose === "list") return undefined;
  if (certificate.notAfter <= now) {
    return `the CA in ${path} expired on ${certificate.notAfter.toISOString()}; ` +
      "make a new one with worker-certs init in another folder";
  }
  if (certificate.notBefore > now) {
    return `the CA in ${path} is not valid before ` +
      `${certificate.notBefore.toISOString()}; check this host's clock`;
  }
  return undefined;
}
