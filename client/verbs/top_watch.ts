import { ClientError } from "../errors.ts";
import type { ChosenServer } from "../command_line/servers.ts";
import { type Rated, ratesOf, type Sample, sampleUsage } from "../jobs/usage.ts";

/** The first rates need two looks, and nobody wants to wait for them. */
const FIRST_INTERVAL_MS = 300;

/** A server that is away is not looked for more seldom than that. */
const LONGEST_INTERVAL_MS = 10_000;

/** How many of the last looks are remembered. */
export const HISTORY_LENGTH = 16;

/** A running job, and what it has used at the last looks. */
export interface WatchedJob extends Rated {
  /** Per cent of a core, the newest last. */
  readonly history: readonly number[];
}

/** What is watched, and how often. */
export interface WatchOptions {
  readonly labels: Readonly<Record<string, string>>;
  /** Milliseconds between two looks. */
  readonly intervalMs: number;
  /** Ends the watch. */
  readonly signal: AbortSignal;
  /** Called after each look, whatever it has found. */
  readonly onLook: () => void;
}

/** One server's running jobs, looked at again and again, whatever becomes of the server. */
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

  /** What the last two looks have found; nothing while the server is away. */
  get jobs(): readonly WatchedJob[] {
    return this.#jobs;
  }

  /** Why the last look has failed; undefined where it has not. */
  get problem(): ClientError | undefined {
    return this.#problem;
  }

  /** Looks until the signal is given. */
  async run(): Promise<void> {
    const { intervalMs, signal, onLook } = this.#options;
    let waitMs = FIRST_INTERVAL_MS;
    while (!signal.aborted) {
      await this.#look();
      onLook();
      await pauseUntil(signal, waitMs);
      // Each try for a server that refuses us costs both sides a handshake.
      waitMs = this.#problem === undefined || waitMs < intervalMs
        ? intervalMs
        : Math.max(intervalMs, Math.min(2 * waitMs, LONGEST_INTERVAL_MS));
    }
  }

  async #look(): Promise<void> {
    try {
      const session = await this.#server.open();
      // A server that goes away shall be seen to be away.
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

  /** A server that comes back finds the histories of its jobs again. */
  #remember(rated: readonly Rated[]): void {
    const earlier = new Map(this.#histories);
    this.#histories.clear();
    this.#jobs = rated.map(({ job, rates }) => {
      const history = [...earlier.get(job.jobID) ?? [], rates.cpuPercent]
        .filter((value) => value !== null)
        .slice(-HISTORY_LENGTH);
      this.#histories.set(job.jobID, history);
      return { job, rates, history };
    });
  }
}

/** Waits for so long, or until the signal is given. */
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
