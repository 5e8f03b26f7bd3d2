/**
 * Requests that never become whole, as fast as the server takes them: HTTP/2 frames over TLS, within the
 * windows that it grants, since libraries hold their users back.
 */
import {
  FRAME_HEADER_BYTES,
  FrameFlag,
  FrameReader,
  FrameType,
} from "../../common/http2_frames.ts";
import type { Identity } from "./client.ts";
import { concatenate, DEFAULT_WINDOW_BYTES, frame, requestHeaders, uint32 } from "./raw_reader.ts";

/** A request of which the last byte never comes. */
export interface HalfSent {
  readonly method: "half-sent";
  /** Such as `/JobService/Query`. */
  readonly path: string;
  /** The size that is announced. */
  readonly bytes: number;
  /** How many of them are in each frame. */
  readonly pieceBytes: number;
}

const PREFACE = new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
const SETTING_INITIAL_WINDOW = 4;

/** The size of one write. */
const WRITE_BYTES = 256 * 1024;

/** One connection, on which so many of these requests are sent. */
export class HalfSender implements Disposable {
  readonly #connection: Deno.TlsConn;
  readonly #request: HalfSent;
  /** What is left of each request, and of the window of its stream; by its id. */
  readonly #streams = new Map<number, { left: number; window: number }>();
  #window = DEFAULT_WINDOW_BYTES;
  #initialWindow = DEFAULT_WINDOW_BYTES;
  #granted = Promise.withResolvers<void>();
  #isClosed = false;
  readonly #onEnded: () => void;
  /** Requests that the server has ended. */
  ended = 0;

  private constructor(connection: Deno.TlsConn, request: HalfSent, onEnded: () => void) {
    this.#connection = connection;
    this.#request = request;
    this.#onEnded = onEnded;
  }

  /** @param onEnded Called for each request that the server has ended. */
  static async open(
    address: string,
    { ca, cert, key }: Identity,
    request: HalfSent,
    onEnded: () => void,
  ): Promise<HalfSender> {
    const port = Number(address.slice(address.lastIndexOf(":") + 1));
    const options = { caCerts: [ca], cert, key, alpnProtocols: ["h2"] };
    const connection = await Deno.connectTls({ hostname: "localhost", port, ...options });
    await connection.handshake();
    const sender = new HalfSender(connection, request, onEnded);
    await sender.#write(concatenate([PREFACE, frame(FrameType.settings, 0, 0, new Uint8Array())]));
    sender.#listen();
    return sender;
  }

  /** Opens the requests, and sends what is granted until the connection is closed. */
  async send(count: number, address: string): Promise<void> {
    const { path, bytes, pieceBytes } = this.#request;
    const headers = requestHeaders(address, { ":path": path });
    const prefix = concatenate([new Uint8Array([0]), uint32(bytes)]);
    for (let id = 1; id < 2 * count; id += 2) {
      this.#streams.set(id, { left: bytes - 1, window: this.#initialWindow - prefix.length });
      this.#window -= prefix.length;
      await this.#write(concatenate([
        frame(FrameType.headers, FrameFlag.endHeaders, id, headers),
        frame(FrameType.data, 0, id, prefix),
      ]));
    }
    const piece = new Uint8Array(pieceBytes);
    while (!this.#isClosed) {
      const frames: Uint8Array[] = [];
      let room = WRITE_BYTES;
      for (const [id, stream] of this.#streams) {
        for (;;) {
          const size = Math.min(pieceBytes, stream.left, stream.window, this.#window);
          if (room <= 0 || size <= 0) break;
          stream.left -= size;
          stream.window -= size;
          this.#window -= size;
          room -= size + FRAME_HEADER_BYTES;
          frames.push(frame(FrameType.data, 0, id, piece.subarray(0, size)));
        }
      }
      if (frames.length > 0) {
        await this.#write(concatenate(frames));
      } else {
        this.#granted = Promise.withResolvers();
        await this.#granted.promise;
      }
    }
  }

  [Symbol.dispose](): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#connection.close();
    this.#granted.resolve();
  }

  async #write(bytes: Uint8Array): Promise<void> {
    try {
      for (let sent = 0; sent < bytes.length;) {
        sent += await this.#connection.write(bytes.subarray(sent));
      }
    } catch {
      this[Symbol.dispose](); // The server has closed it, or this side has.
    }
  }

  async #listen(): Promise<void> {
    let payload: number[] = [];
    const frames = new FrameReader({
      onHeader: () => payload = [],
      onPayload: (bytes) => payload.push(...bytes),
      onEnd: ({ type, flags, streamId }) => {
        const value = () => new DataView(Uint8Array.from(payload).buffer);
        if (type === FrameType.windowUpdate) this.#grant(streamId, value().getUint32(0));
        else if (type === FrameType.settings && (flags & FrameFlag.ack) === 0) this.#set(value());
        const isEnd = type === FrameType.resetStream ||
          type === FrameType.headers && (flags & FrameFlag.endStream) !== 0;
        if (!isEnd || !this.#streams.delete(streamId)) return;
        this.ended++;
        this.#onEnded();
      },
    });
    const buffer = new Uint8Array(WRITE_BYTES);
    for (;;) {
      const length = await this.#connection.read(buffer).catch(() => null);
      if (length === null) break;
      frames.take(buffer.subarray(0, length));
      this.#granted.resolve();
    }
    this[Symbol.dispose]();
  }

  #grant(id: number, bytes: number): void {
    const stream = this.#streams.get(id);
    if (id === 0) this.#window += bytes;
    else if (stream !== undefined) stream.window += bytes;
  }

  #set(settings: DataView): void {
    for (let at = 0; at < settings.byteLength; at += 6) {
      if (settings.getUint16(at) !== SETTING_INITIAL_WINDOW) continue;
      const change = settings.getUint32(at + 2) - this.#initialWindow;
      this.#initialWindow += change;
      for (const stream of this.#streams.values()) stream.window += change;
    }
    void this.#write(frame(FrameType.settings, FrameFlag.ack, 0, new Uint8Array()));
  }
}
