/** Reads the answer to the one request of a connection; its header blocks are not decoded. Pure. */
import { concatenate } from "../../../common/bytes.ts";
import {
  FrameFlag,
  type FrameHeader,
  FrameReader,
  FrameType,
} from "../../../common/http2_frames.ts";
import { encodeFrame, STREAM_ID, WINDOW_BYTES, windowUpdates } from "./frames.ts";

/** The longest payload that a peer may send: the protocol's default (RFC 9113, section 4.2). */
const MAX_PAYLOAD_BYTES = 16 * 1024;

/** The peer violates the protocol. */
export class FrameError extends Error {
  override name = "FrameError";
}

/** Is told what the answer holds. What it throws is thrown on by the reader. */
export interface AnswerListener {
  /** The stream's next bytes; they are lent until it returns. */
  onData(bytes: Uint8Array): void;
  /** Frames that have to be sent to the server: acknowledgements and window updates. */
  onReply(frames: Uint8Array): void;
  /** The stream has ended, with success or not. */
  onEnd(): void;
}

/** Takes the connection's bytes, cut anywhere. */
export class AnswerReader {
  readonly #listener: AnswerListener;
  readonly #frames = new FrameReader({
    onHeader: (header) => this.#beginFrame(header),
    onPayload: (bytes, header) => this.#takePayload(bytes, header),
    onEnd: (header) => this.#endFrame(header),
  });
  #pingPayload: Uint8Array[] = [];
  /** What is left of the data in the current frame; unknown until the length of its padding is read. */
  #dataLeftBytes: number | undefined;
  /** Bytes that count against the window and for which no update was sent. */
  #unacknowledgedBytes = 0;

  constructor(listener: AnswerListener) {
    this.#listener = listener;
  }

  /**
   * Takes the next bytes.
   *
   * @throws {FrameError} A frame is longer than allowed, or its padding is longer than the frame.
   */
  take(bytes: Uint8Array): void {
    this.#frames.take(bytes);
  }

  #beginFrame({ type, flags, payloadBytes }: FrameHeader): void {
    if (payloadBytes > MAX_PAYLOAD_BYTES) {
      throw new FrameError(`a frame of ${payloadBytes} bytes is longer than allowed`);
    }
    const isPadded = type === FrameType.data && (flags & FrameFlag.padded) !== 0;
    if (isPadded && payloadBytes === 0) throw new FrameError("a padded frame is empty");
    this.#dataLeftBytes = isPadded ? undefined : payloadBytes;
    this.#pingPayload = [];
  }

  #takePayload(bytes: Uint8Array, header: FrameHeader): void {
    if (header.type === FrameType.ping) this.#pingPayload.push(bytes.slice());
    if (header.type !== FrameType.data || header.streamId !== STREAM_ID) return;
    // Padding counts against the window, too (RFC 9113, section 6.9.1).
    this.#unacknowledgedBytes += bytes.length;
    let rest = bytes;
    if (this.#dataLeftBytes === undefined) {
      this.#dataLeftBytes = header.payloadBytes - 1 - (bytes[0] ?? 0);
      if (this.#dataLeftBytes < 0) {
        throw new FrameError("the padding of a frame is longer than the frame");
      }
      rest = bytes.subarray(1);
    }
    const data = rest.subarray(0, this.#dataLeftBytes);
    this.#dataLeftBytes -= data.length;
    if (data.length > 0) this.#listener.onData(data);
  }

  #endFrame({ type, flags, streamId }: FrameHeader): void {
    const isAcknowledgement = (flags & FrameFlag.ack) !== 0;
    if (type === FrameType.settings && !isAcknowledgement) {
      this.#listener.onReply(encodeFrame(FrameType.settings, { flags: FrameFlag.ack }));
    } else if (type === FrameType.ping && !isAcknowledgement) {
      const payload = concatenate(this.#pingPayload);
      this.#listener.onReply(encodeFrame(FrameType.ping, { flags: FrameFlag.ack, payload }));
    } else if (streamId === STREAM_ID) {
      this.#updateWindows();
      const isLast = (type === FrameType.data || type === FrameType.headers) &&
        (flags & FrameFlag.endStream) !== 0;
      if (isLast || type === FrameType.resetStream) this.#listener.onEnd();
    }
  }

  #updateWindows(): void {
    if (this.#unacknowledgedBytes < WINDOW_BYTES / 2) return;
    this.#listener.onReply(windowUpdates(this.#unacknowledgedBytes));
    this.#unacknowledgedBytes = 0;
  }
}
