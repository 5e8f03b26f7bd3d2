import { binaryBytes } from "./quantities.ts";
import type { Terminal } from "../terminal.ts";

/** Shorter streams show no progress. */
const FIRST_AFTER_MS = 1_000;

const INTERVAL_MS = 500;

/** The rate is computed over so many updates, so that it follows changes. */
const RATE_SAMPLES = 6;

/** A line that shows the progress of a long stream into a file. */
export class Progress implements Disposable {
  readonly #terminal: Terminal;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #startedAtMs = performance.now();
  #samples: { readonly atMs: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #totalBytes: number | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#samples.push({ atMs: this.#startedAtMs, bytes: 0 });
    this.#timer = setInterval(() => this.#draw(), INTERVAL_MS);
  }

  /** Sets the total, once that is known. */
  expect(totalBytes: number): void {
    this.#totalBytes = totalBytes;
  }

  /** Counts bytes that were written. */
  add(bytes: number): void {
    this.#bytes += bytes;
    // A fast stream leaves no time for timers.
    const { atMs = 0 } = this.#samples.at(-1) ?? {};
    if (performance.now() - atMs >= 2 * INTERVAL_MS) this.#draw();
  }

  #draw(): void {
    const nowMs = performance.now();
    this.#samples = [...this.#samples, { atMs: nowMs, bytes: this.#bytes }].slice(-RATE_SAMPLES);
    if (nowMs - this.#startedAtMs < FIRST_AFTER_MS) return;
    const [first] = this.#samples;
    const rate = first === undefined || nowMs === first.atMs
      ? 0
      : (this.#bytes - first.bytes) / (nowMs - first.atMs) * 1000;
    this.#terminal.showProgress(
      describeProgress({ bytes: this.#bytes, totalBytes: this.#totalBytes, bytesPerSecond: rate }),
    );
  }

  /** Removes the line. */
  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#terminal.showProgress("");
  }
}

/** `48.2 MiB of 256 MiB, 45.1 MiB/s`: short enough for a terminal of 40 columns. */
export function describeProgress(
  { bytes, totalBytes, bytesPerSecond }: {
    bytes: number;
    totalBytes: number | undefined;
    bytesPerSecond: number;
  },
): string {
  // A job that still runs can write more than the total.
  const total = totalBytes === undefined || totalBytes < bytes
    ? ""
    : ` of ${binaryBytes(totalBytes)}`;
  return `${binaryBytes(bytes)}${total}, ${binaryBytes(Math.round(bytesPerSecond))}/s`;
}
