/** Private keys: making them, reading them, and telling which certificate they belong to. */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject } from "node:crypto";
import { promisify } from "node:util";
import { CertsError } from "./errors.ts";
import { isEncryptedKey, isPrivateKey, type PemBlock } from "../common/pem.ts";
import { readPem } from "./files.ts";
import type { X509Certificate } from "./x509.ts";

/** The size of every key that is made, in bits; shorter keys are refused. */
export const KEY_BITS = 4096;

/** Servers and clients accept no longer key: the limit of the TLS library in Deno 2.7.14. */
export const MAX_KEY_BITS = 8192;

/** The usual public exponent (NIST SP 800-56B asks for at least this). */
export const PUBLIC_EXPONENT = 65537;

/**
 * Makes an RSA key of {@link KEY_BITS}. It takes half a second to five seconds, by luck: primes are
 * found by trying.
 */
export async function generateKey(): Promise<KeyObject> {
  const { privateKey } = await promisify(generateKeyPair)("rsa", {
    modulusLength: KEY_BITS,
    publicExponent: PUBLIC_EXPONENT,
  });
  return privateKey;
}

/**
 * Reads a private key, PKCS #8 or the older forms of OpenSSL.
 *
 * @param path the file it stands in, for the message
 * @throws {CertsError} when it is encrypted or not a key
 */
export function readPrivateKey(block: PemBlock, path: string): KeyObject {
  if (isEncryptedKey(block)) {
    throw new CertsError(
      "failure",
      `cannot use the private key in ${path}: it is protected by a passphrase; ` +
        `write it without one: openssl pkey -in ${path} -out FILE`,
    );
  }
  try {
    return createPrivateKey(block.text);
  } catch {
    throw new CertsError(
      "failure",
      `cannot use the private key in ${path}: it is damaged or of an unknown kind`,
    );
  }
}

/**
 * Reads the private key in a file; other blocks are skipped.
 *
 * @throws {CertsError} when the file cannot be read, or holds no private key that can be used
 */
export async function readKeyFile(path: string): Promise<KeyObject> {
  const block = (await readPem(path)).find(isPrivateKey);
  if (block !== undefined) return readPrivateKey(block, path);
  throw new CertsError("failure", `cannot use ${path}: it holds no private key`);
}

/**
 * Whether a key is of the kind that this tool makes and the server's TLS accepts: RSA, with at least
 * {@link KEY_BITS} bits.
 */
export function isStrongRsaKey(key: KeyObject): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  return type === "rsa" && (details?.modulusLength ?? 0) >= KEY_BITS;
}

/** A private key as text for a file: PKCS #8 in PEM, not encrypted. */
export function privateKeyPem(key: KeyObject): string {
  return key.export({ type: "pkcs8", format: "pem" }).toString();
}

/** The public half of a private key, as a certificate carries it (SubjectPublicKeyInfo, DER). */
export function publicKeyDer(key: KeyObject): Uint8Array<ArrayBuffer> {
  return new Uint8Array(createPublicKey(key).export({ type: "spki", format: "der" }));
}

/** Whether a private key belongs to a certificate. */
export function keyFits(key: KeyObject, certificate: X509Certificate): boolean {
  const own = publicKeyDer(key).toHex();
  return own === new Uint8Array(certificate.publicKey.rawData).toHex();
}

/** Whether two private keys are the same key. */
export function isSameKey(one: KeyObject, other: KeyObject): boolean {
  return publicKeyDer(one).toHex() === publicKeyDer(other).toHex();
}

/** Makes an RSA key ready to sign certificates with sha256WithRSAEncryption. */
export async function signingKey(key: KeyObject): Promise<CryptoKey> {
  const der = new Uint8Array(key.export({ type: "pkcs8", format: "der" }));
  const algorithm = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
  return await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
}
