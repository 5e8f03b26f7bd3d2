/**
 * Jobs' resource usage over time: one sample for each answer of the server, none for a drawing of the
 * page. Pure.
 */
import type { QueryResponse__Output } from "../../../proto/contract.ts";
import { countedMsBetween } from "../../jobs/counted_usage.ts";
import type { ReadJob, ReadTime } from "../protocol.ts";

/** Ten minutes with one sample a second. */
const MAX_SAMPLES = 600;

/** Rates over shorter intervals would be too inaccurate. */
const MIN_INTERVAL_MS = 400;

/** After a longer time without a look, as in a hidden tab, there is a gap: who knows what was in it. */
const MAX_INTERVAL_MS = 60_000;

/** Clocks that disagree about an interval by more: the machine slept, or its clock was set. */
const MAX_DISAGREEMENT_MS = 2_000;

/** One sample, with rates since the one before. Null: unknown. */
export interface UsageSample {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly atMs: number;
  readonly cpuPercent: number | null;
  readonly memoryBytes: number | null;
  readonly readBytesPerSecond: number | null;
  readonly writtenBytesPerSecond: number | null;
}

type Usage = NonNullable<QueryResponse__Output["usage"]>;

/** A look at the counters. */
interface Look {
  readonly at: ReadTime;
  readonly usage: Usage;
}

/** The last samples of one job. */
class UsageHistory {
  readonly samples: UsageSample[] = [];
  #before: Look | undefined;

  add(look: Look): void {
    const passedMs = this.#before && look.at.steadyMs - this.#before.at.steadyMs;
    if (passedMs !== undefined && passedMs < MIN_INTERVAL_MS) return;
    // A cluster's node has not counted again since.
    if (countedMsBetween(this.#before?.usage, look.usage) === 0) return;
    if (this.#before !== undefined && !isTrusted(this.#before.at, look.at)) this.breakOff();
    // A clock was set back: a plot goes forward alone.
    if ((this.samples.at(-1)?.atMs ?? -Infinity) >= look.at.wallMs) this.samples.length = 0;
    this.#push(sampleOf(look, this.#before));
    this.#before = look;
  }

  /** Nothing is known from the last sample to the next one: a gap, where lines are broken. */
  breakOff(): void {
    if (this.#before === undefined) return;
    this.#push({
      atMs: this.#before.at.wallMs + 1,
      cpuPercent: null,
      memoryBytes: null,
      readBytesPerSecond: null,
      writtenBytesPerSecond: null,
    });
    this.#before = undefined;
  }

  #push(sample: UsageSample): void {
    this.samples.push(sample);
    if (this.samples.length > MAX_SAMPLES) this.samples.shift();
  }
}

/** Whether a rate between two looks says what the job did. */
function isTrusted(before: ReadTime, after: ReadTime): boolean {
  const steadyMs = after.steadyMs - before.steadyMs;
  const wallMs = after.wallMs - before.wallMs;
  return steadyMs <= MAX_INTERVAL_MS && Math.abs(wallMs - steadyMs) <= MAX_DISAGREEMENT_MS;
}

function sampleOf({ at, usage }: Look, before: Look | undefined): UsageSample {
  const passedMs = countedMsBetween(before?.usage, usage) ??
    at.steadyMs - (before?.at.steadyMs ?? 0);
  const rate = (name: "cpuUsec" | "readBytes" | "writtenBytes") => {
    const [from, to] = [before?.usage[name], usage[name]];
    if (before === undefined || typeof from !== "number" || typeof to !== "number") return null;
    // A counter that has gone back was counted anew: what it was in between is unknown.
    return to < from || passedMs <= 0 ? null : (to - from) / passedMs * 1000;
  };
  const cpu = rate("cpuUsec");
  return {
    atMs: at.wallMs,
    cpuPercent: cpu === null ? null : cpu / 10_000,
    memoryBytes: usage.memoryBytes ?? null,
    readBytesPerSecond: rate("readBytes"),
    writtenBytesPerSecond: rate("writtenBytes"),
  };
}

/** How many jobs have a history; those of which the server spoke last are kept. */
const MAX_JOBS = 300;

const NONE: readonly UsageSample[] = [];

/** The histories of the jobs that this page has shown. */
export class UsageHistories {
  readonly #byJob = new Map<string, UsageHistory>();

  /**
   * Takes what the answer to a request says about jobs, and that there was none.
   *
   * @param jobsOf The jobs in an answer.
   * @returns The answer.
   */
  async record<Answer>(
    request: Promise<Answer>,
    jobsOf: (answer: Answer) => readonly ReadJob[],
  ): Promise<Answer> {
    try {
      const answer = await request;
      for (const read of jobsOf(answer)) this.#take(read);
      return answer;
    } catch (error) {
      for (const history of this.#byJob.values()) history.breakOff();
      throw error;
    }
  }

  /** A job's samples, the oldest first; for one job always the same list. */
  samplesOf(jobID: string): readonly UsageSample[] {
    return this.#byJob.get(jobID)?.samples ?? NONE;
  }

  #take({ job, readAt }: ReadJob): void {
    if (job.exited || job.usage === null) return;
    const history = this.#byJob.get(job.jobID) ?? new UsageHistory();
    this.#byJob.delete(job.jobID);
    this.#byJob.set(job.jobID, history);
    history.add({ at: readAt, usage: job.usage });
    const [oldest] = this.#byJob.keys();
    if (this.#byJob.size > MAX_JOBS && oldest !== undefined) this.#byJob.delete(oldest);
  }
}
