import type { Sink } from "../jobs/follow.ts";
import { LineStamps } from "./line_stamps.ts";

/** Writes output with the time before each line. */
export class StampedSink implements Sink {
  readonly #sink: Pick<Sink, "write" | "note">;
  readonly #stamps = new LineStamps();

  constructor(sink: Pick<Sink, "write" | "note">) {
    this.#sink = sink;
  }

  write(bytes: Uint8Array, offset: number, timeMs: number): void {
    this.#sink.write(this.#stamps.mark(bytes, timeMs), offset, timeMs);
  }

  endLine(): void {
    const end = this.#stamps.markGap();
    if (end.length > 0) this.#sink.write(end, 0, 0);
  }

  note(text: string): void {
    this.#sink.note(text);
  }
}
