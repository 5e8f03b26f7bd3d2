/** The CA in its folder: where its files are, and reading them with every doubt put aside. */
import { join } from "node:path";
import type { Issuer } from "./certificate.ts";
import { CertsError } from "./errors.ts";
import { existingOf, readBytes } from "./files.ts";
import { KEY_BITS, keyFits, readPrivateKey } from "./keys.ts";
import { isCertificate, isPrivateKey, pemBlocks } from "./pem.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  X509Certificate,
} from "./x509.ts";

/** A CA that may sign. */
export interface Authority extends Issuer {
  /** The content of ca.crt: what servers and clients trust. */
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
  const key = await readKey(paths.key);
  const found = certificates.find(({ certificate }) => keyFits(key, certificate));
  if (found === undefined) {
    throw failure(
      `cannot issue: ${paths.key} does not belong to ${paths.certificate}; ` +
        "put the two files of one CA there",
    );
  }
  checkKeyKind(key.asymmetricKeyType, key.asymmetricKeyDetails?.modulusLength, paths.key);
  checkAuthority(found.certificate, { path: paths.certificate, now });
  const trustedPem = certificates.map(({ text }) => text).join("");
  return { certificate: found.certificate, key, trustedPem };
}

async function requireFiles(folder: string, paths: PairPaths): Promise<void> {
  const existing = await existingOf([folder, paths.certificate, paths.key]);
  const start = `run worker-certs init --dir ${folder} first`;
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
  const blocks = pemBlocks(new TextDecoder().decode(await readBytes(path)), path);
  try {
    return blocks.filter(isCertificate)
      .map(({ text }) => ({ certificate: new X509Certificate(text), text }));
  } catch {
    throw failure(`cannot issue: ${path} holds a certificate that cannot be read`);
  }
}

async function readKey(path: string) {
  const block = pemBlocks(new TextDecoder().decode(await readBytes(path)), path)
    .find(isPrivateKey);
  if (block === undefined) throw failure(`cannot issue: ${path} holds no private key`);
  return readPrivateKey(block, path);
}

function checkKeyKind(type: string | undefined, bits: number | undefined, path: string): void {
  if (type === "rsa" && bits !== undefined && bits >= KEY_BITS) return;
  throw failure(
    `cannot issue: ${path} is not an RSA key of ${KEY_BITS} bits; ` +
      "make a new CA in an empty folder with worker-certs init",
  );
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
