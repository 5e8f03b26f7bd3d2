/** `worker-certs init`: makes a CA. */
import { authorityPaths } from "./authority.ts";
import { makeAuthorityCertificate, validityOf } from "./certificate.ts";
import { refuseExisting } from "./existing.ts";
import { CERTIFICATE_MODE, KEY_MODE, makeFolder, writeTogether } from "./files.ts";
import { type GivenKey, readGivenKey } from "./given_key.ts";
import { generateKey, privateKeyPem } from "./keys.ts";
import { toPem } from "../common/pem.ts";

/** Ten years, leap days included: a CA is replaced on every host by hand. */
export const AUTHORITY_DAYS = 3653;

/** The common name of a CA that was given none. */
export const AUTHORITY_NAME = "Job Worker CA";

/** What `init` is asked to do. */
export interface InitOptions {
  /** The folder; made when it does not exist, for its owner alone. */
  readonly dir: string;
  readonly commonName: string;
  readonly days: number;
  /** Replace a CA that is there. */
  readonly force: boolean;
  /** The file of an existing key, which is copied to ca.key; null: a new one is made. */
  readonly keyFile: string | null;
  readonly now: Date;
  /** Called before the key is made, which takes some seconds. */
  readonly onKey: () => void;
}

/**
 * Makes a CA: its key and the certificate it signs for itself.
 *
 * @returns what was made and what comes next, for the user
 * @throws {CertsError} when a CA is there already, the given key cannot be used, or a file cannot be
 * written
 */
export async function init(options: InitOptions): Promise<string> {
  const { dir, commonName, days, force, keyFile, now } = options;
  const paths = authorityPaths(dir);
  const replaced = await refuseExisting([paths.certificate, paths.key], { force });
  const given = keyFile === null ? undefined : await readGivenKey(keyFile);
  const isCopied = given !== undefined && !await isSameFile(given.file, paths.key);
  await makeFolder(dir);
  if (given === undefined) options.onKey();
  const key = given?.key ?? await generateKey();
  const validity = validityOf(now, days);
  const certificate = await makeAuthorityCertificate(key, { commonName, validity });
  await writeTogether([
    { path: paths.key, content: privateKeyPem(key), mode: KEY_MODE },
    {
      path: paths.certificate,
      content: toPem("CERTIFICATE", new Uint8Array(certificate.rawData)),
      mode: CERTIFICATE_MODE,
    },
  ], { overwrite: force });
  return [
    `CA "${commonName}", valid until ${validity.notAfter.toISOString().slice(0, 10)}`,
    `  ${paths.certificate}  what every server and client trusts: copy it to all of them`,
    `  ${paths.key}  its private key: keep it here, it is needed to issue and nowhere else`,
    ...(isCopied ? [`The key is a copy of ${given.file}; keep that safe, or remove it.`] : []),
    ...(replaced ? [`Certificates of the CA that was here are ${acceptance(given)}.`] : []),
    `Next: worker-certs issue --dir ${dir} --name server --server --san localhost,127.0.0.1`,
    "",
  ].join("\n");
}

/** Whether two paths lead to one file; one that does not exist is none. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  const [path, otherPath] = await Promise.all(
    [one, other].map((file) => Deno.realPath(file).catch(() => undefined)),
  );
  return path !== undefined && path === otherPath;
}

function acceptance(given: GivenKey | undefined): string {
  return given === undefined
    ? "no longer accepted"
    : "accepted only if it had the same name and the same key";
}
