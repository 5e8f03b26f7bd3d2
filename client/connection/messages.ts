/** gRPC messages within a stream's bytes: a flag, a length and the message. Pure. */

const PREFIX_BYTES = 5;

/** The peer sends a message that is not accepted. */
export class MessageError extends Error {
  override name = "MessageError";
}

/** One message as it goes over the wire. */
export function frameMessage(message: Uint8Array): Uint8Array {
  const whole = new Uint8Array(PREFIX_BYTES + message.length);
  new DataView(whole.buffer).setUint32(1, message.length);
  whole.set(message, PREFIX_BYTES);
  return whole;
}

/** Assembles messages from the stream's bytes. */
export class MessageReader {
  readonly #maxBytes: number;
  readonly #onMessage: (message: Uint8Array) => void;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixBytes = 0;
  #message: Uint8Array | undefined;
  #messageBytes = 0;

  /**
   * @param maxBytes The longest message that is accepted.
   * @param onMessage Called with each whole message; the callee may keep it.
   */
  constructor(maxBytes: number, onMessage: (message: Uint8Array) => void) {
    this.#maxBytes = maxBytes;
    this.#onMessage = onMessage;
  }

  /**
   * Takes the stream's next bytes.
   *
   * @throws {MessageError} A message is compressed, which is never requested, or too long.
   */
  take(bytes: Uint8Array): void {
    let position = 0;
    while (position < bytes.length) {
      if (this.#message === undefined) {
        this.#prefix[this.#prefixBytes++] = bytes[position++] ?? 0;
        if (this.#prefixBytes === PREFIX_BYTES) this.#begin();
      } else {
        const length = Math.min(this.#message.length - this.#messageBytes, bytes.length - position);
        this.#message.set(bytes.subarray(position, position + length), this.#messageBytes);
        this.#messageBytes += length;
        position += length;
      }
      this.#endWhereWhole();
    }
  }

  #begin(): void {
    const length = new DataView(this.#prefix.buffer).getUint32(1);
    if (this.#prefix[0] !== 0) throw new MessageError("a message is compressed");
    if (length > this.#maxBytes) throw new MessageError(`a message of ${length} bytes is too long`);
    this.#prefixBytes = 0;
    this.#messageBytes = 0;
    this.#message = new Uint8Array(length);
  }

  #endWhereWhole(): void {
    const message = this.#message;
    if (message === undefined || this.#messageBytes < message.length) return;
    this.#message = undefined;
    this.#onMessage(message);
  }
}
