/** `worker-certs issue`: makes the key and the certificate of a server or a client. */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { type Authority, loadAuthority } from "./authority.ts";
import {
  DAY_MS,
  makeLeafCertificate,
  type Purpose,
  type Validity,
  validityOf,
} from "./certificate.ts";
import { CertsError } from "./errors.ts";
import { refuseExisting } from "./existing.ts";
import {
  CERTIFICATE_MODE,
  existingOf,
  type FileToWrite,
  KEY_MODE,
  makeFolder,
  writeTogether,
} from "./files.ts";
import { issuedFolder, issuedPath } from "./issued.ts";
import { generateKey, privateKeyPem } from "./keys.ts";
import { toPem } from "./pem.ts";

/** A year, leap day included. */
export const LEAF_DAYS = 366;

/** What `issue` is asked to do. */
export interface IssueOptions {
  /** The folder of the CA, where the new files go, too. */
  readonly dir: string;
  /** The common name, and the name of the files. */
  readonly name: string;
  readonly purpose: Purpose;
  /** Null: {@link LEAF_DAYS}, or as long as the CA lasts. */
  readonly days: number | null;
  /** Write NAME.pem as well: key, certificate and CA in one file. */
  readonly bundle: boolean;
  /** Replace files that are there. */
  readonly force: boolean;
  readonly now: Date;
  /** Called before the key is made, which takes some seconds. */
  readonly onKey: () => void;
  /** The key to use; null: a new one is made. */
  readonly key: KeyObject | null;
}

/** Where the files of a certificate go. */
interface LeafPaths {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

/**
 * Makes a key and a certificate for it, signed by the CA of the folder.
 *
 * @returns what was made, for the user
 * @throws {CertsError} when the CA cannot sign, a file is there already or cannot be written, or
 * the certificate would outlive the CA
 */
export async function issue(options: IssueOptions): Promise<string> {
  const { dir, name, force, now } = options;
  const paths: LeafPaths = {
    certificate: join(dir, `${name}.crt`),
    key: join(dir, `${name}.key`),
    bundle: join(dir, `${name}.pem`),
  };
  const issuer = await loadAuthority(dir, now);
  checkName(name, issuer);
  const targets = [paths.certificate, paths.key, ...(options.bundle ? [paths.bundle] : [])];
  await refuseExisting(targets, { force });
  const validity = leafValidity(issuer, options);
  if (options.key === null) options.onKey();
  const key = options.key ?? await generateKey();
  const certificate = await makeLeafCertificate(key, {
    commonName: name,
    validity,
    purpose: options.purpose,
    issuer,
  });
  const keyPem = privateKeyPem(key);
  const certificatePem = toPem("CERTIFICATE", new Uint8Array(certificate.rawData));
  await makeFolder(issuedFolder(dir));
  const files: FileToWrite[] = [
    { path: issuedPath(dir, certificate), content: certificatePem, mode: CERTIFICATE_MODE },
    { path: paths.key, content: keyPem, mode: KEY_MODE },
    { path: paths.certificate, content: certificatePem, mode: CERTIFICATE_MODE },
  ];
  if (options.bundle) {
    const content = keyPem + certificatePem + issuer.trustedPem;
    files.push({ path: paths.bundle, content, mode: KEY_MODE });
  }
  await writeTogether(files, { overwrite: force });
  const staleBundle = !options.bundle && (await existingOf([paths.bundle])).length > 0;
  return report(options, { paths, validity, staleBundle });
}

/** OpenSSL takes a certificate whose subject is its issuer for one that signed itself. */
function checkName(name: string, issuer: Authority): void {
  if (issuer.certificate.subject !== `CN=${name}`) return;
  throw new CertsError(
    "usage",
    `cannot use the name "${name}": it is the CA's own; choose another one`,
  );
}

/** A certificate that outlives its CA stops working when the CA does, to everyone's surprise. */
function leafValidity(issuer: Authority, { days, now }: IssueOptions): Validity {
  const end = issuer.certificate.notAfter;
  const validity = validityOf(now, days ?? LEAF_DAYS);
  if (validity.notAfter <= end) return validity;
  if (days === null) return { notBefore: validity.notBefore, notAfter: end };
  const left = Math.floor((end.getTime() - now.getTime()) / DAY_MS);
  throw new CertsError(
    "usage",
    `cannot issue for ${days} days: the CA ends on ${end.toISOString().slice(0, 10)}; ` +
      (left > 0 ? `use --days ${left} or less, ` : "leave --days out to end with it, ") +
      "or make a new CA",
  );
}

function report(
  { name, purpose, bundle, days, now }: IssueOptions,
  { paths, validity, staleBundle }: {
    paths: LeafPaths;
    validity: Validity;
    staleBundle: boolean;
  },
): string {
  const what = purpose.kind === "client"
    ? `Client "${name}" (${purpose.roles.join(", ")})`
    : `Server "${name}" (${purpose.names.map(({ value }) => value).join(", ")})`;
  const cut = days === null &&
    validity.notAfter.getTime() < validityOf(now, LEAF_DAYS).notAfter.getTime();
  const lines = [
    `${what}, valid until ${validity.notAfter.toISOString().slice(0, 10)}` +
    (cut ? " and no longer, because the CA ends then" : ""),
    `  ${paths.certificate}  the certificate`,
    `  ${paths.key}  its private key: for ${name} alone`,
  ];
  if (bundle) {
    lines.push(`  ${paths.bundle}  key, certificate and CA in one file: for ${name} alone`);
  }
  if (staleBundle) {
    lines.push(`${paths.bundle} is from before and not renewed; to renew it, add --bundle`);
  }
  return `${lines.join("\n")}\n`;
}
