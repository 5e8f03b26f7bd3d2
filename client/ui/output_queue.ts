/** Output that waits for the page: bounded, the newest is kept. Pure. */
import { concatenate } from "../../common/bytes.ts";
import type { Sink } from "../jobs/follow.ts";
import { encodeFrame, type Frame } from "./output_frames.ts";

/** The most that waits for a slow page; older output has scrolled away anyway. */
export const MAX_WAITING_BYTES = 1024 ** 2;

/**
 * Accepts output as fast as it arrives. It never pauses the stream: this runtime would continue to
 * read from the network and keep it all in memory. When there is too much the oldest output is left
 * out, and a note takes its place.
 */
export class OutputQueue implements Sink {
  #frames: Frame[] = [];
  #waitingBytes = 0;
  #leftOutBytes = 0;
  #wake = () => {};

  write(bytes: Uint8Array, offset: number): void {
    const cut = Math.max(0, bytes.length - MAX_WAITING_BYTES);
    this.#leftOutBytes += cut;
    // The bytes are lent: the reader reuses them.
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

  /** Marks the end of the output. */
  end(): void {
    this.#push({ kind: "end" });
  }

  /** Marks the end by a failure. */
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

  /** Waits for output, and returns all that there is as frames. */
  async take(): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#frames.length === 0) {
      await new Promise<void>((resolve) => this.#wake = resolve);
    }
    const frames = this.#frames;
    if (this.#leftOutBytes > 0) {
      const text =
        `${this.#leftOutBytes} bytes left out: they arrived faster than they can be shown`;
      frames.unshift({ kind: "note", text });
    }
    this.#frames = [];
    this.#waitingBytes = 0;
    this.#leftOutBytes = 0;
    return concatenate(frames.map(encodeFrame));
  }
}
