/**
 * The encoding of a job's output for the page: frames with a kind, a length and a payload, so that
 * bytes and notes keep their order. Pure; used at both ends.
 */
import { concatenate } from "../../common/bytes.ts";

/** The content of a frame. */
export type Frame =
  | { readonly kind: "bytes"; readonly offset: number; readonly bytes: Uint8Array }
  /** A gap, or the state of the connection. */
  | { readonly kind: "note"; readonly text: string }
  /** The end of the output; nothing follows. */
  | { readonly kind: "end" }
  /** The output failed; nothing follows. */
  | { readonly kind: "error"; readonly text: string };

const KINDS = ["bytes", "note", "end", "error"] as const;

/** A kind (1 byte) and a length (4 bytes, big-endian). */
const HEAD_BYTES = 5;

/** The offset of the bytes, before them. */
const OFFSET_BYTES = 8;

/** The longest payload; a greater length is an error and would only fill the memory. */
export const MAX_PAYLOAD_BYTES = 8 * 1024 ** 2;

/** A frame as bytes. */
export function encodeFrame(frame: Frame): Uint8Array<ArrayBuffer> {
  const payload = payloadOf(frame);
  const whole = new Uint8Array(HEAD_BYTES + payload.length);
  whole[0] = KINDS.indexOf(frame.kind);
  new DataView(whole.buffer).setUint32(1, payload.length);
  whole.set(payload, HEAD_BYTES);
  return whole;
}

function payloadOf(frame: Frame): Uint8Array {
  switch (frame.kind) {
    case "bytes": {
      const payload = new Uint8Array(OFFSET_BYTES + frame.bytes.length);
      new DataView(payload.buffer).setBigUint64(0, BigInt(frame.offset));
      payload.set(frame.bytes, OFFSET_BYTES);
      return payload;
    }
    case "note":
    case "error":
      return new TextEncoder().encode(frame.text);
    case "end":
      return new Uint8Array();
  }
}

/** Splits bytes that are cut anywhere into frames. */
export class FrameReader {
  #rest = new Uint8Array();

  /**
   * @returns The frames that are complete now.
   * @throws {Error} The bytes are not frames.
   */
  read(piece: Uint8Array): Frame[] {
    const bytes = concatenate([this.#rest, piece]);
    const frames: Frame[] = [];
    let begin = 0;
    while (bytes.length - begin >= HEAD_BYTES) {
      const length = new DataView(bytes.buffer).getUint32(begin + 1);
      if (length > MAX_PAYLOAD_BYTES) throw new Error("A frame is too long.");
      const end = begin + HEAD_BYTES + length;
      if (end > bytes.length) break;
      frames.push(decodeFrame(bytes[begin], bytes.subarray(begin + HEAD_BYTES, end)));
      begin = end;
    }
    this.#rest = bytes.slice(begin);
    return frames;
  }
}

function decodeFrame(code: number | undefined, payload: Uint8Array): Frame {
  const kind = KINDS[code ?? -1];
  switch (kind) {
    case "bytes": {
      const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
      const offset = Number(view.getBigUint64(0));
      return { kind, offset, bytes: payload.subarray(OFFSET_BYTES) };
    }
    case "note":
    case "error":
      return { kind, text: new TextDecoder().decode(payload) };
    case "end":
      return { kind };
    default:
      throw new Error("A frame is of an unknown kind.");
  }
}
