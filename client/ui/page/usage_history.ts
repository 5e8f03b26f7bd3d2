/** A job's resource usage over time, as far as this page has polled it. Pure. */
import type { QueryResponse__Output } from "../../../proto/contract.ts";

/** Ten minutes with one sample a second. */
const MAX_SAMPLES = 600;

/** Rates over shorter intervals would be too inaccurate. */
const MIN_INTERVAL_MS = 400;

/** One sample, with rates since the one before. Null: unknown. */
export interface UsageSample {
  readonly atMs: number;
  readonly cpuPercent: number | null;
  readonly memoryBytes: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writtenBytesPerSecond: number | null;
}

type Usage = NonNullable<QueryResponse__Output["usage"]>;

/** The last samples of one job. */
export class UsageHistory {
  #samples: UsageSample[] = [];
  #before: { readonly atMs: number; readonly usage: Usage } | undefined;

  /** The oldest first. */
  get samples(): readonly UsageSample[] {
    return this.#samples;
  }

  /** Adds a sample. */
  add(atMs: number, usage: Usage | null): void {
    const before = this.#before;
    if (usage === null || before !== undefined && atMs - before.atMs < MIN_INTERVAL_MS) return;
    this.#before = { atMs, usage };
    const rate = (name: "cpuUsec" | "readBytes" | "writtenBytes") => {
      const [from, to] = [before?.usage[name], usage[name]];
      if (before === undefined || typeof from !== "number" || typeof to !== "number") return null;
      return Math.max(0, (to - from) / (atMs - before.atMs) * 1000);
    };
    const cpu = rate("cpuUsec");
    this.#samples.push({
      atMs,
      cpuPercent: cpu === null ? null : cpu / 10_000,
      memoryBytes: usage.memoryBytes ?? null,
      readBytesPerSecond: rate("readBytes"),
      writtenBytesPerSecond: rate("writtenBytes"),
    });
    if (this.#samples.length > MAX_SAMPLES) this.#samples.shift();
  }
}

/** How many jobs have a history; the most recently shown ones are kept. */
const MAX_JOBS = 300;

/** The histories of the jobs that this page has shown. */
export class UsageHistories {
  readonly #byJob = new Map<string, UsageHistory>();

  /** Adds the usage of a running job. */
  take(job: QueryResponse__Output, atMs: number): UsageHistory {
    const history = this.#byJob.get(job.jobID) ?? new UsageHistory();
    this.#byJob.delete(job.jobID);
    this.#byJob.set(job.jobID, history);
    if (!job.exited) history.add(atMs, job.usage);
    const [oldest] = this.#byJob.keys();
    if (this.#byJob.size > MAX_JOBS && oldest !== undefined) this.#byJob.delete(oldest);
    return history;
  }
}
