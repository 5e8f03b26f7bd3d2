/** PEM (RFC 7468): text around DER, several pieces to a file. */
import { CertsError } from "./errors.ts";

/** One piece of a PEM file. */
export interface PemBlock {
  /** What stands after BEGIN, such as `CERTIFICATE`. */
  readonly label: string;
  /** The piece as it stood in the file, markers included. */
  readonly text: string;
}

/** Labels of the private keys that OpenSSL and this tool write. */
const PRIVATE_KEY_LABEL = /^(ENCRYPTED |RSA |EC )?PRIVATE KEY$/;

/**
 * Splits a file into its PEM blocks. What stands between them, such as the text that
 * `openssl x509 -text` adds, is skipped.
 *
 * @param text the content of the file
 * @param path the file, for the message
 * @throws {CertsError} when a block is begun and not ended
 */
export function pemBlocks(text: string, path: string): PemBlock[] {
  const blocks: PemBlock[] = [];
  const begin = /^-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?$/gm;
  for (let match = begin.exec(text); match !== null; match = begin.exec(text)) {
    const label = match[1] ?? "";
    const marker = `-----END ${label}-----`;
    const end = text.indexOf(marker, begin.lastIndex);
    if (end < 0) {
      throw new CertsError("failure", `cannot read ${path}: it is cut off, "${marker}" is missing`);
    }
    blocks.push({ label, text: `${text.slice(match.index, end)}${marker}\n` });
    begin.lastIndex = end + marker.length;
  }
  return blocks;
}

/** Says whether a PEM block is a private key, encrypted or not. */
export function isPrivateKey(block: PemBlock): boolean {
  return PRIVATE_KEY_LABEL.test(block.label);
}

/** Says whether a PEM block is a certificate. */
export function isCertificate(block: PemBlock): boolean {
  return block.label === "CERTIFICATE";
}

/**
 * Writes DER as PEM.
 *
 * @param label what stands after BEGIN, such as `CERTIFICATE`
 * @returns lines of 64 characters, ended by a line feed
 */
export function toPem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().match(/.{1,64}/g) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}
