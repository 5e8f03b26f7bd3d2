/** Reads the counters of running jobs, once for all who ask within a moment. */
import type { CounterName, Placement } from "../cgroup/types.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** A job's counter files by name, as text. */
export type Counters = Map<CounterName, string>;

/** Jobs in one read: some 100 KiB of paths, and a few hundred of what is in the files. */
const MAX_JOBS = 500;

interface Waiting {
  readonly placement: Placement;
  readonly counters: PromiseWithResolvers<Counters>;
}

/** At most one read is under way; who asks meanwhile shares the next one. */
export class CounterReader {
  readonly #read: (placements: readonly Placement[]) => Promise<Counters[]>;
  /** By the group that tracks the job. */
  readonly #waiting = new Map<string, Waiting>();
  #isReading = false;
  #hasFailed = false;

  /** @param read Reads the counters of some jobs at once. */
  constructor(read: (placements: readonly Placement[]) => Promise<Counters[]>) {
    this.#read = read;
  }

  /**
   * Reads counters, not before the call.
   *
   * @returns In the order of the placements; none of a job whose counters cannot be read now, where
   * the host has no room for another process, say.
   */
  read(placements: readonly Placement[]): Promise<Counters[]> {
    const counters = placements.map((placement) => this.#ask(placement));
    if (!this.#isReading) void this.#readAll();
    return Promise.all(counters);
  }

  #ask(placement: Placement): Promise<Counters> {
    const { tracker } = placement;
    const waiting = this.#waiting.get(tracker) ??
      { placement, counters: Promise.withResolvers<Counters>() };
    this.#waiting.set(tracker, waiting);
    return waiting.counters.promise;
  }

  async #readAll(): Promise<void> {
    this.#isReading = true;
    while (this.#waiting.size > 0) {
      const batch = [...this.#waiting].slice(0, MAX_JOBS);
      for (const [tracker] of batch) this.#waiting.delete(tracker);
      const all = await this.#readBatch(batch.map(([, { placement }]) => placement));
      batch.forEach(([, { counters }], index) => counters.resolve(all[index] ?? new Map()));
    }
    this.#isReading = false;
  }

  async #readBatch(placements: readonly Placement[]): Promise<Counters[]> {
    try {
      const all = await this.#read(placements);
      this.#hasFailed = false;
      return all;
    } catch (error) {
      // Told once until it succeeds again: many may ask.
      if (!this.#hasFailed) {
        log.warn("cannot read the counters of jobs: answering without them", {
          error: messageOf(error),
        });
      }
      this.#hasFailed = true;
      return [];
    }
  }
}
