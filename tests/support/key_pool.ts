/**
 * Private keys for the certificates of tests, made once for a run: an RSA key of 4096 bits takes half
 * a second to five seconds, and tests need about a hundred certificates. Tests of the making of keys
 * make their own.
 */
import { join } from "node:path";

/** The folder of the keys that were made for this run; without it each certificate has a new key. */
const keysFolder = () => Deno.env.get("JOB_WORKER_TEST_KEYS");

/** A test process takes them in turn, so that certificates made after one another have different ones. */
const LEAF_KEYS = 5;

/** For CAs that tests make; no certificate that a CA signs has the CA's own key. */
const CA_KEYS = 2;

/** Of the CA that all tests share (JOB_WORKER_TEST_PKI): another CA has another key. */
const SHARED_CA = "shared-ca";

const ALGORITHM = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 4096,
  publicExponent: new Uint8Array([1, 0, 1]),
};

/** Makes the keys of a run into a folder, PKCS #8 in PEM, for their owner alone. */
export async function makeKeys(folder: string): Promise<void> {
  await Promise.all([
    makeKey(join(folder, `${SHARED_CA}.key`)),
    ...Array.from({ length: CA_KEYS }, (_, index) => makeKey(keyFile(folder, "ca", index))),
    ...Array.from({ length: LEAF_KEYS }, (_, index) => makeKey(keyFile(folder, "leaf", index))),
  ]);
}

function keyFile(folder: string, kind: "ca" | "leaf", index: number): string {
  return join(folder, `${kind}-${index}.key`);
}

/** The arguments that give a new CA the key of the one that all tests share. */
export function sharedCaArguments(): string[] {
  const folder = keysFolder();
  return folder === undefined ? [] : ["--key", join(folder, `${SHARED_CA}.key`)];
}

async function makeKey(path: string): Promise<void> {
  const { privateKey } = await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
  const der = new Uint8Array(await crypto.subtle.exportKey("pkcs8", privateKey));
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  const pem = ["-----BEGIN PRIVATE KEY-----", ...lines, "-----END PRIVATE KEY-----", ""].join("\n");
  await Deno.writeTextFile(path, pem, { mode: 0o600, createNew: true });
}

const taken = { ca: 0, leaf: 0 };

/**
 * What `worker-certs` has to be told to take the next key of this run instead of making one. The key
 * is put where the certificate's own would be.
 *
 * @param args Its verb and options.
 * @returns `--key FILE`, or nothing where no keys were made or the verb makes none.
 */
export function keyArguments(args: readonly string[]): string[] {
  const folder = keysFolder();
  const [verb] = args;
  if (folder === undefined || args.includes("--key")) return [];
  if (verb === "init") return ["--key", keyFile(folder, "ca", taken.ca++ % CA_KEYS)];
  if (verb !== "issue") return [];
  const [dir, name] = [valueOf(args, "--dir"), valueOf(args, "--name")];
  if (dir === undefined || name === undefined) return [];
  const own = join(dir, `${name}.key`);
  Deno.copyFileSync(keyFile(folder, "leaf", taken.leaf++ % LEAF_KEYS), own);
  return ["--key", own];
}

function valueOf(args: readonly string[], option: string): string | undefined {
  const index = args.indexOf(option);
  return index === -1 ? undefined : args[index + 1];
}
