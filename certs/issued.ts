/** The certificates that a CA has issued: kept beside it, so that they can be renewed and revoked. */
import { join } from "node:path";
import type { Authority } from "./authority.ts";
import { CertsError, reasonOf } from "./errors.ts";
import { isCertificate } from "../common/pem.ts";
import { existingOf, readPem } from "./files.ts";
import { X509Certificate } from "./x509.ts";

/** The folder that certificates are kept in, without keys, one file for each serial number. */
export function issuedFolder(folder: string): string {
  return join(folder, "issued");
}

/** Where a certificate is kept. */
export function issuedPath(folder: string, certificate: X509Certificate): string {
  return join(issuedFolder(folder), `${serialOf(certificate)}.crt`);
}

/** Upper-case hexadecimal, as `show` and the server's log write it. */
export function serialOf({ serialNumber }: X509Certificate): string {
  return serialNumber.toUpperCase();
}

/** The common name, from which file names are made. */
export function commonNameOf({ subjectName }: X509Certificate): string {
  return subjectName.getField("CN")[0] ?? "";
}

/**
 * Finds what a CA has issued: in the folder for that, and beside the CA, where earlier versions of
 * this tool wrote certificates.
 *
 * @returns each once, the newest first
 * @throws {CertsError} when a file cannot be read
 */
export async function issuedBy(authority: Authority, folder: string): Promise<X509Certificate[]> {
  const found = new Map<string, X509Certificate>();
  for (const place of [issuedFolder(folder), folder]) {
    for (const path of await certificateFiles(place)) {
      for (const certificate of await certificatesIn(path)) {
        if (await isIssuedBy(certificate, authority)) {
          found.set(serialOf(certificate), certificate);
        }
      }
    }
  }
  return [...found.values()].sort((a, b) => b.notBefore.getTime() - a.notBefore.getTime());
}

/** Whether a CA has signed a certificate that is not its own. */
export async function isIssuedBy(
  certificate: X509Certificate,
  authority: Authority,
): Promise<boolean> {
  if (certificate.issuer !== authority.certificate.subject) return false;
  if (serialOf(certificate) === serialOf(authority.certificate)) return false;
  return await certificate.verify({ publicKey: authority.certificate, signatureOnly: true });
}

/**
 * All certificates in a PEM file.
 *
 * @throws {CertsError} when it cannot be read, or one is damaged
 */
export async function certificatesIn(path: string): Promise<X509Certificate[]> {
  const blocks = await readPem(path);
  try {
    return blocks.filter(isCertificate).map(({ text }) => new X509Certificate(text));
  } catch {
    throw new CertsError("failure", `cannot read ${path}: a certificate in it is damaged`);
  }
}

async function certificateFiles(folder: string): Promise<string[]> {
  if ((await existingOf([folder])).length === 0) return [];
  try {
    const entries = await Array.fromAsync(Deno.readDir(folder));
    return entries.filter(({ name }) => name.endsWith(".crt")).map(({ name }) => join(folder, name))
      .sort();
  } catch (error) {
    throw new CertsError("failure", `cannot read the folder ${folder}: ${reasonOf(error)}`);
  }
}
