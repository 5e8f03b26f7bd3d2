import { binaryBytes } from "./format.ts";
import type { Terminal } from "../terminal.ts";

/** What is done sooner needs no progress. */
const FIRST_AFTER_MS = 1_000;

const INTERVAL_MS = 500;

/** The rate is that of the last looks, so that it follows what happens. */
const RATE_LOOKS = 6;

/** A line that says how far a long stream is, while it goes to where nobody sees it. */
export class Progress implements Disposable {
  readonly #terminal: Terminal;
  readonly #timer: ReturnType<typeof setInterval>;
  readonly #startedAtMs = performance.now();
  #looks: { readonly atMs: number; readonly bytes: number }[] = [];
  #bytes = 0;
  #totalBytes: number | undefined;

  constructor(terminal: Terminal) {
    this.#terminal = terminal;
    this.#looks.push({ atMs: this.#startedAtMs, bytes: 0 });
    this.#timer = setInterval(() => this.#draw(), INTERVAL_MS);
  }

  /** Says how much there is in all, once that is known. */
  expect(totalBytes: number): void {
    this.#totalBytes = totalBytes;
  }

  /** Counts what has come. */
  add(bytes: number): void {
    this.#bytes += bytes;
    // A stream that comes fast leaves no time for timers.
    const { atMs = 0 } = this.#looks.at(-1) ?? {};
    if (performance.now() - atMs >= 2 * INTERVAL_MS) this.#draw();
  }

  #draw(): void {
    const nowMs = performance.now();
    this.#looks = [...this.#looks, { atMs: nowMs, bytes: this.#bytes }].slice(-RATE_LOOKS);
    if (nowMs - this.#startedAtMs < FIRST_AFTER_MS) return;
    const [first] = this.#looks;
    const rate = first === undefined || nowMs === first.atMs
      ? 0
      : (this.#bytes - first.bytes) / (nowMs - first.atMs) * 1000;
    this.#terminal.showProgress(
      describeProgress({ bytes: this.#bytes, totalBytes: this.#totalBytes, bytesPerSecond: rate }),
    );
  }

  /** Takes the line away. */
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
  // What is written while it is read is more than there was.
  const total = totalBytes === undefined || totalBytes < bytes
    ? ""
    : ` of ${binaryBytes(totalBytes)}`;
  return `${binaryBytes(bytes)}${total}, ${binaryBytes(Math.round(bytesPerSecond))}/s`;
}
