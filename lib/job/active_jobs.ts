/** Jobs that have not ended, in memory and on record. The only writer of a job's state. */
import { isDiskFull, isDiskRefusing, messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { OutputLog } from "../logs.ts";
import type { EngineStatus } from "../model/engine.ts";
import { eventOfChange, eventOfUpdate, type JobEvent } from "../model/events.ts";
import {
  type ComingLimits,
  hasEnded,
  isHeld,
  type JobRecord,
  type JobState,
  requireTransition,
} from "../model/record.ts";
import type { JobStore } from "../store.ts";
import type { Clock } from "../../common/clock.ts";
import { Tally } from "./tally.ts";

/** How long after a record could not be stored (the disk may be full) the next attempt is made. */
const STORE_RETRY_MS = 1000;

/** A job that has not ended, or whose end is not on record yet. */
export interface ActiveJob {
  /** As it is now: each change of state makes another record. */
  readonly record: JobRecord;
  readonly output: OutputLog;
  /** Its standard error, where that is kept apart. */
  readonly errors: OutputLog | undefined;
  /** Whether none of its processes is left: it takes no room, also while the disk keeps its end back. */
  readonly isOver: boolean;
  /** Settles when the disk has the record of a job that has begun or waits; rejects where the disk is full. */
  readonly stored: Promise<void>;
  /** Settles when the job has ended and its record says so; never rejects. */
  readonly ended: Promise<void>;
}

/** What changes with a job's state, besides the state. */
export interface ChangeOptions {
  /** The job is being stopped, or was, because its timeout is over. */
  readonly timedOut?: true;
  /** The common name of the certificate that stops it. */
  readonly stoppedBy?: string;
  /** What the engine has said of the job. */
  readonly engine?: EngineStatus;
  /** The job is given to its executor once more. */
  readonly attempt?: number;
  /** What the output of a job that has ended takes on disk, in bytes. */
  readonly diskBytes?: number;
  /** The size of the whole output of a job that has ended, with what is missing in it. */
  readonly outputBytes?: number;
  /** The same of its standard error, where that is kept apart. */
  readonly stderrBytes?: number;
}

/** What of a job is decided when it is given to its executor. */
export type HandOver = Pick<JobRecord, "limits" | "handle">;

/** {@linkcode ActiveJob}, as only this file sees it. */
interface Entry extends ActiveJob {
  record: JobRecord;
  isOver: boolean;
  /** It is held no longer: it is about to be given to its executor. */
  isDue: boolean;
  ended: Promise<void>;
  readonly storing: PromiseWithResolvers<void>;
  /** What the changes tell that are not on record yet. */
  events: readonly JobEvent[];
}

/** All active jobs of one server. */
export class ActiveJobs {
  readonly #store: JobStore;
  readonly #clock: Clock;
  readonly #entries = new Map<string, Entry>();
  /** Jobs that take room of the host's: they run, or are about to. */
  readonly running = new Tally();
  /** Jobs that wait on this host. */
  readonly held = new Tally();
  /** Called when a job takes no room any more. */
  onRoom: (id: string) => void = () => {};

  constructor(store: JobStore, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** Those that have not ended. */
  *[Symbol.iterator](): Generator<ActiveJob> {
    for (const job of this.#entries.values()) {
      if (!hasEnded(job.record.state)) yield job;
    }
  }

  /** The job, until it has ended and its end is stored. */
  get(id: string): ActiveJob | undefined {
    return this.#entries.get(id);
  }

  /**
   * Adds a job that its executor has taken.
   *
   * @param whenEnded Settles when the job's end is recorded by {@linkcode change}; must not reject.
   */
  add(
    record: JobRecord,
    { output, errors, whenEnded }: {
      readonly output: OutputLog;
      readonly errors?: OutputLog | undefined;
      readonly whenEnded: (job: ActiveJob) => Promise<void>;
    },
  ): ActiveJob {
    const storing = Promise.withResolvers<void>();
    storing.promise.catch(() => {}); // Only a start waits for it.
    if (record.state.kind !== "starting") storing.resolve();
    const entry: Entry = {
      record,
      output,
      errors,
      isOver: false,
      isDue: false,
      storing,
      stored: storing.promise,
      ended: Promise.resolve(),
      events: [],
    };
    this.#entries.set(record.id, entry);
    this.#count(entry);
    entry.ended = whenEnded(entry);
    return entry;
  }

  /**
   * Changes a job's state, in memory at once, and on disk.
   *
   * @returns Settles when the first attempt to store it has succeeded or failed: one that has failed
   * is repeated until it succeeds, or the state has changed again.
   * @throws {Error} For a change that cannot be: a defect.
   */
  async change(id: string, state: JobState, options: ChangeOptions = {}): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`job ${id} is not active`);
    requireTransition(entry.record.state, state);
    const { diskBytes = 0, ...news } = options;
    const before = entry.record;
    entry.record = { ...before, state, ...news };
    const event = eventOfChange(before, entry.record, this.#clock.nowMs());
    if (event !== undefined) entry.events = [...entry.events, event];
    if (isHeld(state)) entry.isDue = false;
    this.#count(entry);
    await this.#save(entry, diskBytes);
  }

  /** Whether the turn of a job that waits on this host has come: it takes room then. */
  setDue(id: string, isDue: boolean): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.isDue = isDue;
    this.#count(entry);
  }

  /**
   * Puts on record that a job which waited on this host is given to its executor. Once it may run, no later
   * server must take it for one that has not.
   *
   * @throws When the disk does not take it; then the job is not to be given.
   */
  async handOver(id: string, news: HandOver): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) throw new Error(`job ${id} is not active`);
    const state = { kind: "pending" } as const;
    requireTransition(entry.record.state, state);
    const record = { ...entry.record, ...news, state };
    this.#store.update(record, 0, entry.events);
    entry.events = [];
    entry.record = record;
    await this.#store.synced();
  }

  /**
   * Notes on disk which limits are being set for a job, before the kernel is told.
   *
   * @throws Where the store refuses; then nothing is noted.
   */
  announceLimits({ record: { id } }: ActiveJob, comingLimits: ComingLimits): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const record = { ...entry.record, comingLimits };
    this.#store.update(record);
    entry.record = record;
  }

  /**
   * Records the limits that a job has, once nothing is being set any more: in memory at once, and on disk.
   *
   * @param by The common name of the certificate that has changed them; empty: it is not known.
   */
  async setLimits(
    { record: { id } }: ActiveJob,
    limits: Partial<ComingLimits>,
    by = "",
  ): Promise<void> {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    const { comingLimits: _, ...record } = entry.record;
    entry.record = { ...record, ...limits };
    if (limits.limits !== undefined && !hasEnded(record.state)) {
      entry.events = [...entry.events, eventOfUpdate(record, by, this.#clock.nowMs())];
    }
    if (!hasEnded(record.state)) await this.#save(entry, 0);
  }

  /** None of a job's processes is left. */
  setOver({ record: { id } }: ActiveJob): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    entry.isOver = true;
    this.#count(entry);
  }

  /** Forgets a job whose start is taken back: its record is not stored any more. */
  forget(id: string): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) this.setOver(entry);
    this.#entries.delete(id);
  }

  /** Moves the beginning of a job's output, once the store has it; also of a job that has just ended. */
  setFirstOffset({ record: { id }, output }: ActiveJob, firstOffset: number): void {
    const entry = this.#entries.get(id);
    if (entry !== undefined) entry.record = { ...entry.record, firstOffset };
    output.firstOffset = firstOffset;
  }

  /**
   * Stores where the standard error of a job begins, before the bytes before that are freed.
   *
   * @returns False for a job whose end is being stored.
   * @throws When the disk refuses it.
   */
  storeStderrOffset({ record: { id } }: ActiveJob, stderrFirstOffset: number): boolean {
    const entry = this.#entries.get(id);
    if (entry === undefined || hasEnded(entry.record.state)) return false;
    const record = { ...entry.record, stderrFirstOffset };
    this.#store.update(record, 0, entry.events);
    entry.events = [];
    entry.record = record;
    return true;
  }

  /** Keeps the tallies: each job is in one of them, or in neither. */
  #count({ record: { id, owner, state }, isOver, isDue }: Entry): void {
    const isActive = !isOver && !hasEnded(state);
    const isWaiting = isActive && isHeld(state) && !isDue;
    this.held.set(id, owner, isWaiting);
    const leaves = this.running.set(id, owner, isActive && !isWaiting) && !isActive;
    if (leaves) this.onRoom(id);
  }

  async #save(entry: Entry, diskBytes: number, isRepeated = false): Promise<void> {
    const { id, state } = entry.record;
    try {
      this.#store.update(entry.record, diskBytes, entry.events);
      entry.events = [];
      await this.#store.synced();
      entry.storing.resolve();
      if (isRepeated) log.info("a job's record is stored now", { job: id });
      if (hasEnded(state)) this.#entries.delete(id);
    } catch (error) {
      if (!isRepeated) {
        log.error("cannot store a job's record: it is tried again every second", {
          job: id,
          error: messageOf(error),
        });
      }
      if (isDiskFull(error) || isDiskRefusing(error)) entry.storing.reject(error);
      this.#clock.after(STORE_RETRY_MS, () => {
        if (!this.#entries.has(id)) return;
        if (entry.record.state === state) void this.#save(entry, diskBytes, true);
      });
    }
  }
}
