/** What has happened to jobs, in the order in which it went on record: a table beside that of the records. */
import type { DatabaseSync, StatementSync } from "node:sqlite";
import * as v from "valibot";
import { EVENT_KINDS, type JobEvent } from "../model/events.ts";
import { reading } from "./database.ts";

/** Events that are kept, the newest: some 15 MB. */
const MAX_EVENTS = 100_000;

/** Older ones are deleted after so many new ones. */
const TRIM_EVERY = 1000;

/** An event that is on record. */
export interface RecordedEvent extends JobEvent {
  /** Its place: later events have greater numbers. A journal that is begun anew has greater ones, too. */
  readonly number: number;
}

/** Some events in their order. */
export interface JournalPage {
  readonly events: readonly RecordedEvent[];
  /** Whether events before the first one are not kept any more. */
  readonly missed: boolean;
  /** The number to go on after. */
  readonly next: number;
}

const LAST_ROW = v.object({ number: v.number() });

/** At first that is the beginning of the journal, whose time is 0: nothing is lost yet. */
const FIRST_ROW = v.object({ number: v.number(), time_ms: v.number() });

const REMOVED = v.pipe(
  v.string(),
  v.parseJson(),
  v.object({ title: v.string(), labels: v.record(v.string(), v.string()) }),
);

const EVENT_ROW = v.object({
  number: v.number(),
  time_ms: v.number(),
  kind: v.picklist(EVENT_KINDS),
  job: v.string(),
  owner: v.string(),
  by: v.string(),
  removed: v.nullable(REMOVED),
});

/** Events are added with the changes that they tell of, in one transaction (lib/store.ts). */
export class Journal {
  readonly #insert: StatementSync;
  readonly #trim: StatementSync;
  readonly #select: StatementSync;
  readonly #first: StatementSync;
  #last: number;
  #told: number;
  /** Called at the next news. */
  readonly #waiting = new Set<() => void>();
  /** The last page that was read: those who wait for news all ask for the same one. */
  #latest:
    | { readonly after: number; readonly told: number; readonly page: JournalPage }
    | undefined;

  constructor(database: DatabaseSync) {
    this.#insert = database.prepare(
      "INSERT INTO events (time_ms, kind, job, owner, by, removed) VALUES (?, ?, ?, ?, ?, ?)",
    );
    this.#trim = database.prepare("DELETE FROM events WHERE number <= ?");
    this.#select = database.prepare(
      "SELECT number, time_ms, kind, job, owner, by, removed FROM events " +
        "WHERE number > ? AND number <= ? ORDER BY number LIMIT ?",
    );
    this.#first = database.prepare("SELECT number, time_ms FROM events ORDER BY number LIMIT 1");
    const last = reading(() => database.prepare("SELECT max(number) AS number FROM events").get());
    this.#last = this.#told = v.parse(LAST_ROW, last).number;
  }

  /** The number of the newest event that may be told: the disk has it. */
  get last(): number {
    return this.#told;
  }

  /** The number of the newest event, told or not. */
  get added(): number {
    return this.#last;
  }

  /** Adds an event, in a transaction of the caller's. @returns Its number, for `committed`. */
  add({ timeMs, kind, jobId, owner, by, removed }: JobEvent): number {
    const about = removed === undefined ? null : JSON.stringify(removed);
    const { lastInsertRowid } = this.#insert.run(timeMs, kind, jobId, owner, by, about);
    const number = Number(lastInsertRowid);
    if (number % TRIM_EVERY === 0) this.#trim.run(number - MAX_EVENTS);
    return number;
  }

  /** The transaction is over: the file has the events up to a number. */
  committed(number: number): void {
    this.#last = number;
  }

  /** The disk has the events up to a number: they may be told. */
  publish(number: number): void {
    if (number <= this.#told) return;
    this.#told = number;
    for (const wake of this.#waiting) wake();
  }

  /** Settles when there are events after a number, or the signal is aborted. */
  async after(number: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    signal.addEventListener("abort", wake);
    this.#waiting.add(wake);
    if (!signal.aborted && number >= this.#told) await promise;
    this.#waiting.delete(wake);
    signal.removeEventListener("abort", wake);
  }

  /** Whether events since a time are not kept any more. */
  hasLost(sinceMs: number): boolean {
    const { time_ms: firstMs } = v.parse(FIRST_ROW, reading(() => this.#first.get()));
    return firstMs > sinceMs;
  }

  /**
   * The next events after a number; also of one that this journal has never given: then some are missed.
   *
   * @param count At most so many.
   * @throws {Error} When the file is damaged.
   */
  page(after: number, count: number): JournalPage {
    const told = this.#told;
    if (this.#latest?.after === after && this.#latest.told === told) return this.#latest.page;
    const page = this.#read(after, count);
    this.#latest = { after, told, page };
    return page;
  }

  #read(after: number, count: number): JournalPage {
    // The records are from an older copy of the file, or another one.
    if (after > this.#last) return { events: [], missed: true, next: this.#told };
    const rows = reading(() => this.#select.all(after, this.#told, count));
    const events = rows.flatMap((row) => {
      const read = v.safeParse(EVENT_ROW, row);
      if (!read.success) return []; // Of a newer server, or damaged: nobody can be told of it.
      const { time_ms: timeMs, job: jobId, removed, ...rest } = read.output;
      return [{ ...rest, timeMs, jobId, ...(removed !== null && { removed }) }];
    });
    const { number: first } = v.parse(FIRST_ROW, reading(() => this.#first.get()));
    const next = rows.length < count ? Math.max(after, this.#told) : Number(rows.at(-1)?.number);
    return { events, missed: after + 1 < first, next };
  }
}
