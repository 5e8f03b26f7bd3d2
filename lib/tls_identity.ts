/** The server's certificate files: read and checked before they are used. */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { messageOf } from "./errors.ts";

/** PEM texts that fit together. */
export interface ServerIdentity {
  ca: string;
  cert: string;
  key: string;
  /** When the first of the certificates expires, in milliseconds since 1970-01-01 UTC. */
  expiresAtMs: number;
}

/** Where the files are. */
export interface IdentityFiles {
  ca: string;
  cert: string;
  key: string;
}

/**
 * Reads the files and checks that they fit together.
 *
 * @throws {Error} One line that names the file, what is wrong with it and what to do.
 */
export async function readServerIdentity(files: IdentityFiles): Promise<ServerIdentity> {
  const [ca, cert, key] = await Promise.all([
    readPem(files.ca, "--ca"),
    readPem(files.cert, "--cert"),
    readPem(files.key, "--key"),
  ]);
  const authority = parseCertificate(ca, files.ca);
  const certificate = parseCertificate(cert, files.cert);
  const privateKey = parseKey(key, files.key);
  if (!certificate.checkPrivateKey(privateKey)) {
    throw new Error(
      `the key ${files.key} does not fit the certificate ${files.cert}; give the pair that was issued together`,
    );
  }
  if (!certificate.verify(authority.publicKey)) {
    throw new Error(
      `the certificate ${files.cert} is not signed by ${files.ca}; issue one with worker-certs issue --server`,
    );
  }
  if (certificate.subjectAltName === undefined) {
    throw new Error(
      `the certificate ${files.cert} names no host, so that no client would trust it; ` +
        "issue one with worker-certs issue --server",
    );
  }
  requireValid(authority, files.ca);
  requireValid(certificate, files.cert);
  const expiresAtMs = Math.min(Date.parse(authority.validTo), Date.parse(certificate.validTo));
  return { ca, cert, key, expiresAtMs };
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

function parseCertificate(pem: string, file: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch {
    throw new Error(`${file} is not a PEM certificate`);
  }
}

function parseKey(pem: string, file: string) {
  try {
    return createPrivateKey(pem);
  } catch {
    throw new Error(`${file} is not a PEM private key without a passphrase`);
  }
}

function requireValid(certificate: X509Certificate, file: string): void {
  const now = Date.now();
  if (Date.parse(certificate.validTo) < now) {
    throw new Error(
      `${file} has expired (${certificate.validTo}); issue a new one with worker-certs`,
    );
  }
  if (Date.parse(certificate.validFrom) > now) {
    throw new Error(`${file} is not valid before ${certificate.validFrom}; check the host's clock`);
  }
}
