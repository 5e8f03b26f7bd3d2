/** `--key FILE`: an existing private key, for which a certificate is made. */
import type { KeyObject } from "node:crypto";
import { isPrivateKey } from "../common/pem.ts";
import { CertsError } from "./errors.ts";
import { readPem } from "./files.ts";
import { KEY_BITS, MAX_KEY_BITS, PUBLIC_EXPONENT, readPrivateKey } from "./keys.ts";

/** Permissions of the group and of others. */
const OTHERS_MASK = 0o077;

/** The key in a file that the user named. */
export interface GivenKey {
  readonly key: KeyObject;
  readonly file: string;
  /** Whether other users of this host may read or write the file. */
  readonly isExposed: boolean;
}

/**
 * Reads an existing private key, PEM in PKCS #8 or PKCS #1, and checks it by the rules that hold for
 * generated keys.
 *
 * @throws {CertsError} when the file cannot be read, holds no private key or several, or the key is
 * encrypted, not RSA, or of a size or public exponent that is not accepted
 */
export async function readGivenKey(file: string): Promise<GivenKey> {
  if (file === "") throw new CertsError("usage", "cannot use an empty --key: name a file");
  const blocks = await readPem(file);
  const [block, ...others] = blocks.filter(isPrivateKey);
  if (block === undefined) {
    const labels = [...new Set(blocks.map(({ label }) => label))].join(", ");
    throw failure(
      `cannot use --key ${file}: ` +
        (labels === "" ? "it is not a PEM file; " : `it holds ${labels} and no private key; `) +
        "give the file of the private key, which begins with BEGIN PRIVATE KEY",
    );
  }
  if (others.length > 0) {
    throw failure(`cannot use --key ${file}: it holds several private keys; give a file with one`);
  }
  const key = readPrivateKey(block, file);
  requireUsable(key, file);
  const { mode } = await Deno.stat(file);
  return { key, file, isExposed: mode !== null && (mode & OTHERS_MASK) !== 0 };
}

function requireUsable(key: KeyObject, file: string): void {
  const problem = problemOf(key);
  if (problem === undefined) return;
  throw failure(
    `cannot use --key ${file}: ${problem}; ` +
      `make one with openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:${KEY_BITS}`,
  );
}

function problemOf(
  { asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject,
): string | undefined {
  if (type !== "rsa") return `it is a key of the kind ${type}, and an RSA key is needed`;
  const bits = details?.modulusLength ?? 0;
  if (bits < KEY_BITS || bits > MAX_KEY_BITS) {
    return `its RSA key has ${bits} bits, and ${KEY_BITS} to ${MAX_KEY_BITS} are needed`;
  }
  const exponent = details?.publicExponent ?? 0n;
  if (exponent >= PUBLIC_EXPONENT) return undefined;
  return `its public exponent is ${exponent}, and at least ${PUBLIC_EXPONENT} is needed`;
}

function failure(message: string): CertsError {
  return new CertsError("failure", message);
}
