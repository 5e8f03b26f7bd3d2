/**
 * The little of HTTP/2 that one request with a long answer needs (RFC 9113, and RFC 7541 for the
 * request's headers). Pure.
 */
import { concatenate } from "../../../common/bytes.ts";
import {
  CLIENT_PREFACE,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
} from "../../../common/http2_frames.ts";

/** The only stream of the connection. */
export const STREAM_ID = 1;

/** The flow-control window of a new connection (RFC 9113, section 6.9.2). */
const DEFAULT_WINDOW_BYTES = 65_535;

/** How many bytes the server may send before it needs a window update. */
export const WINDOW_BYTES = 8 * 1024 ** 2;

/** What a client sends first. */
export function prefaceFrames(): Uint8Array {
  return concatenate([
    new TextEncoder().encode(CLIENT_PREFACE),
    encodeFrame(FrameType.settings, { payload: settings() }),
    encodeFrame(FrameType.windowUpdate, { payload: uint32(WINDOW_BYTES - DEFAULT_WINDOW_BYTES) }),
  ]);
}

/**
 * All that has to be sent for the request, behind {@linkcode prefaceFrames}.
 *
 * @param request The method's path, the server's name, and the one message with its gRPC prefix.
 */
export function requestFrames(
  { path, authority, message }: { path: string; authority: string; message: Uint8Array },
): Uint8Array {
  const headers = [
    [":method", "POST"],
    [":scheme", "https"],
    [":path", path],
    [":authority", authority],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ] as const;
  return concatenate([
    encodeFrame(FrameType.headers, {
      flags: FrameFlag.endHeaders,
      streamId: STREAM_ID,
      payload: concatenate(headers.map(([name, value]) => literalHeader(name, value))),
    }),
    encodeFrame(FrameType.data, {
      flags: FrameFlag.endStream,
      streamId: STREAM_ID,
      payload: message,
    }),
  ]);
}

/** Window updates of this many bytes, for the stream and for the connection. */
export function windowUpdates(bytes: number): Uint8Array {
  const payload = uint32(bytes);
  return concatenate([
    encodeFrame(FrameType.windowUpdate, { payload }),
    encodeFrame(FrameType.windowUpdate, { payload, streamId: STREAM_ID }),
  ]);
}

/** The parts of a frame besides its type; what is not given is 0 or empty. */
interface FrameParts {
  readonly flags?: number;
  readonly streamId?: number;
  readonly payload?: Uint8Array;
}

/** A frame as bytes. */
export function encodeFrame(
  type: number,
  { flags = 0, streamId = 0, payload = new Uint8Array() }: FrameParts,
): Uint8Array {
  const header = new DataView(new ArrayBuffer(FRAME_HEADER_BYTES));
  header.setUint32(0, payload.length << 8);
  header.setUint8(3, type);
  header.setUint8(4, flags);
  header.setUint32(5, streamId);
  return concatenate([new Uint8Array(header.buffer), payload]);
}

/** No pushes, no header table (the answer's headers are not read), and a large window. */
function settings(): Uint8Array {
  const HEADER_TABLE_SIZE = 1, ENABLE_PUSH = 2, INITIAL_WINDOW_SIZE = 4;
  return concatenate(
    ([[HEADER_TABLE_SIZE, 0], [ENABLE_PUSH, 0], [INITIAL_WINDOW_SIZE, WINDOW_BYTES]] as const)
      .map(([name, value]) => concatenate([Uint8Array.of(0, name), uint32(value)])),
  );
}

/** A header without a table entry (RFC 7541, section 6.2.2). Both texts are ASCII. */
function literalHeader(name: string, value: string): Uint8Array {
  return concatenate([Uint8Array.of(0), literalText(name), literalText(value)]);
}

/** RFC 7541, section 5.2; its length is an integer with a prefix of 7 bits (section 5.1). */
function literalText(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const length: number[] = [];
  let rest = bytes.length;
  if (rest < 127) {
    length.push(rest);
  } else {
    length.push(127);
    for (rest -= 127; rest >= 128; rest = Math.floor(rest / 128)) length.push(rest % 128 + 128);
    length.push(rest);
  }
  return concatenate([Uint8Array.from(length), bytes]);
}

function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}
