/** PEM (RFC 7468): DER as text, one or more blocks in a file. */

/** One block of a PEM text. */
export interface PemBlock {
  /** The label after BEGIN, such as `CERTIFICATE`. */
  readonly label: string;
  /** The block as it was in the text, from BEGIN to END, ended by a line feed. */
  readonly text: string;
}

/** What a PEM text holds. */
export interface PemContent {
  /** The complete blocks, in their order. */
  readonly blocks: readonly PemBlock[];
  /** The END line that is missing where the text is cut off; undefined: every block is complete. */
  readonly missingEnd: string | undefined;
}

/** A BEGIN line: nothing else may be on it, as TLS libraries demand. */
const BEGIN_LINE = /^-----BEGIN ([A-Z0-9 ]+)-----[ \t]*\r?$/gm;

/** RFC 7468, section 2. */
const LINE_CHARACTERS = 64;

/**
 * Splits a text into its PEM blocks. Text between blocks, such as what `openssl x509 -text` adds, is
 * skipped. Reading ends at a block that has no end.
 */
export function scanPem(content: string): PemContent {
  // Editors on Windows put a byte order mark first.
  const text = content.replace(/^\uFEFF/, "");
  const blocks: PemBlock[] = [];
  let position = 0;
  for (const match of text.matchAll(BEGIN_LINE)) {
    // A BEGIN line within the previous block is part of that block.
    if (match.index < position) continue;
    const label = match[1] ?? "";
    const marker = `-----END ${label}-----`;
    const end = text.indexOf(marker, match.index);
    if (end < 0) return { blocks, missingEnd: marker };
    blocks.push({ label, text: `${text.slice(match.index, end)}${marker}\n` });
    position = end + marker.length;
  }
  return { blocks, missingEnd: undefined };
}

/**
 * Splits a text that must be complete into its PEM blocks.
 *
 * @throws {RangeError} The text is cut off; the message does not name the file.
 */
export function pemBlocks(text: string): readonly PemBlock[] {
  const { blocks, missingEnd } = scanPem(text);
  if (missingEnd === undefined) return blocks;
  throw new RangeError(`it is cut off, "${missingEnd}" is missing`);
}

/**
 * Decodes a block without header lines.
 *
 * @returns DER.
 * @throws {SyntaxError} What is between BEGIN and END is not base64.
 */
export function derOf({ text }: PemBlock): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromBase64(text.slice(text.indexOf("\n"), text.lastIndexOf("-----END ")));
}

/**
 * Writes DER as one block.
 *
 * @param label The label after BEGIN, such as `CERTIFICATE`.
 * @returns Lines of 64 characters, ended by a line feed.
 */
export function toPem(label: string, der: Uint8Array): string {
  const lines = der.toBase64().match(new RegExp(`.{1,${LINE_CHARACTERS}}`, "g")) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join("\n")}\n-----END ${label}-----\n`;
}

/** Whether a block is a private key (PKCS #8, PKCS #1 or SEC 1), encrypted or not. */
export function isPrivateKey({ label }: PemBlock): boolean {
  return label.endsWith("PRIVATE KEY");
}

/** Whether a block is a private key that is protected by a passphrase (PKCS #8, or OpenSSL's own). */
export function isEncryptedKey({ label, text }: PemBlock): boolean {
  return label === "ENCRYPTED PRIVATE KEY" || text.includes("Proc-Type: 4,ENCRYPTED");
}

/** Whether a block is a certificate. */
export function isCertificate({ label }: PemBlock): boolean {
  return label === "CERTIFICATE";
}
