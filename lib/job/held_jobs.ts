/**
 * Jobs that wait on this host: for others to succeed, for a time, for their turn in a queue, for room. Above
 * the executor, which is given a job when it is to run.
 */
import { type Clock, LONGEST_TIMER_MS } from "../../common/clock.ts";
import { Turns } from "../../common/turns.ts";
import { messageOf } from "../errors.ts";
import type { Begun, Executor, StopOrder, Tracked } from "../executor.ts";
import type { QueueFile, Queues } from "../limits/queue_file.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import { NOT_AFTER_SUCCESS, STOPPED_WAITING } from "../model/queue.ts";
import { isHeld, type JobRecord, type JobState } from "../model/record.ts";
import { dropSecrets } from "../store/held_secrets.ts";
import type { ActiveJobs } from "./active_jobs.ts";
import type { JobBounds } from "./bounds.ts";
import type { JobFolders } from "./folder.ts";
import { launchHeld, type LaunchParts } from "./launching.ts";
import { Line } from "./line.ts";
import { refOf } from "./refs.ts";

/** How soon a change of the file of queues is noticed while jobs wait and nothing else happens. */
const LOOK_INTERVAL_MS = 1000;

/** How long no job is launched after one could not be, for a reason that is the host's. */
const PAUSE_MS = 5000;

/** Jobs that are launched at once. */
const MAX_LAUNCHING = 16;

/** A launch that takes longer waits for a disk, and holds up no other. */
const MAX_LAUNCH_MS = 10_000;

/** News of jobs that others wait for which are worked off before other calls have their turn. */
const NEWS_AT_ONCE = 100;

/** The line of jobs that are in no queue: as many of them run at once as the server's bounds allow. */
const NO_QUEUE = "";

/** What {@linkcode HeldJobs} works with. */
export interface HeldParts extends LaunchParts {
  readonly executor: Executor;
  readonly active: ActiveJobs;
  readonly folders: JobFolders;
  readonly clock: Clock;
  readonly queues: Pick<QueueFile, "current">;
  readonly bounds: JobBounds;
  /** The state of a job on record; undefined: there is none. */
  readonly stateOf: (id: string) => JobState | undefined;
}

/** What a job waits for. */
export interface Wait {
  /** Such as `its turn in queue builds: 3rd of 7`. */
  readonly reason: string;
  /** From 1 on; 0: it is not in line. */
  readonly queuePosition: number;
}

/** A job that waits, or is being launched. */
interface HeldJob {
  readonly id: string;
  readonly owner: string;
  readonly queue: string;
  readonly beginAtMs: number;
  /** Jobs that have to succeed before. */
  readonly openAfter: Set<string>;
  readonly begun: PromiseWithResolvers<Begun>;
  readonly ended: PromiseWithResolvers<Ending>;
  /** `over`: it will not run, and what it was given is being removed. */
  place: "aside" | "in line" | "launching" | "over";
  /** A Stop that came while it was being launched. */
  order?: StopOrder;
  cancelTimer?: () => void;
}

/** All jobs that wait on one host. */
export class HeldJobs {
  readonly #parts: HeldParts;
  readonly #jobs = new Map<string, HeldJob>();
  readonly #lines = new Map<string, Line>();
  /** The queue of each job that runs, and how many there are of each. */
  readonly #queueOf = new Map<string, string>();
  readonly #running = new Map<string, number>();
  readonly #launches = new Turns(MAX_LAUNCHING, MAX_LAUNCH_MS);
  /** Jobs that have ended which others wait for, and who does. */
  readonly #news: { readonly id: string; readonly after: string }[] = [];
  #queues: Queues = new Map();
  #isLooking = false;
  /** Settles when the last look is over; never rejects. */
  #looking: Promise<void> = Promise.resolve();
  /** Whether something has happened since the last look began. */
  #isDue = false;
  /** Until when no job is launched, since one could not be; and why. */
  #pause: { readonly untilMs: number; readonly reason: string } | undefined;
  #isClosed = false;
  #cancelLook: (() => void) | undefined;

  constructor(parts: HeldParts) {
    this.#parts = parts;
    parts.active.onRoom = (id) => this.#leave(id);
  }

  /**
   * Takes a job in, which is to become an active one. It waits until {@linkcode enter} is called.
   *
   * @param openAfter Jobs that have to succeed before.
   */
  hold({ id, owner, settings }: JobRecord, openAfter: readonly string[]): Tracked {
    const { queue = NO_QUEUE, beginAtMs = 0 } = settings?.queue ?? {};
    const job: HeldJob = {
      id,
      owner,
      queue,
      beginAtMs,
      openAfter: new Set(openAfter),
      begun: Promise.withResolvers<Begun>(),
      ended: Promise.withResolvers<Ending>(),
      place: "aside",
    };
    this.#jobs.set(id, job);
    return { whenBegun: job.begun.promise, ended: job.ended.promise };
  }

  /** Lets a job begin as soon as it may: it is on the disk now, and so are those that it waits for. */
  enter(id: string): void {
    const job = this.#jobs.get(id);
    if (job === undefined) return;
    for (const after of job.openAfter) {
      const ended = this.#parts.active.get(after)?.ended ?? Promise.resolve();
      void ended.then(() => {
        this.#news.push({ id, after });
        this.#look();
      });
    }
    this.#place(job);
  }

  /** Counts a job of an earlier server that runs, in its queue. */
  adopted({ id, settings }: JobRecord): void {
    this.#count(id, settings?.queue?.queue);
  }

  /**
   * Stops a job that waits: it ends as one that never ran. One that is being launched is stopped afterwards.
   *
   * @returns False: it does not wait, and its executor is to stop it.
   */
  stop(id: string, order: StopOrder): boolean {
    const job = this.#jobs.get(id);
    if (job === undefined) return false;
    if (job.place === "launching") {
      const { killAtMs } = job.order ?? order;
      job.order = { ...order, killAtMs: Math.min(killAtMs, order.killAtMs) };
    } else if (job.place !== "over") this.#finish(job, STOPPED_WAITING);
    return true;
  }

  /** What a job waits for; undefined: it does not wait here. */
  waitOf(id: string): Wait | undefined {
    const job = this.#jobs.get(id);
    if (job === undefined || job.place === "over") return undefined;
    const isInQueue = job.place === "in line" && job.queue !== NO_QUEUE;
    const queuePosition = isInQueue ? this.#lines.get(job.queue)?.positionOf(id) ?? 0 : 0;
    return { reason: this.#reasonOf(job, queuePosition), queuePosition };
  }

  /** Queues and what is in them, as `NAME: 1 of 2 run, 5 wait`. */
  async describeQueues(): Promise<string[]> {
    const waiting = new Map<string, number>();
    for (const { queue, place } of this.#jobs.values()) {
      if (place === "over") continue;
      waiting.set(queue, (waiting.get(queue) ?? 0) + 1);
    }
    return [...await this.#parts.queues.current()].map(([name, parallelism]) =>
      `${name}: ${this.#running.get(name) ?? 0} of ${parallelism} run, ${
        waiting.get(name) ?? 0
      } wait`
    );
  }

  /** Lets no job begin any more: the server ends. Settles when nothing more comes of a look. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelLook?.();
    for (const job of this.#jobs.values()) job.cancelTimer?.();
    await this.#looking;
  }

  #reasonOf({ place, openAfter, beginAtMs, queue }: HeldJob, position: number): string {
    if (place === "launching") return "its launch";
    const [first] = openAfter;
    if (first !== undefined) {
      return `job ${first}${openAfter.size > 1 ? ` and ${openAfter.size - 1} more` : ""}`;
    }
    if (place === "aside") {
      const isEarly = beginAtMs > this.#parts.clock.nowMs();
      return isEarly ? `its begin time, ${new Date(beginAtMs).toISOString()}` : "its turn";
    }
    if (this.#pause !== undefined) return `another attempt: ${this.#pause.reason}`;
    if (queue === NO_QUEUE) return "room: the server's bounds allow no more jobs to run";
    const parallelism = this.#queues.get(queue);
    if (parallelism === undefined) return `queue ${queue}, which the server no longer has`;
    const pause = parallelism === 0 ? ", which is paused" : "";
    const size = this.#lines.get(queue)?.size ?? 0;
    return `its turn in queue ${queue}${pause}: ${ordinal(position)} of ${size}`;
  }

  /** Puts a job in line where nothing else is in its way; otherwise looks again when that may have changed. */
  #place(job: HeldJob): void {
    const { id, owner, queue, beginAtMs, openAfter } = job;
    if (openAfter.size > 0 || this.#isClosed || job.place === "over") return;
    const waitMs = beginAtMs - this.#parts.clock.nowMs();
    if (waitMs > 0) {
      const pauseMs = Math.min(waitMs, LONGEST_TIMER_MS);
      job.cancelTimer = this.#parts.clock.after(pauseMs, () => this.#place(job));
      return;
    }
    job.place = "in line";
    this.#lineOf(queue).add(id, owner);
    this.#look();
  }

  #lineOf(queue: string): Line {
    const line = this.#lines.get(queue) ?? new Line();
    this.#lines.set(queue, line);
    return line;
  }

  /** Looks whose turn it is, soon: what happens meanwhile is looked at together. */
  #look(): void {
    this.#isDue = true;
    if (this.#isLooking || this.#isClosed || this.#jobs.size === 0) return;
    this.#isLooking = true;
    this.#cancelLook?.();
    this.#looking = this.#run();
  }

  async #run(): Promise<void> {
    try {
      while (this.#isDue && !this.#isClosed) {
        this.#isDue = false;
        await this.#hear();
        this.#queues = await this.#parts.queues.current();
        if (!this.#isClosed) this.#decide();
      }
    } catch (error) {
      log.error("cannot look which waiting jobs may begin", { error: messageOf(error) });
    }
    this.#isLooking = false;
    // The file of queues may change, and tells nobody.
    if (this.#lines.size === 0 || this.#isClosed) return;
    this.#cancelLook = this.#parts.clock.after(LOOK_INTERVAL_MS, () => this.#look());
  }

  /** Works off what became of jobs that others wait for; of many, other calls are served in between. */
  async #hear(): Promise<void> {
    while (this.#news.length > 0) {
      const ends = this.#news.splice(0, NEWS_AT_ONCE).map((news) => this.#hearOf(news));
      await Promise.all(ends);
      if (this.#news.length > 0) await new Promise((resolve) => setTimeout(resolve, 0));
    }
  }

  /** @returns The end of a job that will never run. */
  #hearOf(
    { id, after }: { readonly id: string; readonly after: string },
  ): Promise<void> | undefined {
    const job = this.#jobs.get(id);
    const active = this.#parts.active.get(id);
    if (job === undefined || active === undefined || !isHeld(active.record.state)) return undefined;
    if (job.place === "over") return active.ended;
    const state = this.#parts.stateOf(after);
    if (state?.kind !== "exited" || state.exitCode !== 0) {
      this.#finish(job, NOT_AFTER_SUCCESS);
      return active.ended;
    }
    job.openAfter.delete(after);
    // On record: that job may be removed before this one begins.
    void this.#parts.active.change(id, { kind: "pending", openAfter: [...job.openAfter] });
    this.#place(job);
    return undefined;
  }

  #decide(): void {
    if (this.#parts.clock.nowMs() < (this.#pause?.untilMs ?? 0)) return;
    this.#pause = undefined;
    for (const [queue, line] of [...this.#lines]) {
      const parallelism = queue === NO_QUEUE ? Infinity : this.#queues.get(queue) ?? 0;
      while (this.#hasRoom() && (this.#running.get(queue) ?? 0) < parallelism) {
        const id = line.take((owner) => this.#hasRoomFor(owner));
        const job = id === undefined ? undefined : this.#jobs.get(id);
        if (job === undefined) break;
        this.#begin(job);
        // Where there is little room, queues have it one after the other.
        this.#lines.delete(queue);
        this.#lines.set(queue, line);
      }
      if (line.size === 0) this.#lines.delete(queue);
    }
  }

  #hasRoom(): boolean {
    const { active, bounds } = this.#parts;
    return active.running.size < bounds.maxJobs;
  }

  #hasRoomFor(owner: string): boolean {
    const { active, bounds } = this.#parts;
    return active.running.of(owner) < bounds.maxJobsPerUser;
  }

  #begin(job: HeldJob): void {
    job.place = "launching";
    // At once, so that the next decision counts it.
    this.#parts.active.setDue(job.id, true);
    this.#count(job.id, job.queue);
    this.#launch(job).catch((error: unknown) => {
      log.error("cannot launch a job", { job: job.id, error: messageOf(error) });
      this.#finish(job, "the server failed to start it; its log says more");
    });
  }

  async #launch(job: HeldJob): Promise<void> {
    const { active, clock, executor, folders } = this.#parts;
    const { id } = job;
    const found = active.get(id);
    if (found === undefined) return;
    using _turn = await this.#launches.take(job.owner);
    const launch = await launchHeld(found, this.#parts);
    switch (launch.kind) {
      case "launched": {
        const { whenBegun, ended } = launch.tracked;
        this.#jobs.delete(id);
        void whenBegun.then((begun) => job.begun.resolve({ startedAtMs: clock.nowMs(), ...begun }));
        ended.then(job.ended.resolve, job.ended.reject);
        log.info("a job that waited begins", { job: id, queue: job.queue });
        if (job.order !== undefined) await executor.stop(refOf(found.record, folders), job.order);
        return;
      }
      case "later": {
        if (job.order !== undefined) return this.#finish(job, STOPPED_WAITING);
        const { reason, hasTried } = launch;
        if (this.#pause === undefined) {
          log.warn("jobs that wait cannot begin now", { job: id, problem: reason });
        }
        this.#pause = { untilMs: clock.nowMs() + PAUSE_MS, reason };
        active.setDue(id, false);
        this.#uncount(id);
        job.place = "in line";
        this.#lineOf(job.queue)[hasTried ? "add" : "putBack"](id, job.owner);
        return this.#look();
      }
      case "never":
        return this.#finish(job, launch.reason);
    }
  }

  /** Ends a job that has not begun. */
  #finish(job: HeldJob, reason: string): void {
    const { id, owner, queue } = job;
    job.place = "over";
    job.cancelTimer?.();
    const line = this.#lines.get(queue);
    line?.delete(id, owner);
    if (line?.size === 0) this.#lines.delete(queue);
    void this.#end(job, { kind: "never-ran", reason, endedAtMs: this.#parts.clock.nowMs() });
  }

  async #end({ id, ended }: HeldJob, ending: Ending): Promise<void> {
    await dropSecrets(this.#parts.folders.pathOf(id));
    this.#jobs.delete(id);
    ended.resolve(ending);
  }

  /** A job takes no room any more. */
  #leave(id: string): void {
    this.#uncount(id);
    this.#look();
  }

  #count(id: string, queue = NO_QUEUE): void {
    if (queue === NO_QUEUE || this.#queueOf.has(id)) return;
    this.#queueOf.set(id, queue);
    this.#running.set(queue, (this.#running.get(queue) ?? 0) + 1);
  }

  #uncount(id: string): void {
    const queue = this.#queueOf.get(id);
    if (queue === undefined) return;
    this.#queueOf.delete(id);
    const count = (this.#running.get(queue) ?? 0) - 1;
    if (count > 0) this.#running.set(queue, count);
    else this.#running.delete(queue);
  }
}

/** `1st`, `2nd`, `11th`. */
function ordinal(number: number): string {
  const isTeen = Math.floor(number / 10) % 10 === 1;
  const ending = isTeen ? "th" : ["th", "st", "nd", "rd"][number % 10] ?? "th";
  return `${number}${ending}`;
}
