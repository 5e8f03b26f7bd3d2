/**
 * A reader of Stream without a gRPC library: HTTP/2 frames over TLS, taken from the socket only when
 * a test asks for them. Every library here reads ahead of its user, so none of them can stand for a
 * reader that stops. Only what the tests need of RFC 9113 and of the gRPC protocol is understood.
 */
import { Buffer } from "node:buffer";
import {
  CLIENT_PREFACE,
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameType,
} from "../../common/http2_frames.ts";
import {
  jobService,
  type StreamRequest,
  type StreamResponse__Output,
} from "../../proto/contract.ts";
import type { TestServer } from "./server.ts";

/** The largest window that HTTP/2 has: with it nothing but the socket holds the server back. */
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;

/** What both sides begin with (RFC 9113, 6.9.2). */
export const DEFAULT_WINDOW_BYTES = 65_535;

const MESSAGE_HEADER_BYTES = 5;
const READ_BYTES = 32 * 1024;

/** No test has a silence that is as long. */
const SILENCE_LIMIT_MS = 30_000;

/** The type of the frame by which a connection is given up (RFC 9113, 6.8). */
const GO_AWAY = 7;

const SETTING_INITIAL_WINDOW = 4;
/** What a client resets a stream with that it wants no more. */
export const CANCEL = 8;

const encoder = new TextEncoder();

/** A connection whose socket is read only by {@linkcode RawConnection.read}. */
export class RawConnection implements Disposable {
  readonly #connection: Deno.TlsConn;
  readonly #authority: string;
  readonly #streams = new Map<number, RawStream>();
  #unread: Uint8Array = new Uint8Array();
  #nextStreamId = 1;

  private constructor(connection: Deno.TlsConn, authority: string) {
    this.#connection = connection;
    this.#authority = authority;
  }

  /**
   * Connects as alice. Nothing is read yet.
   *
   * @param windowBytes What each stream may send before it is granted more.
   */
  static async open(server: TestServer, windowBytes: number): Promise<RawConnection> {
    const read = (name: string) => Deno.readTextFile(server.pki.file(name));
    const connection = await Deno.connectTls({
      hostname: "localhost",
      port: server.port,
      caCerts: [await read("ca.crt")],
      cert: await read("alice.crt"),
      key: await read("alice.key"),
      alpnProtocols: ["h2"],
    });
    const raw = new RawConnection(connection, server.address);
    await raw.write(concatenate([
      encoder.encode(CLIENT_PREFACE),
      frame(FrameType.settings, 0, 0, initialWindow(windowBytes)),
      // The connection's own window never holds the server back.
      frame(FrameType.windowUpdate, 0, 0, uint32(MAX_WINDOW_BYTES - DEFAULT_WINDOW_BYTES)),
    ]));
    return raw;
  }

  /** Asks for a stream. */
  async stream(
    request: StreamRequest,
    onMessage?: (message: StreamResponse__Output) => void,
  ): Promise<RawStream> {
    const id = this.#nextStreamId;
    this.#nextStreamId += 2; // A client's streams have odd numbers.
    const stream = new RawStream(this, id, onMessage);
    this.#streams.set(id, stream);
    await this.write(concatenate([
      frame(FrameType.headers, FrameFlag.endHeaders, id, requestHeaders(this.#authority)),
      frame(FrameType.data, FrameFlag.endStream, id, requestMessage(request)),
    ]));
    return stream;
  }

  /** Reads once from the socket. A server that has nothing to say for long ends the connection. */
  async read(): Promise<void> {
    const buffer = new Uint8Array(READ_BYTES);
    const timer = setTimeout(() => this.#connection.close(), SILENCE_LIMIT_MS);
    const length = await this.#connection.read(buffer);
    clearTimeout(timer);
    if (length === null) throw new Error("the server has closed the connection");
    const read = buffer.subarray(0, length);
    this.#unread = this.#unread.length === 0 ? read : concatenate([this.#unread, read]);
    while (await this.#takeFrame());
  }

  async write(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += await this.#connection.write(bytes.subarray(written));
    }
  }

  [Symbol.dispose](): void {
    try {
      this.#connection.close();
    } catch {
      // A silence has closed it already.
    }
  }

  async #takeFrame(): Promise<boolean> {
    const view = new DataView(this.#unread.buffer, this.#unread.byteOffset, this.#unread.length);
    if (view.byteLength < FRAME_HEADER_BYTES) return false;
    const length = view.getUint32(0) >>> 8;
    if (view.byteLength < FRAME_HEADER_BYTES + length) return false;
    const [type, flags, streamId] = [view.getUint8(3), view.getUint8(4), view.getUint32(5)];
    const payload = this.#unread.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length);
    this.#unread = this.#unread.subarray(FRAME_HEADER_BYTES + length);
    if (type === GO_AWAY) throw new Error("the server gives the connection up");
    if (type === FrameType.settings && (flags & FrameFlag.ack) === 0) {
      await this.write(frame(FrameType.settings, FrameFlag.ack, 0, new Uint8Array()));
    }
    const stream = this.#streams.get(streamId);
    if (type === FrameType.data) stream?.take(payload);
    const mayEnd = type === FrameType.data || type === FrameType.headers;
    if (type === FrameType.resetStream || mayEnd && (flags & FrameFlag.endStream) !== 0) {
      stream?.end();
    }
    return true;
  }
}

/** One call of Stream. */
export class RawStream {
  readonly #connection: RawConnection;
  readonly #id: number;
  readonly #onMessage: ((message: StreamResponse__Output) => void) | undefined;
  #unread: Uint8Array = new Uint8Array();
  #payloadBytes = 0;
  #isEnded = false;

  constructor(
    connection: RawConnection,
    id: number,
    onMessage: ((message: StreamResponse__Output) => void) | undefined,
  ) {
    this.#connection = connection;
    this.#id = id;
    this.#onMessage = onMessage;
  }

  /** Bytes of gRPC messages, with their headers, that have been read. */
  get payloadBytes(): number {
    return this.#payloadBytes;
  }

  /** Whether the server has ended the stream. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** Reads from the connection until so many bytes of messages have come, or the stream has ended. */
  async readUntil(payloadBytes: number): Promise<void> {
    while (!this.#isEnded && this.#payloadBytes < payloadBytes) await this.#connection.read();
  }

  /** Reads to the stream's end. */
  async readAll(): Promise<void> {
    await this.readUntil(Infinity);
  }

  /** Lets the server send so much more. */
  async grant(windowBytes: number): Promise<void> {
    await this.#connection.write(frame(FrameType.windowUpdate, 0, this.#id, uint32(windowBytes)));
  }

  /** Gives the stream up, and not the connection. */
  async cancel(): Promise<void> {
    await this.#connection.write(frame(FrameType.resetStream, 0, this.#id, uint32(CANCEL)));
  }

  take(payload: Uint8Array): void {
    this.#payloadBytes += payload.length;
    if (this.#onMessage === undefined) return;
    this.#unread = concatenate([this.#unread, payload]);
    while (this.#takeMessage(this.#onMessage));
  }

  end(): void {
    this.#isEnded = true;
  }

  #takeMessage(onMessage: (message: StreamResponse__Output) => void): boolean {
    const view = new DataView(this.#unread.buffer, this.#unread.byteOffset, this.#unread.length);
    if (view.byteLength < MESSAGE_HEADER_BYTES) return false;
    const end = MESSAGE_HEADER_BYTES + view.getUint32(1);
    if (view.byteLength < end) return false;
    const bytes = this.#unread.subarray(MESSAGE_HEADER_BYTES, end);
    this.#unread = this.#unread.subarray(end);
    onMessage(jobService.Stream.responseDeserialize(Buffer.from(bytes)));
    return true;
  }
}

/** A frame of HTTP/2 (RFC 9113, 4.1). */
export function frame(
  type: number,
  flags: number,
  streamId: number,
  payload: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, payload.length << 8 | type);
  view.setUint8(4, flags);
  view.setUint32(5, streamId);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

function initialWindow(windowBytes: number): Uint8Array {
  return concatenate([new Uint8Array([0, SETTING_INITIAL_WINDOW]), uint32(windowBytes)]);
}

/** Header fields as literals without indexing (RFC 7541, 6.2.2): no table, no Huffman code. */
export function requestHeaders(
  authority: string,
  more: Readonly<Record<string, string>> = {},
): Uint8Array {
  const fields = {
    ":method": "POST",
    ":scheme": "https",
    ":path": "/JobService/Stream",
    ":authority": authority,
    "te": "trailers",
    "content-type": "application/grpc",
    ...more,
  };
  return concatenate(
    Object.entries(fields).flatMap(([name, value]) => [
      new Uint8Array([0, name.length]),
      encoder.encode(name),
      new Uint8Array([value.length]),
      encoder.encode(value),
    ]),
  );
}

/** A gRPC message: not compressed, its length, and the request. */
function requestMessage(request: StreamRequest): Uint8Array {
  const bytes = jobService.Stream.requestSerialize(request);
  return concatenate([new Uint8Array([0]), uint32(bytes.length), bytes]);
}

/** Four bytes, the highest first. */
export function uint32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value);
  return bytes;
}

/** One after the other. */
export function concatenate(parts: readonly Uint8Array[]): Uint8Array {
  const bytes = new Uint8Array(parts.reduce((total, { length }) => total + length, 0));
  let offset = 0;
  for (const part of parts) {
    bytes.set(part, offset);
    offset += part.length;
  }
  return bytes;
}
