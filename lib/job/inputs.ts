/** Who sends jobs their input: one at a time for each job, and the same again where its connection broke. */
import type { Clock } from "../../common/clock.ts";
import { JobError, messageOf } from "../errors.ts";
import { InputFolder } from "../input/folder.ts";
import { HeldInput } from "../input/held_input.ts";
import { log } from "../log.ts";
import type { JobRecord } from "../model/record.ts";
import type { ActiveJobs } from "./active_jobs.ts";
import type { JobFolders } from "./folder.ts";

/** A sender says something at least every 15 s; one that was silent for so long makes room for another one. */
export const SILENT_SENDER_MS = 60_000;

/** Who sends. */
export interface SenderOptions {
  /** The common name of the caller's certificate. */
  readonly caller: string;
  /** The sender's own choice: it goes on by the same. */
  readonly sender: string;
  /** Ends the waiting for the call before. */
  readonly signal: AbortSignal;
}

/** A sender that has its turn, until it is disposed of. */
export interface Sending extends Disposable {
  readonly input: HeldInput;
  /** Aborted when the job has ended; the reason is then none, or when another call goes on: a JobError. */
  readonly over: AbortSignal;
  /** Whether the job has ended. */
  readonly isOver: boolean;
  /** To be called when the sender has said something. */
  heard(): void;
}

interface Turn {
  readonly options: SenderOptions;
  heardAtMs: number;
  readonly over: AbortController;
  readonly gone: PromiseWithResolvers<void>;
}

/** The senders of all jobs. */
export class Inputs {
  readonly #active: ActiveJobs;
  readonly #folders: JobFolders;
  readonly #clock: Clock;
  /** By job id. */
  readonly #turns = new Map<string, Turn>();
  /** Jobs whose feeder has been told that there is a new server. */
  readonly #rung = new Set<string>();

  constructor({ active, folders, clock }: {
    readonly active: ActiveJobs;
    readonly folders: JobFolders;
    readonly clock: Clock;
  }) {
    this.#active = active;
    this.#folders = folders;
    this.#clock = clock;
  }

  /**
   * Lets somebody send.
   *
   * @throws {JobError} "precondition" where the job has no open input, or somebody else sends.
   */
  async enter({ id, settings }: JobRecord, options: SenderOptions): Promise<Sending> {
    if (settings?.openStdin !== true) {
      throw new JobError(
        "precondition",
        `Cannot send input to job ${id}: it was not started with an open standard input (start --open-stdin, run -i)`,
      );
    }
    const turn = await this.#takeTurn(id, options);
    try {
      const isActive = this.#active.get(id)?.isOver === false;
      const rings = isActive && !this.#rung.has(id);
      if (rings) this.#rung.add(id);
      const input = await HeldInput.open(new InputFolder(this.#folders.pathOf(id)), { rings });
      if (!isActive || this.#active.get(id)?.isOver !== false) turn.over.abort();
      return {
        input,
        over: turn.over.signal,
        get isOver() {
          return turn.over.signal.aborted && !(turn.over.signal.reason instanceof JobError);
        },
        heard: () => turn.heardAtMs = this.#clock.nowMs(),
        [Symbol.dispose]: () => {
          input[Symbol.dispose]();
          this.#leave(id, turn);
        },
      };
    } catch (error) {
      this.#leave(id, turn);
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      throw new JobError("not-found", `The files of job ${id}'s input are gone on the server`);
    }
  }

  /** A job has ended: frees what it has not read. Never rejects. */
  async close({ id, settings }: JobRecord): Promise<void> {
    if (settings?.openStdin !== true) return;
    const turn = this.#turns.get(id);
    turn?.over.abort();
    await turn?.gone.promise;
    this.#rung.delete(id);
    try {
      await new InputFolder(this.#folders.pathOf(id)).clear();
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return;
      log.warn("cannot free the input of a job", { job: id, error: messageOf(error) });
    }
  }

  /** Waits until nobody else sends, and takes the place before another call that waited can. */
  async #takeTurn(id: string, options: SenderOptions): Promise<Turn> {
    const { caller, sender, signal } = options;
    for (let turn = this.#turns.get(id); turn !== undefined; turn = this.#turns.get(id)) {
      const isSame = turn.options.caller === caller && turn.options.sender === sender &&
        sender !== "";
      const silentMs = this.#clock.nowMs() - turn.heardAtMs;
      if (!isSame && silentMs < SILENT_SENDER_MS) {
        throw new JobError(
          "precondition",
          `Cannot send input to job ${id}: another client sends it, and one can at a time; end that one first`,
        );
      }
      turn.over.abort(
        new JobError("precondition", `Another connection goes on with the input of job ${id}`),
      );
      await unlessAborted(turn.gone.promise, signal);
    }
    const turn: Turn = {
      options,
      heardAtMs: this.#clock.nowMs(),
      over: new AbortController(),
      gone: Promise.withResolvers(),
    };
    this.#turns.set(id, turn);
    return turn;
  }

  #leave(id: string, turn: Turn): void {
    if (this.#turns.get(id) === turn) this.#turns.delete(id);
    turn.gone.resolve();
  }
}

/** @throws The signal's reason. */
async function unlessAborted(waiting: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const { promise, reject } = Promise.withResolvers<never>();
  const abort = () => reject(signal.reason);
  signal.addEventListener("abort", abort);
  try {
    await Promise.race([waiting, promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
