/**
 * Encodes a piece of output as a gRPC message in the buffer that it is in: the usual encoder copies
 * each byte twice, and leaves the copies to the garbage collector. Pure.
 */
/** The compression flag and the length before each message (gRPC over HTTP/2). */
const PREFIX_BYTES = 5;

/** Tags of the fields of StreamResponse: the number, and the wire type. */
const OUTPUT_TAG = 1 << 3 | 2;
const OFFSET_TAG = 2 << 3;
const GAP_BYTES_TAG = 3 << 3;
const TIME_MS_TAG = 4 << 3;
const IS_LAST_TAG = 5 << 3;

/** The fields of a StreamResponse. */
export interface OutputMessage {
  /** Its buffer has `HEADROOM_BYTES` before it, which will be overwritten. */
  readonly output: Uint8Array;
  /** Where in the job's output these bytes begin. */
  readonly offset: number;
  /** So many bytes right before `offset` are not there; 0: none. */
  readonly gapBytes: number;
  /** When they were written, milliseconds since 1970-01-01 UTC; 0: that was not asked for. */
  readonly timeMs: number;
  /** Nothing comes after it. */
  readonly isLast?: boolean;
}

/**
 * The message with its prefix; it shares the memory of `output`.
 *
 * @throws {RangeError} When there is too little room before `output`.
 */
export function frameOutput(
  { output, offset, gapBytes, timeMs, isLast = false }: OutputMessage,
): Uint8Array {
  const head = [
    OFFSET_TAG,
    ...varint(offset),
    ...(gapBytes === 0 ? [] : [GAP_BYTES_TAG, ...varint(gapBytes)]),
    ...(timeMs === 0 ? [] : [TIME_MS_TAG, ...varint(timeMs)]),
    ...(isLast ? [IS_LAST_TAG, 1] : []),
    ...(output.length === 0 ? [] : [OUTPUT_TAG, ...varint(output.length)]),
  ];
  const messageBytes = head.length + output.length;
  const begin = output.byteOffset - head.length - PREFIX_BYTES;
  const frame = new Uint8Array(output.buffer, begin, PREFIX_BYTES + messageBytes);
  frame[0] = 0; // Not compressed.
  new DataView(output.buffer, begin).setUint32(1, messageBytes);
  frame.set(head, PREFIX_BYTES);
  return frame;
}

/** A number in the encoding of Protocol Buffers: seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 + 128);
  return [...bytes, rest];
}
