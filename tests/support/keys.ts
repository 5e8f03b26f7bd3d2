/**
 * RSA keys for unit tests, at once: to find primes takes seconds, so these are of primes that everybody
 * knows, those of the Diffie-Hellman groups of RFC 2409 and RFC 3526. They are no secret, and no key of
 * anything but tests.
 */
import { createPrivateKey, getDiffieHellman, type KeyObject } from "node:crypto";
import { join } from "node:path";

/** What each key is for: its two primes by their groups, and its public exponent. */
const KEYS = {
  /** Two ordinary keys, of 4096 and of 4608 bits. */
  one: ["modp2", "modp15", 65537n],
  two: ["modp5", "modp15", 65537n],
  /** Too short: 2304 bits. */
  short: ["modp1", "modp5", 65537n],
  /** Too long: 8960 bits. */
  long: ["modp1", "modp18", 65537n],
  /** Its public exponent is too small. */
  exponent3: ["modp2", "modp15", 3n],
} as const;

export type KeyName = keyof typeof KEYS;

/** A key, ready to use. */
export function testKey(name: KeyName): KeyObject {
  const [group, otherGroup, exponent] = KEYS[name];
  const [p, q] = [primeOf(otherGroup), primeOf(group)];
  const d = inverse(exponent, (p - 1n) * (q - 1n));
  const numbers = {
    n: p * q,
    e: exponent,
    d,
    p,
    q,
    dp: d % (p - 1n),
    dq: d % (q - 1n),
    qi: inverse(q, p),
  };
  const encoded = Object.entries(numbers).map(([field, number]) => [field, encode(number)]);
  const key = { kty: "RSA", ...Object.fromEntries(encoded) };
  return createPrivateKey({ format: "jwk", key });
}

let folder: string | undefined;

/** A file with a key in it, PKCS #8 in PEM, that vanishes with the test process. */
export function keyFile(name: KeyName): string {
  if (folder === undefined) {
    const made = folder = Deno.makeTempDirSync({ prefix: "job-worker-keys-" });
    globalThis.addEventListener("unload", () => Deno.removeSync(made, { recursive: true }));
  }
  const path = join(folder, `${name}.pem`);
  const pem = testKey(name).export({ type: "pkcs8", format: "pem" }).toString();
  Deno.writeTextFileSync(path, pem, { mode: 0o600 });
  return path;
}

function primeOf(group: string): bigint {
  return BigInt(`0x${getDiffieHellman(group).getPrime("hex")}`);
}

/** The number that times `a` is 1 modulo `m`, by the extended Euclidean algorithm. */
function inverse(a: bigint, m: bigint): bigint {
  let [r, next] = [m, a % m];
  let [s, nextS] = [0n, 1n];
  while (next !== 0n) {
    const quotient = r / next;
    [r, next] = [next, r - quotient * next];
    [s, nextS] = [nextS, s - quotient * nextS];
  }
  return (s % m + m) % m;
}

function encode(number: bigint): string {
  const hex = number.toString(16);
  const bytes = Uint8Array.fromHex(hex.length % 2 === 0 ? hex : `0${hex}`);
  return bytes.toBase64({ alphabet: "base64url", omitPadding: true });
}
