/** What a job has used over time, as far as this page has looked. Pure. */
import type { QueryResponse__Output } from "../../../proto/contract.ts";

/** Ten minutes of one look a second. */
const MAX_SAMPLES = 600;

/** Looks closer together than that make rates of mere chance. */
const MIN_INTERVAL_MS = 400;

/** One look, and what has come since the one before. Null: not known. */
export interface UsageSample {
  readonly atMs: number;
  readonly cpuPercent: number | null;
  readonly memoryBytes: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writtenBytesPerSecond: number | null;
}

type Usage = NonNullable<QueryResponse__Output["usage"]>;

/** The last looks at one job. */
export class UsageHistory {
  #samples: UsageSample[] = [];
  #before: { readonly atMs: number; readonly usage: Usage } | undefined;

  /** The oldest first. */
  get samples(): readonly UsageSample[] {
    return this.#samples;
  }

  /** Adds a look. */
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

/** So many jobs have a history; the ones that were looked at last stay. */
const MAX_JOBS = 300;

/** The histories of all jobs that this page has looked at. */
export class UsageHistories {
  readonly #byJob = new Map<string, UsageHistory>();

  /** Notes what an answer of the server says of a running job. */
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
