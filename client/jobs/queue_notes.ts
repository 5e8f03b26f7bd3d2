import type { QueryResponse__Output } from "../../proto/contract.ts";
import { pause } from "../connection/abort.ts";
import type { Session } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import { describeQueued } from "./queued.ts";
import { stateOf } from "./state.ts";

/** Most starts of a cluster that is not full take less. */
const FIRST_AFTER_MS = 2_000;

/** Milliseconds between two looks at jobs that wait in a queue. */
const INTERVAL_MS = 5_000;

/** At most so many jobs have notes of their own; more are counted. */
const MAX_NAMED = 3;

/** What takes the notes. A terminal is one. */
interface Notebook {
  /** Whether somebody reads them now. */
  readonly isAttended: boolean;
  note(text: string): void;
}

/** A job that is waited for. */
interface WatchedJob {
  readonly session: Pick<Session, "call">;
  /** The whole id. */
  readonly jobID: string;
  /** How the user calls it; undefined: it is the only one. */
  readonly name: string | undefined;
}

/**
 * Notes what jobs wait for, once and at changes, where standard error is a terminal.
 * A job that does not wait costs one Query: no job comes back to the queue.
 */
export class QueueNotes implements Disposable {
  readonly #terminal: Notebook;
  readonly #isEnabled: boolean;
  readonly #jobs = new Set<WatchedJob>();
  readonly #noted = new Map<WatchedJob, string>();
  readonly #end = new AbortController();
  #counted = "";
  #isRunning = false;

  /** @param options `isQuiet`: whether the user wants no notes. */
  constructor(
    terminal: Notebook,
    { isQuiet = false }: { readonly isQuiet?: boolean } = {},
  ) {
    this.#terminal = terminal;
    this.#isEnabled = terminal.isAttended && !isQuiet;
  }

  /** Begins to look at a job. */
  add(job: WatchedJob): void {
    if (!this.#isEnabled) return;
    this.#jobs.add(job);
    if (!this.#isRunning) this.#run();
  }

  /** Ends all notes. */
  [Symbol.dispose](): void {
    this.#end.abort();
  }

  async #run(): Promise<void> {
    const { signal } = this.#end;
    this.#isRunning = true;
    try {
      await pause(FIRST_AFTER_MS, signal);
      while (this.#jobs.size > 0) {
        await this.#look(signal);
        await pause(INTERVAL_MS, signal);
      }
    } catch (error) {
      // The wait is over.
      if (!signal.aborted) throw error;
    } finally {
      this.#isRunning = false;
    }
  }

  async #look(signal: AbortSignal): Promise<void> {
    const queued: [WatchedJob, QueryResponse__Output][] = [];
    for (const watched of this.#jobs) {
      const job = await this.#query(watched, signal);
      // What cannot be asked has not changed.
      if (job === undefined) continue;
      if (stateOf(job) === "pending") queued.push([watched, job]);
      else this.#leave(watched, job);
    }
    if (queued.length > MAX_NAMED) this.#count(queued.map(([, job]) => job));
    else for (const entry of queued) this.#noteQueued(...entry);
  }

  async #query(
    { session, jobID }: WatchedJob,
    signal: AbortSignal,
  ): Promise<QueryResponse__Output | undefined> {
    try {
      return await session.call("Query", { jobID }, { retryForMs: 0, isQuiet: true, signal });
    } catch (error) {
      // Whoever waits for the job reports what is wrong.
      if (error instanceof ClientError) return undefined;
      throw error;
    }
  }

  #noteQueued(watched: WatchedJob, job: QueryResponse__Output): void {
    const { text, asOf } = describeQueued(job, Date.now());
    // The time alone is no news, but that the engine has become silent is.
    const key = `${text}${asOf === "" ? "" : " (old)"}`;
    if (this.#noted.get(watched) === key) return;
    this.#noted.set(watched, key);
    const { name } = watched;
    this.#terminal.note(`${name === undefined ? "" : `job ${name} is `}${text}${asOf}`);
  }

  #leave(watched: WatchedJob, job: QueryResponse__Output): void {
    this.#jobs.delete(watched);
    // Whoever waits for the job reports its end.
    if (!this.#noted.has(watched) || job.exited) return;
    const { name } = watched;
    const node = job.node === "" ? "" : ` on ${job.node}`;
    this.#terminal.note(`${name === undefined ? "" : `job ${name} is `}running${node}`);
  }

  #count(jobs: readonly QueryResponse__Output[]): void {
    const counts = new Map<string, number>();
    for (const { pendingReason } of jobs) {
      // Its place in line is each job's own.
      const reason = pendingReason.replace(/: \d+.. of \d+$/, "") || "no reason given";
      counts.set(reason, (counts.get(reason) ?? 0) + 1);
    }
    const reasons = [...counts].map(([reason, count]) => `${reason} (${count})`).join(", ");
    const text = `${jobs.length} jobs are waiting in the queue: ${reasons}`;
    if (text !== this.#counted) this.#terminal.note(text);
    this.#counted = text;
  }
}
