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
export async function loadAuthority(folder: string, now: Date): Promise<Authority> {
  const paths = authorityPaths(folder);
  await requireFiles(folder, paths);
  const certificates = await readCertificates(paths.certificate);
  const key = await readKeyFile(paths.key);
  const found = certificates.find(({ certificate }) => keyFits(key, certificate));
  if (found === undefined) {
    throw failure(
      `cannot issue: ${paths.key} does not belong to ${paths.certificate}; ` +
        "put the two files of one CA there",
    );
  }
  if (!isStrongRsaKey(key)) {
    throw failure(
      `cannot issue: ${paths.key} is not an RSA key of ${KEY_BITS} bits; ` +
        "make a new CA in an empty folder with worker-certs init",
    );
  }
  checkAuthority(found.certificate, { path: paths.certificate, now });
  return {
    certificate: found.certificate,
    key,
    trusted: certificates.map(({ certificate }) => certificate),
    trustedPem: certificates.map(({ text }) => text).join(""),
  };
}

async function requireFiles(folder: string, paths: PairPaths): Promise<void> {
  const existing = await existingOf([folder, paths.certificate, paths.key]);
  const start = `run worker-certs init --dir ${folder} first, or name the CA's folder with --dir`;
  if (!existing.includes(folder)) {
    throw failure(`cannot issue: the folder ${folder} does not exist; ${start}`);
  }
  const [missing] = [paths.certificate, paths.key].filter((path) => !existing.includes(path));
  if (missing === undefined) return;
  if (existing.length === 1) throw failure(`cannot issue: there is no CA in ${folder}; ${start}`);
  throw failure(`cannot issue: ${missing} is missing; put it back, or name another folder`);
}

async function readCertificates(
  path: string,
): Promise<{ certificate: X509Certificate; text: string }[]> {
  const blocks = await readPem(path);
  try {
    return blocks.filter(isCertificate)
      .map(({ text }) => ({ certificate: new X509Certificate(text), text }));
  } catch {
    throw failure(`cannot issue: ${path} holds a certificate that cannot be read`);
  }
}

function checkAuthority(
  certificate: X509Certificate,
  { path, now }: { path: string; now: Date },
): void {
  const constraints = certificate.getExtension(BasicConstraintsExtension);
  const usages = certificate.getExtension(KeyUsagesExtension)?.usages ?? KeyUsageFlags.keyCertSign;
  if (constraints?.ca !== true || (usages & KeyUsageFlags.keyCertSign) === 0) {
    throw failure(`cannot issue: ${path} is not the certificate of a CA`);
  }
  if (certificate.notAfter <= now) {
    throw failure(
      `cannot issue: the CA in ${path} expired on ${certificate.notAfter.toISOString()}; ` +
        "make a new one with worker-certs init in another folder",
    );
  }
  if (certificate.notBefore > now) {
    throw failure(
      `cannot issue: the CA in ${path} is not valid before ` +
        `${certificate.notBefore.toISOString()}; check this host's clock`,
    );
  }
}

function failure(message: string): CertsError {
  return new CertsError("failure", message);
}
