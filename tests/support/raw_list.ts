/**
 * Revocation lists written byte by byte: libraries take half a minute for many entries, and leave out
 * what is unusual.
 */
import { Buffer } from "node:buffer";
import { sign } from "node:crypto";
import { toPem } from "../../common/pem.ts";
import type { TestAuthority } from "./tls_certificates.ts";

const [INTEGER, BITS, UTF8, UTC_TIME, SEQUENCE, SET] = [0x02, 0x03, 0x0c, 0x17, 0x30, 0x31];

/** The first serial number; the others follow it. */
export const FIRST_SERIAL = 0x1000_0000_0000_0000n;

const COMMON_NAME = Buffer.from("0603550403", "hex");
const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");

/**
 * A list that a CA with an EC key has signed, as PEM; made a minute ago.
 *
 * @param options How many entries it has, and what each of them ends with, in hexadecimal.
 */
export function rawList(
  ca: TestAuthority,
  { count, entryEnd = "" }: { count: number; entryEnd?: string },
): string {
  const time = element(UTC_TIME, Buffer.from(utcTime(Date.now() - 60_000)));
  const entries = Array.from({ length: count }, (_, index) => {
    const serial = Buffer.from((FIRST_SERIAL + BigInt(index)).toString(16), "hex");
    return element(SEQUENCE, element(INTEGER, serial), time, Buffer.from(entryEnd, "hex"));
  });
  const issuer = element(SEQUENCE, COMMON_NAME, element(UTF8, Buffer.from(ca.name)));
  const algorithm = element(SEQUENCE, ECDSA_WITH_SHA256);
  const signed = element(
    SEQUENCE,
    element(INTEGER, Buffer.of(1)),
    algorithm,
    element(SEQUENCE, element(SET, issuer)),
    time,
    element(SEQUENCE, ...entries),
  );
  const signature = element(BITS, Buffer.of(0), sign("sha256", signed, ca.key));
  return toPem("X509 CRL", element(SEQUENCE, signed, algorithm, signature));
}

function element(tag: number | undefined, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const hex = length.toString(16);
  const bytes = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, "hex");
  const head = length < 0x80 ? [length] : [0x80 + bytes.length, ...bytes];
  return Buffer.concat([Buffer.of(tag ?? 0, ...head), content]);
}

/** `YYMMDDhhmmssZ`. */
function utcTime(timeMs: number): string {
  return `${new Date(timeMs).toISOString().replace(/\.\d+Z$/, "").replaceAll(/\D/g, "").slice(2)}Z`;
}
