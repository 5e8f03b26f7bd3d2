/**
 * A piece of output as a gRPC message, written around the bytes where they lie: the usual way copies
 * each byte twice more, and what that leaves behind has to be collected. Pure.
 */
import { HEADROOM_BYTES } from "../logs.ts";

/** The flag and the length before a message, as gRPC over HTTP/2 has it. */
const PREFIX_BYTES = 5;

/** Fields of StreamResponse: their number, and how the value is written. */
const OUTPUT_TAG = 1 << 3 | 2;
const OFFSET_TAG = 2 << 3;
const GAP_BYTES_TAG = 3 << 3;

/** What StreamResponse has. */
export interface OutputMessage {
  /** Has `HEADROOM_BYTES` before it in its buffer that are nobody else's. */
  readonly output: Uint8Array;
  readonly offset: number;
  readonly gapBytes: number;
}

/** The message with its prefix; it shares the memory of `output`. */
export function frameOutput({ output, offset, gapBytes }: OutputMessage): Uint8Array {
  const head = [
    OFFSET_TAG,
    ...varint(offset),
    ...(gapBytes === 0 ? [] : [GAP_BYTES_TAG, ...varint(gapBytes)]),
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

/** Bytes in a buffer of their own, with headroom. */
export function withHeadroom(bytes: Uint8Array): Uint8Array {
  const buffer = new Uint8Array(HEADROOM_BYTES + bytes.length);
  buffer.set(bytes, HEADROOM_BYTES);
  return buffer.subarray(HEADROOM_BYTES);
}

/** Protocol Buffers' way to write a number: seven bits a byte, the lowest first. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push(rest % 128 + 128);
  return [...bytes, rest];
}
