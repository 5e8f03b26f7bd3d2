import { ClientError } from "../errors.ts";
import type { ChosenServer } from "../command_line/servers.ts";
import { countedMsBetween } from "../jobs/counted_usage.ts";
import { type Rated, ratesOf, type Sample, sampleUsage } from "../jobs/usage.ts";

/** The first rates need two samples; the user should not wait long for them. */
const FIRST_INTERVAL_MS = 300;

/** The longest interval between two tries of a server that cannot be reached. */
const LONGEST_INTERVAL_MS = 10_000;

/** How many of the last samples are kept. */
export const HISTORY_LENGTH = 16;

/** A running job, and its usage in the last samples. */
export interface WatchedJob extends Rated {
  /** Per cent of a core, the newest last. */
  readonly history: readonly number[];
}

/** What is sampled, and how often. */
export interface WatchOptions {
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds between two samples. */
  readonly intervalMs: number;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Called after each sample, successful or not. */
  readonly onSample: () => void;
}

/** Samples one server's running jobs at intervals, also when the server is away for a time. */
export class Watch {
  readonly #server: ChosenServer;
  readonly #options: WatchOptions;
  readonly #histories = new Map<string, readonly number[]>();
  #hasAnswered = false;
  #before: Sample | undefined;
  #jobs: readonly WatchedJob[] = [];
  #problem: ClientError | undefined;

  constructor(server: ChosenServer, options: WatchOptions) {
    this.#server = server;
    this.#options = options;
  }

  /** The server's context, where it has one. */
  get context(): string | undefined {
    return this.#server.context;
  }

  /** Whether the server has ever answered. */
  get hasAnswered(): boolean {
    return this.#hasAnswered;
  }

  /** The result of the last two samples; empty while the server cannot be reached. */
  get jobs(): readonly WatchedJob[] {
    return this.#jobs;
  }

  /** Why the last sample failed; undefined where it did not. */
  get problem(): ClientError | undefined {
    return this.#problem;
  }

  /** Samples until the signal is aborted. */
  async run(): Promise<void> {
    const { intervalMs, signal, onSample } = this.#options;
    let waitMs = FIRST_INTERVAL_MS;
    while (!signal.aborted) {
      await this.#sample();
      onSample();
      await pauseUntil(signal, waitMs);
      // Each try of a server that refuses the client costs both sides a handshake.
      waitMs = this.#problem === undefined || waitMs < intervalMs
        ? intervalMs
        : Math.max(intervalMs, Math.min(2 * waitMs, LONGEST_INTERVAL_MS));
    }
  }

  async #sample(): Promise<void> {
    try {
      const session = await this.#server.open();
      // No retries: the display has to show that a server cannot be reached.
      const after = await sampleUsage(session, this.#options.labels, {
        retryForMs: 0,
        isQuiet: true,
      });
      this.#remember(ratesOf(this.#before ?? after, after));
      this.#hasAnswered = true;
      this.#before = after;
      this.#problem = undefined;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      this.#jobs = [];
      this.#before = undefined;
      this.#problem = error;
    }
  }

  /** Histories are kept while a server is away. */
  #remember(rated: readonly Rated[]): void {
    const earlier = new Map(this.#histories);
    const shown = new Map(this.#jobs.map((watched) => [watched.job.jobID, watched]));
    this.#histories.clear();
    this.#jobs = rated.map(({ job, rates }) => {
      const last = shown.get(job.jobID);
      // Its node has not counted again since.
      const isSame = countedMsBetween(last?.job.usage, job.usage) === 0;
      const history = [...earlier.get(job.jobID) ?? [], isSame ? null : rates.cpuPercent]
        .filter((value) => value !== null)
        .slice(-HISTORY_LENGTH);
      this.#histories.set(job.jobID, history);
      return { job, rates: isSame && last !== undefined ? last.rates : rates, history };
    });
  }
}

/** Waits, but no longer than until the signal is aborted. */
function pauseUntil(signal: AbortSignal, durationMs: number): Promise<void> {
  return new Promise((resolve) => {
    const end = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", end);
      resolve();
    };
    const timer = setTimeout(end, durationMs);
    signal.addEventListener("abort", end);
    if (signal.aborted) end();
  });
}
