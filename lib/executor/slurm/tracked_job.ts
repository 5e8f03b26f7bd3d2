/**
 * A job that the engine has, or has had: learns from its launch record when it has begun and how it has ended,
 * and from the engine only what the record cannot say any more.
 */
import { join } from "node:path";
import type { Clock } from "../../../common/clock.ts";
import { messageOf } from "../../errors.ts";
import type { Begun } from "../../executor.ts";
import { log } from "../../log.ts";
import { statSegments } from "../../logs/segments.ts";
import type { Command, Ending } from "../../model/ending.ts";
import { NOT_AFTER_SUCCESS } from "../../model/queue.ts";
import type { JobSettings } from "../../model/settings.ts";
import { ForgedFileError } from "../../regular_file.ts";
import { type NodeRecord, readNodeRecord } from "./node_record.ts";
import type { JobPlace } from "./place.ts";
import {
  isOverIn,
  judge,
  type QueueAnswer,
  type QueuedJob,
  type Verdict,
  waitsIn,
} from "./queue.ts";

/** How soon a launch record is looked at again. */
const MIN_LOOK_MS = 50;

/** The longest time between two looks at a record that may have news. */
const MAX_LOOK_MS = 1000;

/** The same where there are many jobs, or the engine says that the job waits. */
const MAX_RARE_LOOK_MS = 5000;

/** A record is looked at again after this part of the time since its last news. */
const LOOK_SHARE = 20;

/** So many records may be looked at as soon as one; above, each is looked at less often. */
const JOBS_AT_FULL_PACE = 20;

/** So long after a job was handed over its record is looked at as soon as one that runs: most begin in that time. */
const EAGER_MS = 10_000;

/** An engine's answer that is older says nothing of whether a job still waits. */
const FRESH_ANSWER_MS = 10_000;

/**
 * How long the end may be missing in the launch record of a job of which the engine says that it is over, or
 * which it does not have: a node's last writes become visible late.
 */
export const END_VISIBLE_MS = 15_000;

/** The same for the last bytes of an output whose size is on record. */
const OUTPUT_VISIBLE_MS = 90_000;

/** What is told once of a job. */
export interface TrackedRequest extends JobPlace {
  readonly jobId: string;
  readonly owner: string;
  /** The job's own folder. */
  readonly folder: string;
  readonly command: Command;
  readonly settings: JobSettings;
  /** Whether an earlier server has seen its command run. */
  readonly hasBegun?: boolean;
}

/** What {@linkcode TrackedJob} works with. */
export interface TrackingParts {
  readonly clock: Clock;
  /** The engine's newest answer. */
  readonly answer: () => QueueAnswer | undefined;
  /** How many jobs are tracked. */
  readonly count: () => number;
  /** Creates a job's launch record before a launcher does. @returns False: a launcher was first. */
  readonly withdraw: (nodeFolder: string) => Promise<boolean>;
  /** Bounds how many records are looked at once. */
  readonly takeTurn: () => Promise<Disposable>;
  /** Takes what the engine still has of a job that cannot begin any more away from its queue. */
  readonly cancelLater: (request: TrackedRequest) => void;
  /** Called when the job has ended. */
  readonly onEnd: (request: TrackedRequest, ending: Ending) => void;
}

/** One job. */
export class TrackedJob {
  readonly request: TrackedRequest;
  #number: string | undefined;
  readonly whenBegun: Promise<Begun>;
  readonly ended: Promise<Ending>;
  readonly #parts: TrackingParts;
  readonly #begun = Promise.withResolvers<Begun>();
  readonly #ended = Promise.withResolvers<Ending>();
  /** When the engine had certainly taken it. */
  #takenAtMs: number;
  #newsAtMs: number;
  #isLaunched = false;
  #isBegun = false;
  #isOver = false;
  /** Since which answer the engine says that nothing more will come; and for the output, since when. */
  #doubtedSinceMs: number | undefined;
  #outputAwaitedSinceMs: number | undefined;
  #heardState: string | undefined;
  /** When an end was first seen in the record of a job that runs as a user of its own. */
  #endSeenAtMs: number | undefined;
  #isCancelled = false;
  #isForgeryTold = false;
  #hasFailed = false;
  #endPause: (() => void) | undefined;

  constructor(
    request: TrackedRequest,
    { takenAtMs, number, parts }: {
      readonly takenAtMs: number;
      readonly number?: string | undefined;
      readonly parts: TrackingParts;
    },
  ) {
    this.request = request;
    this.#number = number;
    this.#parts = parts;
    this.#takenAtMs = takenAtMs;
    this.#newsAtMs = parts.clock.nowMs();
    this.whenBegun = this.#begun.promise;
    this.ended = this.#ended.promise;
  }

  /** The engine's number of it, where sbatch has told it. */
  get number(): string | undefined {
    return this.#number;
  }

  /** Tells that the engine has it from now on, or may have it: what an answer lacks is missing then. */
  setTaken(number?: string): void {
    this.#takenAtMs = this.#parts.clock.nowMs();
    this.#number = number;
    this.#newsAtMs = this.#takenAtMs;
    this.hurry();
  }

  /** Whether its launcher is at work, and hears orders. */
  get isLaunched(): boolean {
    return this.#isLaunched;
  }

  /** Whether its command has begun, as far as that was seen. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  /** Whether it has ended, or is not watched any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Watches until the job has ended, or {@linkcode close} is called. */
  async watch(): Promise<void> {
    while (!this.#isOver) {
      try {
        using _turn = await this.#parts.takeTurn();
        await this.look();
        this.#hasFailed = false;
      } catch (error) {
        this.#tellFailure(error);
      }
      if (!this.#isOver) await this.#pause();
    }
  }

  /** Looks at the launch record once, and at the engine's answer where the record does not say it all. */
  async look(): Promise<void> {
    const record = await this.#readRecord();
    if (this.#isOver) return;
    if (record?.forged !== undefined) this.#tellForged(record.forged);
    if (record?.node !== undefined) this.#isLaunched = true;
    if (record?.pid !== undefined) this.#begin(record, record.pid);
    if (record?.ending === undefined) return await this.#askEngine(record);
    if (!this.#isBelieved(record.ending)) return;
    if (await this.#isOutputWhole(record)) this.#end(record.ending);
  }

  /** To be called with each new answer of the engine's: where it has news, it is time to look. */
  hear(answer: QueueAnswer): void {
    const state = answer.jobs.get(this.request.jobId)?.state;
    if (state === this.#heardState) return;
    this.#heardState = state;
    this.hurry();
  }

  /** Ends the pause before the next look. */
  hurry(): void {
    this.#endPause?.();
  }

  /**
   * Ends a job that has not begun: by its launch record, which no launcher can create then.
   *
   * @returns False: a launcher was first.
   * @throws When the file system fails.
   */
  async withdraw(reason: string): Promise<boolean> {
    if (this.#isBegun || !await this.#parts.withdraw(this.request.nodeFolder)) return false;
    this.#parts.cancelLater(this.request);
    this.#end({ kind: "never-ran", reason, endedAtMs: this.#parts.clock.nowMs() });
    return true;
  }

  /** Stops watching. The job goes on. */
  close(): void {
    this.#isOver = true;
    this.hurry();
  }

  #begin({ node, ending, writtenAtMs }: NodeRecord, pid: number): void {
    if (this.#isBegun) return;
    this.#isBegun = true;
    this.#newsAtMs = this.#parts.clock.nowMs();
    // The record of a job that has ended was written at its end; the engine knows the second of its start.
    const startMs = this.#parts.answer()?.jobs.get(this.request.jobId)?.startMs ?? writtenAtMs;
    this.#begun.resolve({
      pid,
      startedAtMs: ending === undefined ? writtenAtMs : Math.min(startMs, writtenAtMs),
      ...(node !== undefined && { node }),
    });
  }

  #end(ending: Ending): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#ended.resolve(ending);
    this.#parts.onEnd(this.request, ending);
  }

  #readRecord(): Promise<NodeRecord | undefined> {
    const { nodeFolder, uid, command } = this.request;
    return readNodeRecord(nodeFolder, { commandName: command.name, owner: uid });
  }

  /**
   * Whether an end on record may be told. The user of a job that runs as its own can write any end into its
   * record: so it counts once the engine, too, says that the job is over, or does not have it any more.
   */
  #isBelieved(ending: Ending): boolean {
    const { jobId, uid } = this.request;
    const { answer, cancelLater, clock } = this.#parts;
    if (uid === undefined) return true;
    this.#endSeenAtMs ??= clock.nowMs();
    const newest = answer();
    if (newest === undefined || newest.asOfMs <= this.#endSeenAtMs) return false;
    const verdict = judge(newest, jobId, this.#takenAtMs);
    if (verdict.kind === "over" || verdict.kind === "missing") return true;
    if (verdict.kind !== "there" || this.#isCancelled) return false;
    // An earlier server has taken it back, or the site has its jobs run again (RequeueExit): what waits for its turn
    // would find no room for its record.
    if (ending.kind === "never-ran" || waitsIn(verdict.job.state)) {
      this.#isCancelled = true;
      cancelLater(this.request);
    }
    return false;
  }

  /** Whether all that the node has written can be read here. */
  async #isOutputWhole({ outputBytes }: NodeRecord): Promise<boolean> {
    if (outputBytes === undefined) return true;
    const nowMs = this.#parts.clock.nowMs();
    this.#outputAwaitedSinceMs ??= nowMs;
    if (await sizeOf(join(this.request.folder, "output")) >= outputBytes) return true;
    if (nowMs - this.#outputAwaitedSinceMs < OUTPUT_VISIBLE_MS) return false;
    log.error("the end of a job's output has not become visible on the shared file system", {
      job: this.request.jobId,
      bytes: outputBytes,
    });
    return true;
  }

  async #askEngine(record: NodeRecord | undefined): Promise<void> {
    const { answer } = this.#parts;
    const newest = answer();
    const verdict = judge(newest, this.request.jobId, this.#takenAtMs);
    if (newest === undefined || verdict.kind === "unknown" || verdict.kind === "there") {
      this.#doubtedSinceMs = undefined;
      return;
    }
    const hasNone = record === undefined && !this.#isBegun && this.request.hasBegun !== true;
    if (hasNone && verdict.kind !== "missing") {
      await this.withdraw(neverRanBecause(verdict));
      return;
    }
    if (verdict.kind === "hopeless") return;
    // One answer may be that of a controller that has just lost what it knew, and is told again by its nodes.
    this.#doubtedSinceMs ??= newest.asOfMs;
    if (newest.asOfMs - this.#doubtedSinceMs < END_VISIBLE_MS) return;
    if (hasNone && await this.withdraw(neverRanBecause(verdict))) return;
    // What came between the first look and now counts.
    const last = await this.#readRecord();
    // One that was removed is made anew, so that nothing runs the command again; where the share is away, it fails.
    if (last === undefined && !await this.#parts.withdraw(this.request.nodeFolder)) return;
    if (last?.ending !== undefined) return;
    this.#end({
      kind: "lost",
      reason: lostBecause(verdict, last),
      endedAtMs: this.#parts.clock.nowMs(),
    });
  }

  async #pause(): Promise<void> {
    await new Promise<void>((resolve) => {
      const cancel = this.#parts.clock.after(this.#pauseMs(), resolve);
      this.#endPause = () => {
        cancel();
        resolve();
      };
    });
    this.#endPause = undefined;
  }

  #pauseMs(): number {
    const { clock, answer, count } = this.#parts;
    const nowMs = clock.nowMs();
    const newest = answer();
    const job = newest?.jobs.get(this.request.jobId);
    const waits = newest !== undefined && nowMs - newest.asOfMs < FRESH_ANSWER_MS &&
      job?.state === "PENDING";
    if (waits && nowMs - this.#newsAtMs > EAGER_MS) return MAX_RARE_LOOK_MS;
    const pauseMs = Math.min(
      Math.max(MIN_LOOK_MS, (nowMs - this.#newsAtMs) / LOOK_SHARE),
      MAX_LOOK_MS,
    );
    return Math.min(pauseMs * Math.max(1, count() / JOBS_AT_FULL_PACE), MAX_RARE_LOOK_MS);
  }

  #tellForged(what: string): void {
    if (this.#isForgeryTold) return;
    this.#isForgeryTold = true;
    log.warn("something is in the place of a job's launch record: its end is not known from it", {
      job: this.request.jobId,
      found: what,
    });
  }

  #tellFailure(error: unknown): void {
    if (!this.#hasFailed) {
      log.error("cannot look at a job's files on the shared file system, trying again", {
        job: this.request.jobId,
        error: messageOf(error),
      });
    }
    this.#hasFailed = true;
  }
}

/** Nothing more will come of what is no file. */
async function sizeOf(path: string): Promise<number> {
  try {
    const { size, isForged } = await statSegments(path, { anew: true });
    return isForged ? Infinity : size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    if (error instanceof ForgedFileError) return Infinity;
    throw error;
  }
}

type Negative = Exclude<Verdict, { kind: "unknown" } | { kind: "there" }>;

function neverRanBecause(verdict: Negative): string {
  switch (verdict.kind) {
    case "hopeless":
      return NOT_AFTER_SUCCESS;
    case "missing":
      return "Slurm has lost it before its command began; start it again";
    case "over":
      return `Slurm ended it before its command began: ${stateOf(verdict.job)}${
        hintOf(verdict.job)
      }`;
  }
}

/** Where the script has failed without a record, or was not started, the node mostly lacks the share. */
function hintOf({ state, node }: QueuedJob): string {
  if (state !== "FAILED" || node === "") return "";
  return `; look whether node ${node} can write to the shared folder: it may not be mounted there, or be full`;
}

function lostBecause(verdict: Negative, record: NodeRecord | undefined): string {
  if (record === undefined) return "how it ended is not on record: its launch record was removed";
  const { node, forged } = record;
  if (forged !== undefined) {
    return `how it ended is not on record: ${forged} is in the place of its launch record`;
  }
  const where = node === undefined ? "its node" : `node ${node}`;
  if (verdict.kind !== "over") {
    return `Slurm does not have the job any more, and ${where} has not recorded how it ended`;
  }
  if (verdict.job.state === "NODE_FAIL") {
    return `${where} failed while the job ran; where it is only cut off, the job may run on there for a while`;
  }
  return `Slurm ended it on ${where} (${stateOf(verdict.job)}), and how it ended is not on record`;
}

function stateOf({ state, reason }: QueuedJob): string {
  return reason === "" || !isOverIn(state) ? state : `${state}, ${reason}`;
}
