/**
 * Asks the engine what became of all jobs together, again and again while there are any; off the path of
 * requests, which are answered from what is known.
 */
import type { Clock } from "../../../common/clock.ts";
import { messageOf } from "../../errors.ts";
import { log } from "../../log.ts";
import { type RunCommand, wordsOf } from "./commands.ts";
import { isNoAnswer, parseQueue, type QueueAnswer, queueArguments } from "./queue.ts";

/** Between two questions, at least. */
const MIN_PAUSE_MS = 1000;

/** The same for a question that somebody waits for. */
const MIN_HURRIED_PAUSE_MS = 100;

/** Between two questions, at most: also of a controller that has not answered. */
const MAX_PAUSE_MS = 15_000;

/** The pause is so many times what the question took: a busy controller is asked less often. */
const PAUSE_SHARE = 10;

/** What {@linkcode QueuePoller} works with. */
export interface PollerParts {
  readonly run: RunCommand;
  readonly clock: Clock;
  /** Whose jobs are asked for; undefined: those of several users. */
  readonly uid: number | undefined;
  /** The user that a job of ours runs as. */
  readonly uidOf: (jobId: string) => number;
  /** Whether there are jobs to ask for. */
  readonly isNeeded: () => boolean;
  /** Called with each new answer. */
  readonly onAnswer: (answer: QueueAnswer) => void;
}

interface Waiter {
  readonly askedAtMs: number;
  readonly resolve: (answer: QueueAnswer | undefined) => void;
  readonly cancelTimeout: () => void;
}

/** Asks, one question at a time. */
export class QueuePoller {
  readonly #parts: PollerParts;
  readonly #waiters = new Set<Waiter>();
  #answer: QueueAnswer | undefined;
  #isAsking = false;
  #isFailing = false;
  #isClosed = false;
  #cancelTimer: (() => void) | undefined;
  #endedAtMs = -Infinity;
  #tookMs = 0;

  constructor(parts: PollerParts) {
    this.#parts = parts;
  }

  /** The newest successful answer. */
  get answer(): QueueAnswer | undefined {
    return this.#answer;
  }

  /** To be called when there is a job to ask for. */
  wake(): void {
    if (this.#isAsking || this.#isClosed) return;
    const { clock } = this.#parts;
    const pauseMs = this.#waiters.size > 0
      ? Math.max(MIN_HURRIED_PAUSE_MS, Math.min(this.#tookMs, MAX_PAUSE_MS))
      : Math.min(Math.max(MIN_PAUSE_MS, PAUSE_SHARE * this.#tookMs), MAX_PAUSE_MS);
    const delayMs = Math.max(0, this.#endedAtMs + pauseMs - clock.nowMs());
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(delayMs, () => void this.#ask());
  }

  /**
   * Waits for a successful answer to a question that is asked from now on.
   *
   * @returns undefined: the engine could not be asked in time, and nothing is known.
   */
  next(timeoutMs: number): Promise<QueueAnswer | undefined> {
    const { clock } = this.#parts;
    return new Promise((resolve) => {
      const cancelTimeout = clock.after(timeoutMs, () => {
        this.#waiters.delete(waiter);
        resolve(undefined);
      });
      const waiter = { askedAtMs: clock.nowMs(), resolve, cancelTimeout };
      this.#waiters.add(waiter);
      this.wake();
    });
  }

  /** Asks no more. */
  close(): void {
    this.#isClosed = true;
    this.#cancelTimer?.();
    for (const { resolve, cancelTimeout } of this.#waiters) {
      cancelTimeout();
      resolve(undefined);
    }
    this.#waiters.clear();
  }

  async #ask(): Promise<void> {
    const { clock, run, uid, uidOf, onAnswer } = this.#parts;
    this.#isAsking = true;
    const beganAtMs = clock.nowMs();
    try {
      const answer = await run("squeue", queueArguments(uid));
      if (answer.status !== 0) throw new Error(wordsOf(answer));
      if (uid !== undefined && isNoAnswer(answer.text)) throw new Error(wordsOf(answer));
      this.#answer = parseQueue(answer.text, beganAtMs, uidOf);
      this.#tellSuccess();
    } catch (error) {
      this.#tellFailure(messageOf(error));
    }
    this.#isAsking = false;
    this.#endedAtMs = clock.nowMs();
    this.#tookMs = this.#endedAtMs - beganAtMs;
    if (this.#isClosed) return;
    if (!this.#isFailing && this.#answer !== undefined) {
      this.#settle(this.#answer);
      onAnswer(this.#answer);
    }
    if (this.#waiters.size > 0 || this.#parts.isNeeded()) this.wake();
  }

  /** Whoever came while the question was under way waits for the next answer. */
  #settle(answer: QueueAnswer): void {
    for (const waiter of [...this.#waiters]) {
      if (waiter.askedAtMs > answer.asOfMs) continue;
      this.#waiters.delete(waiter);
      waiter.cancelTimeout();
      waiter.resolve(answer);
    }
  }

  #tellSuccess(): void {
    if (this.#isFailing) log.info("Slurm's controller answers again");
    this.#isFailing = false;
  }

  #tellFailure(problem: string): void {
    if (!this.#isFailing) {
      log.warn("cannot ask Slurm about jobs: what is known of them stays until it answers", {
        error: problem,
      });
    }
    this.#isFailing = true;
  }
}
