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
import { commonNameOf, issuedBy, issuedFolder, issuedPath, serialOf } from "./issued.ts";
import { type GivenKey, readGivenKey } from "./given_key.ts";
import { loadList, serialsOf } from "./revocation_list.ts";
import { generateKey, isSameKey, keyFits, privateKeyPem, readKeyFile } from "./keys.ts";
import { toPem } from "../common/pem.ts";

/** A year, leap day included. */
export const LEAF_DAYS = 366;

/** Which key a certificate is made for. */
export type LeafKey =
  /** A new one, written to NAME.key. */
  | { readonly kind: "generated" }
  /** That of the previous certificate, written to NAME.key again. */
  | { readonly kind: "kept"; readonly key: KeyObject }
  /** An existing one, which stays in its file: NAME.key is not written. */
  | { readonly kind: "given"; readonly file: string };

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
  readonly key: LeafKey;
}

/** Where the files of a certificate go. */
interface LeafPaths {
  readonly certificate: string;
  readonly key: string;
  readonly bundle: string;
}

/**
 * Makes a certificate, signed by the CA of the folder, and its key unless there is one.
 *
 * @returns what was made, for the user
 * @throws {CertsError} when the CA cannot sign, the given key cannot be used, a file is there already
 * or cannot be written, or the certificate would outlive the CA
 */
export async function issue(options: IssueOptions): Promise<string> {
  const { dir, name, force, now } = options;
  const paths: LeafPaths = {
    certificate: join(dir, `${name}.crt`),
    key: join(dir, `${name}.key`),
    bundle: join(dir, `${name}.pem`),
  };
  const issuer = await loadAuthority(dir, { now, purpose: "issue" });
  checkName(name, issuer);
  const given = options.key.kind === "given" ? await readGivenKey(options.key.file) : undefined;
  if (given !== undefined) await checkGivenKey(given, { issuer, path: paths.key });
  await refuseExisting([
    paths.certificate,
    ...(given === undefined ? [paths.key] : []),
    ...(options.bundle ? [paths.bundle] : []),
  ], { force });
  const validity = leafValidity(issuer, options);
  const key = given?.key ?? await makeKey(options);
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
    ...(given === undefined ? [{ path: paths.key, content: keyPem, mode: KEY_MODE }] : []),
    { path: paths.certificate, content: certificatePem, mode: CERTIFICATE_MODE },
  ];
  if (options.bundle) {
    const content = keyPem + certificatePem + issuer.trustedPem;
    files.push({ path: paths.bundle, content, mode: KEY_MODE });
  }
  await writeTogether(files, { overwrite: force });
  const staleBundle = !options.bundle && (await existingOf([paths.bundle])).length > 0;
  const revoked = await revokedOf(name, { issuer, dir });
  return report(options, { paths, validity, given, staleBundle, revoked });
}

/** The serial numbers of a name's certificates that are revoked; none where there is no usable list. */
async function revokedOf(
  name: string,
  { issuer, dir }: { issuer: Authority; dir: string },
): Promise<string[]> {
  const listed = serialsOf(await loadList(dir, issuer).catch(() => undefined));
  if (listed.size === 0) return [];
  return (await issuedBy(issuer, dir)).filter((other) => commonNameOf(other) === name)
    .map(serialOf).filter((serial) => listed.has(serial));
}

async function makeKey({ key, onKey }: IssueOptions): Promise<KeyObject> {
  if (key.kind === "kept") return key.key;
  onKey();
  return await generateKey();
}

/**
 * Makes sure that a given key is not the CA's, with which its holder could issue certificates, and
 * that there is no other NAME.key, which would be taken for the key of the certificate.
 */
async function checkGivenKey(
  { key, file }: GivenKey,
  { issuer, path }: { issuer: Authority; path: string },
): Promise<void> {
  if (issuer.trusted.some((certificate) => keyFits(key, certificate))) {
    throw new CertsError(
      "failure",
      `cannot use --key ${file}: it is the key of the CA; give a key that only this certificate has`,
    );
  }
  if ((await existingOf([path])).length === 0) return;
  const beside = await readKeyFile(path).catch(() => undefined);
  if (beside !== undefined && isSameKey(beside, key)) return;
  throw new CertsError(
    "failure",
    `cannot use --key ${file}: ${path} is another key and would not fit the new certificate; ` +
      "move it away, or choose another --name",
  );
}

/** OpenSSL takes a certificate whose subject is its issuer for one that signed itself. */
function checkName(name: string, issuer: Authority): void {
  if (issuer.certificate.subject !== `CN=${name}`) return;
  throw new CertsError(
    "usage",
    `cannot use the name "${name}": it is the CA's own; choose another one`,
  );
}

/** A certificate that outlives its CA would stop working before its own end. */
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
  { paths, validity, given, staleBundle, revoked }: {
    paths: LeafPaths;
    validity: Validity;
    given: GivenKey | undefined;
    staleBundle: boolean;
    revoked: readonly string[];
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
    given === undefined
      ? `  ${paths.key}  its private key: for ${name} alone`
      : `  ${given.file}  its private key, which stays where it is: for ${name} alone`,
  ];
  if (given?.isExposed === true) {
    lines.push(`Other users may read ${given.file}; run chmod 600 ${given.file}`);
  }
  if (bundle) {
    lines.push(`  ${paths.bundle}  key, certificate and CA in one file: for ${name} alone`);
  }
  if (staleBundle) {
    lines.push(`${paths.bundle} is of an earlier certificate; to replace it, add --bundle`);
  }
  if (revoked.length > 0) {
    lines.push(
      `${name} was revoked (serial ${revoked.join(", ")}) and is let in again by this one`,
    );
  }
  return `${lines.join("\n")}\n`;
}
