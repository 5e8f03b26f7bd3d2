/** Where a piece of text may be cut. Pure. */

/**
 * How many bytes at the end are the beginning of a UTF-8 character (RFC 3629) whose other bytes are
 * missing. 0 when the bytes end with a whole character, or are not UTF-8 there.
 */
export function incompleteUtf8Tail(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(3, bytes.length); length++) {
    const byte = bytes[bytes.length - length] ?? 0;
    if (byte < 0x80) return 0;
    if (byte >= 0xc0) return byte < 0xf8 && sequenceLength(byte) > length ? length : 0;
  }
  return 0;
}

function sequenceLength(leadByte: number): number {
  return leadByte >= 0xf0 ? 4 : leadByte >= 0xe0 ? 3 : 2;
}
