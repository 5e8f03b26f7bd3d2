/**
 * Output with the times at which it was written, and what was written between two times. How exact that
 * is: as the server looks at outputs, which is twice a second (lib/server/housekeeping.ts).
 */
import { type Clock, LONGEST_TIMER_MS, SYSTEM_CLOCK } from "../../common/clock.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { type Chunk, isTail, type OutputLog, type ReadRange } from "../logs.ts";
import { withHeadroom } from "./headroom.ts";
import { nextEntry, type TimeEntry, TimeIndex } from "./time_index.ts";

/** So long after the entries were read, one for what is newer may have come. */
const FRESH_MS = 500;

const NOTHING = new Uint8Array();

/** Which times; what is not given does not narrow. Milliseconds since 1970-01-01 UTC. */
export interface Timing {
  /** Not what was written before. */
  readonly sinceMs?: number;
  /** Not what was written later; the reading ends there. */
  readonly untilMs?: number;
}

/** Where output and its times come from. */
export type TimedOutput = Pick<OutputLog, "look" | "read" | "times">;

type TakeTurn = () => Promise<Disposable>;

/** Reads an output as {@linkcode OutputLog.read} does, with a time for each chunk. */
export class TimedReader {
  readonly #output: TimedOutput;
  readonly #timing: Timing;
  readonly #clock: Clock;

  constructor(output: TimedOutput, timing: Timing, clock: Clock = SYSTEM_CLOCK) {
    this.#output = output;
    this.#timing = timing;
    this.#clock = clock;
  }

  /** As {@linkcode OutputLog.read}; no chunk has bytes of two entries of the index. */
  async *read(range: ReadRange, signal: AbortSignal, takeTurn?: TakeTurn): AsyncGenerator<Chunk> {
    const { sinceMs, untilMs = Infinity } = this.#timing;
    const times = new PresentTimes(this.#output, this.#clock);
    const isAhead = sinceMs !== undefined && sinceMs > this.#clock.nowMs();
    let rest = range;
    if (sinceMs !== undefined) {
      const from = (await times.load()).offsetSince(sinceMs);
      rest = isTail(range) ? { ...range, from } : { ...range, offset: from };
      // As a tail's: where it begins.
      if (!isTail(range)) {
        yield* await times.piecesOf({ offset: from, bytes: withHeadroom(NOTHING), gapBytes: 0 });
      }
    }
    while (!signal.aborted) {
      const isOver = untilMs < this.#clock.nowMs();
      if (isOver) rest = { ...rest, follow: false, end: (await times.load()).offsetUntil(untilMs) };
      using alarm = isOver ? undefined : new Alarm(this.#clock, untilMs);
      const ended = alarm === undefined ? signal : AbortSignal.any([signal, alarm.signal]);
      for await (const chunk of this.#output.read(rest, ended, takeTurn)) {
        for (const piece of await times.piecesOf(chunk)) {
          if (piece.timeMs > untilMs) return;
          if (isAhead && piece.timeMs < sinceMs) continue;
          yield piece;
        }
        rest = { follow: rest.follow, offset: chunk.offset + chunk.bytes.length };
      }
      if (!ended.aborted) return;
    }
  }
}

/** Aborts its signal when a time is over. */
class Alarm implements Disposable {
  readonly #controller = new AbortController();
  #cancel = () => {};

  constructor(clock: Clock, timeMs: number) {
    if (timeMs === Infinity) return;
    const wait = () => {
      const leftMs = timeMs + 1 - clock.nowMs();
      if (leftMs <= 0) return this.#controller.abort();
      this.#cancel = clock.after(Math.min(leftMs, LONGEST_TIMER_MS), wait);
    };
    wait();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  [Symbol.dispose](): void {
    this.#cancel();
  }
}

/** The times of an output that may still grow. */
class PresentTimes {
  readonly #output: TimedOutput;
  readonly #clock: Clock;
  #index = TimeIndex.of([]);
  #loadedAtMs = -Infinity;
  /** What was told last: later bytes have no earlier time. */
  #lastMs = 0;

  constructor(output: TimedOutput, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  async load(): Promise<TimeIndex> {
    const { times } = this.#output;
    const seen = await this.#output.look();
    this.#loadedAtMs = this.#clock.nowMs();
    try {
      this.#index = await times.load(seen);
    } catch (error) {
      log.warn("cannot read the times of a job's output", { error: messageOf(error) });
      this.#index = TimeIndex.of([seen]);
    }
    return this.#index;
  }

  /** Cuts a chunk where the time changes. */
  async piecesOf(chunk: Chunk): Promise<(Chunk & { readonly timeMs: number })[]> {
    const { offset, bytes, gapBytes } = chunk;
    const pieces = [];
    const end = offset + bytes.length;
    let begin = offset;
    do {
      // Of a chunk without bytes: when what is missing before it was written.
      const entry = await this.#entryOf(bytes.length === 0 ? Math.max(0, begin - 1) : begin);
      const timeMs = this.#lastMs = Math.max(this.#lastMs, entry?.timeMs ?? this.#clock.nowMs());
      const pieceEnd = Math.min(end, entry?.bytes ?? Infinity);
      const isWhole = begin === offset && pieceEnd >= end;
      const piece = isWhole
        ? bytes
        : withHeadroom(bytes.subarray(begin - offset, pieceEnd - offset));
      pieces.push({
        offset: begin,
        bytes: piece,
        gapBytes: begin === offset ? gapBytes : 0,
        timeMs,
      });
      begin = pieceEnd;
    } while (begin < end);
    return pieces;
  }

  async #entryOf(offset: number): Promise<TimeEntry | undefined> {
    const entry = this.#index.entryOf(offset);
    if (entry !== undefined) return entry;
    const nowMs = this.#clock.nowMs();
    const ageMs = nowMs - this.#loadedAtMs;
    if (ageMs < 0 || ageMs >= FRESH_MS) return (await this.load()).entryOf(offset);
    const live = nextEntry(this.#index.last, await this.#output.look(), nowMs);
    return live !== undefined && offset < live.bytes ? live : undefined;
  }
}
