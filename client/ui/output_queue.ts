/** What of a job's output waits for the page to take it: bounded, the newest is kept. Pure. */
import type { Sink } from "../jobs/follow.ts";
import { encodeFrame, type Frame } from "./output_frames.ts";

/** What a page that does not keep up is spared: nobody reads a megabyte that has scrolled by. */
export const MAX_WAITING_BYTES = 1024 ** 2;

/**
 * Takes output as fast as it comes, and gives as much as is asked for. It never holds the stream up:
 * this runtime would go on reading from the network and keep it all. What is too much is left out
 * from the oldest on, and that is said in its place.
 */
export class OutputQueue implements Sink {
  #frames: Frame[] = [];
  #waitingBytes = 0;
  #leftOutBytes = 0;
  #wake = () => {};

  write(bytes: Uint8Array, offset: number): void {
    const cut = Math.max(0, bytes.length - MAX_WAITING_BYTES);
    this.#leftOutBytes += cut;
    // The bytes belong to whoever has read them.
    this.#frames.push({ kind: "bytes", offset: offset + cut, bytes: bytes.slice(cut) });
    this.#waitingBytes += bytes.length - cut;
    while (this.#waitingBytes > MAX_WAITING_BYTES) this.#leaveOut();
    this.#wake();
  }

  note(text: string): void {
    this.#push({ kind: "note", text });
  }

  /** Whether all has been taken. */
  get isEmpty(): boolean {
    return this.#frames.length === 0;
  }

  /** It was all. */
  end(): void {
    this.#push({ kind: "end" });
  }

  /** It broke off. */
  fail(text: string): void {
    this.#push({ kind: "error", text });
  }

  #push(frame: Frame): void {
    this.#frames.push(frame);
    this.#wake();
  }

  #leaveOut(): void {
    const index = this.#frames.findIndex(({ kind }) => kind === "bytes");
    const [frame] = this.#frames.splice(index, 1);
    if (frame?.kind !== "bytes") return;
    this.#waitingBytes -= frame.bytes.length;
    this.#leftOutBytes += frame.bytes.length;
  }

  /** Waits for something to send, and gives all there is as frames. */
  async take(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#frames.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const frames = this.#frames;
    if (this.#leftOutBytes > 0) {
      const text = `${this.#leftOutBytes} bytes left out: they came faster than they can be shown`;
      frames.unshift({ kind: "note", text });
    }
    this.#frames = [];
    this.#waitingBytes = 0;
    this.#leftOutBytes = 0;
    return concatenate(frames.map(encodeFrame));
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}
