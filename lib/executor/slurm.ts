/**
 * Runs jobs on a cluster of Slurm's: by its commands, a launcher on the job's node (lib/shim/batch.sh), and the
 * files that both share. Three rules keep it honest:
 *
 * 1. The launch record, created once (O_EXCL), alone says whether a command has begun and how it has ended.
 * 2. A job is found in Slurm by its name, which is its id, and never by its number: numbers are used again.
 * 3. Where Slurm cannot be asked, nothing changes: only what it says, and what it certainly lacks, counts.
 */
import { dirname, join } from "node:path";
import { type Clock, SYSTEM_CLOCK } from "../../common/clock.ts";
import type { SignalName } from "../../common/signals.ts";
import { Turns } from "../../common/turns.ts";
import type { Usage } from "../cgroup/types.ts";
import { JobError, messageOf } from "../errors.ts";
import type {
  Adoption,
  AdoptionRequest,
  Capabilities,
  EngineStatus,
  Executor,
  Handle,
  JobRef,
  ProcessState,
  SignalOptions,
  StopOrder,
  SubmitRequest,
  Tracked,
} from "../executor.ts";
import type { Limits } from "../limits.ts";
import { log } from "../log.ts";
import { segmentBytesFor, segmentsFolderOf } from "../logs/segments.ts";
import type { JobSettings } from "../model/settings.ts";
import { accountOf } from "./slurm/account.ts";
import { batchOf, SECRET_FILES } from "./slurm/batch.ts";
import { capabilitiesOf, requirePossible, updateRefusal } from "./slurm/capabilities.ts";
import { commandRunner, type RunCommand, wordsOf } from "./slurm/commands.ts";
import {
  answerTo,
  type Order,
  order as writeOrder,
  type OrderAnswer,
  orderFileIn,
} from "./slurm/control.ts";
import {
  forgetSubmission,
  isSubmissionKept,
  keepSubmission,
  type KeptSubmission,
  keptSubmission,
} from "./slurm/kept_submission.ts";
import { Leftovers } from "./slurm/leftovers.ts";
import { readNodeRecord } from "./slurm/node_record.ts";
import {
  type AccountIds,
  findPlace,
  isOfItsUser,
  type JobPlace,
  letUsersIn,
  makeFolder,
  makePlace,
  OF_ITS_USER,
  ownPlace,
  placeOf,
  writeGiven,
} from "./slurm/place.ts";
import { QueuePoller } from "./slurm/poller.ts";
import { isOverIn, type QueueAnswer, statusOf } from "./slurm/queue.ts";
import { isHosts } from "./placement.ts";
import { notMounted, Share } from "./slurm/share.ts";
import { Resubmissions } from "./slurm/resubmission.ts";
import { openSite, type Site } from "./slurm/site.ts";
import { Stopping } from "./slurm/stopping.ts";
import {
  numbersAfter,
  readSubmission,
  type Submission,
  submissionArguments,
} from "./slurm/submission.ts";
import { TrackedJob, type TrackedRequest, type TrackingParts } from "./slurm/tracked_job.ts";
import { watchFileIn } from "./slurm/usage_file.ts";
import { UsageWatch } from "./slurm/usage_watch.ts";

/** Launch records that are looked at once: each look takes a thread of the runtime's. */
const MAX_LOOKS = 16;

/** A look that takes longer waits for a file server, and the next one begins. */
const MAX_LOOK_MS = 10_000;

/** How long a start whose sbatch has failed, and a server that starts, wait for Slurm's answer. */
const LOOKUP_TIMEOUT_MS = 10_000;

/** How long a listener may take to answer an order. */
const ORDER_TIMEOUT_MS = 10_000;

/**
 * It is woken so often until then: a shell misses a signal that comes right before it waits for one (another one has
 * just been dealt with). An order that it has carried out it does not carry out again.
 */
const WAKE_AGAIN_MS = 4_000;

/** How often its answer is looked for. */
const ORDER_LOOK_MS = 50;

/** Where jobs' folders are, and how Slurm is reached. */
export interface SlurmOptions {
  /** A folder on the site's shared file system, with the same path on each node. */
  readonly sharedFolder: string;
  /** Stands for this server, the same after each restart: the folder is one server's. */
  readonly owner: string;
  /** slurm.conf; empty: Slurm's default. */
  readonly configurationFile: string;
  /** Whether each job runs as the user that its settings name, and not as the server's own. */
  readonly isForUsers?: boolean;
  /** Newest output kept of each job, where a share needs several files for it; Infinity, and unless given: all. */
  readonly maxOutputBytes?: number;
  /** Tests have one of their own. */
  readonly clock?: Clock;
  /** Tests have one of their own. */
  readonly run?: RunCommand;
}

/** Runs jobs on a cluster. */
export class SlurmExecutor implements Executor {
  readonly capabilities: Capabilities;
  readonly #site: Site;
  readonly #share: Share;
  readonly #clock: Clock;
  readonly #run: RunCommand;
  readonly #poller: QueuePoller;
  readonly #leftovers: Leftovers;
  readonly #usages: UsageWatch;
  /** After so many bytes an output goes on in another file; undefined: it has one. */
  readonly #segmentBytes: number | undefined;
  readonly #tracked = new Map<string, TrackedJob>();
  /** Jobs that Slurm is about to be told of, or asked for: the users that they run as. */
  readonly #announced = new Map<string, number>();
  readonly #resubmissions: Resubmissions;
  readonly #stops = new Map<string, Stopping>();
  /** Orders that are under way, by job: a listener reads one after the other. */
  readonly #orders = new Map<string, Promise<unknown>>();
  readonly #looks = new Turns(MAX_LOOKS, MAX_LOOK_MS);

  private constructor(
    site: Site,
    { share, clock, run, maxOutputBytes }: {
      readonly share: Share;
      readonly clock: Clock;
      readonly run: RunCommand;
      readonly maxOutputBytes: number;
    },
  ) {
    this.#site = site;
    this.#share = share;
    this.#clock = clock;
    this.#run = run;
    this.capabilities = capabilitiesOf(site, share.canFreeHeads);
    if (!share.canFreeHeads) this.#segmentBytes = segmentBytesFor(maxOutputBytes);
    this.#resubmissions = new Resubmissions({
      clock,
      submit: (request) => this.#resubmit(request),
      onSettled: ({ folder }) => void forgetKept(folder),
      cancelLater: (request) => this.#cancelLater(request),
    });
    this.#leftovers = new Leftovers({ clock, cancel: (jobId, uid) => this.#cancel(jobId, uid) });
    this.#usages = new UsageWatch({
      clock,
      isRunning: (jobId) => this.#tracked.get(jobId)?.isBegun === true,
      placeOf: (jobId) => this.#tracked.get(jobId)?.request,
      wake: (job) => this.#wakeListener(job, "URG"),
    });
    this.#poller = new QueuePoller({
      run,
      clock,
      uid: site.isForUsers ? undefined : site.uid,
      uidOf: (jobId) => this.#uidOf(jobId),
      isNeeded: () => this.#tracked.size > 0 || this.#leftovers.size > 0,
      onAnswer: (answer) => this.#hear(answer),
    });
  }

  /**
   * Examines the site.
   *
   * @throws {Error} One line that says what to do, where jobs cannot be run there.
   */
  static async open(options: SlurmOptions): Promise<SlurmExecutor> {
    const { sharedFolder, owner, configurationFile, isForUsers = false } = options;
    const { clock = SYSTEM_CLOCK, run = commandRunner(configurationFile) } = options;
    const { maxOutputBytes = Infinity } = options;
    const share = await Share.open(sharedFolder, owner);
    const site = await openSite(run, { sharedFolder: share.folder, isForUsers });
    return new SlurmExecutor(site, { share, clock, run, maxOutputBytes });
  }

  plan(_jobId: string, limits: Limits, settings: JobSettings): Handle {
    requirePossible(limits, { settings, site: this.#site, capabilities: this.capabilities });
    return this.#site.isForUsers ? OF_ITS_USER : {};
  }

  async submit(request: SubmitRequest): Promise<Tracked> {
    const { jobId, folder, handle, settings } = request;
    const account = isOfItsUser(handle) ? await accountOf(settings.user, this.#run) : undefined;
    const place = account === undefined ? ownPlace(folder) : placeOf(folder, account.uid);
    this.#announced.set(jobId, place.uid ?? this.#site.uid);
    try {
      return await this.#handOver({ ...request, ...place }, account);
    } finally {
      this.#announced.delete(jobId);
    }
  }

  async #handOver(
    request: SubmitRequest & TrackedRequest,
    account: AccountIds | undefined,
  ): Promise<Tracked> {
    const { jobId, owner, folder, nodeFolder, output, limits, settings, graceMs } = request;
    const holdsLimits = this.#site.isRoot;
    const gaps = join(folder, "gaps");
    const segments = this.#segmentBytes === undefined
      ? undefined
      : { folder: segmentsFolderOf(output), bytes: this.#segmentBytes };
    const batch = batchOf({
      ...request,
      folder: nodeFolder,
      gaps,
      segments,
      orders: orderFileIn(folder),
      watch: watchFileIn(folder),
      limits: holdsLimits ? limits : {},
      runsAsRoot: holdsLimits,
    });
    const after = await this.#numbersOf(request.after);
    if (segments !== undefined) await makeFolder(segments.folder, account);
    if (account === undefined) await writeGiven(nodeFolder, batch.files);
    else {
      await letUsersIn(dirname(folder));
      await makePlace({ folder, output, gaps }, batch.files, account);
    }
    const nowMs = this.#clock.nowMs();
    const args = submissionArguments({
      jobId,
      folder: nodeFolder,
      settings,
      limits,
      graceMs,
      holdsLimits,
      account,
      after,
      nowMs,
    });
    const kept = { args, script: batch.script };
    const submission = await this.#sbatch(kept, owner);
    switch (submission.kind) {
      case "taken":
        this.#resubmissions.hurry();
        return this.#track(request, submission.number);
      case "refused":
        return await this.#withdrawn(request, submission.error);
      case "later":
      case "unknown":
        return await this.#notTaken(request, { kept, submission });
    }
  }

  async #sbatch({ args, script }: KeptSubmission, owner: string): Promise<Submission> {
    return readSubmission(await this.#run("sbatch", args, { input: script, who: owner }));
  }

  /** Looks for a job whose sbatch has failed, and lets it wait where another try may help. */
  async #notTaken(
    request: TrackedRequest,
    { kept, submission }: {
      readonly kept: KeptSubmission;
      readonly submission: Exclude<Submission, { kind: "taken" | "refused" }>;
    },
  ): Promise<Tracked> {
    const { jobId, folder } = request;
    const { problem } = submission;
    const mayBeTaken = submission.kind === "unknown" || submission.mayBeTaken;
    let mayTryAgain = submission.kind === "later" && !this.#resubmissions.isFull;
    if (mayBeTaken) {
      const answer = await this.#poller.next(LOOKUP_TIMEOUT_MS);
      const found = answer?.jobs.get(jobId);
      if (found !== undefined && !isOverIn(found.state)) return this.#track(request, found.number);
      // What cannot be asked now may have taken it, and what has ended it has taken it.
      mayTryAgain &&= answer !== undefined && found === undefined;
    }
    if (mayTryAgain) {
      try {
        await keepSubmission(folder, kept);
        const { job, tracked } = this.#watch(request, { takenAtMs: Infinity });
        this.#resubmissions.add(job, { problem, mayBeTaken });
        return tracked;
      } catch (error) {
        log.error("cannot keep a start for a later try", { job: jobId, error: messageOf(error) });
      }
    }
    log.warn("sbatch has failed", { job: jobId, error: problem });
    return await this.#withdrawn(
      request,
      new JobError(
        "unavailable",
        `Cannot start the job: Slurm has not taken it (${problem}); nothing was started, try again ` +
          "later",
      ),
    );
  }

  /** Hands a job over again that was kept. */
  async #resubmit({ jobId, owner, folder, settings }: TrackedRequest): Promise<Submission> {
    const refused = (kind: "internal" | "precondition", message: string): Submission => ({
      kind: "refused",
      error: new JobError(kind, message, { cause: new Error(jobId) }),
    });
    const kept = await keptSubmission(folder);
    if (kept === undefined) {
      const message = "what Slurm was to be given is gone from the job's folder; start it again";
      return refused("internal", message);
    }
    // Slurm begins a job at once after a number that it does not have, and after a stranger's job that has the number.
    const known = settings.queue?.after?.map((id) => this.#poller.answer?.jobs.get(id)?.number);
    if (!numbersAfter(kept.args).every((number) => known?.includes(number))) {
      const message =
        "Slurm does not have a job any more that it was to begin after; start it again";
      return refused("precondition", message);
    }
    return await this.#sbatch(kept, owner);
  }

  async adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    const foreign = requests.filter(({ handle }) => isHosts(handle));
    if (foreign.length > 0) {
      // Their folders are not on the share: they would be told as lost while they run.
      throw new Error(
        `${foreign.length} jobs on record run on this host and have not ended: start the server without ` +
          "--engine slurm as before, or choose another log directory with --log-dir",
      );
    }
    const ofUsers = requests.filter(({ handle }) => isOfItsUser(handle));
    if (ofUsers.length > 0 && !this.#site.isForUsers) {
      throw new Error(
        `${ofUsers.length} jobs on record run as users of a user map and have not ended: start the server with ` +
          "--user-map until they have",
      );
    }
    if (this.#share.isNew && requests.length > 0) {
      await this.#share.forget();
      throw new Error(notMounted(this.#share.folder));
    }
    // What had been handed over when a server ended is told by Slurm alone: asked once, for all of them.
    const isAsked = requests.some(({ phase }) => phase === "starting");
    const places = new Map(
      await Promise.all(requests.map(async ({ jobId, folder, handle }) => {
        using _turn = await this.#looks.take();
        return [jobId, await findPlace(folder, handle)] as const;
      })),
    );
    for (const [jobId, place] of places) this.#announced.set(jobId, place?.uid ?? this.#site.uid);
    try {
      const answer = isAsked ? await this.#poller.next(LOOKUP_TIMEOUT_MS) : undefined;
      const adoptions = await Promise.all(requests.map(async (request) => {
        using _turn = await this.#looks.take();
        const place = places.get(request.jobId);
        return [request.jobId, await this.#adopt(request, place, answer)] as const;
      }));
      return new Map(adoptions);
    } finally {
      for (const { jobId } of requests) this.#announced.delete(jobId);
    }
  }

  /** None: whose they are is told by Slurm, and other servers may use the same account there. */
  populated(): Promise<string[]> {
    return Promise.resolve([]);
  }

  async stop(job: JobRef, order: StopOrder): Promise<void> {
    const tracked = this.#tracked.get(job.jobId);
    if (tracked === undefined) return;
    const earlier = this.#stops.get(job.jobId);
    if (earlier !== undefined) return earlier.hasten(order);
    const stopping = new Stopping(tracked, order, {
      clock: this.#clock,
      tell: (target, what) => this.#order(target.request, what),
      cancel: ({ request }) => this.#cancel(request.jobId, this.#uidOf(request.jobId)),
    });
    this.#stops.set(job.jobId, stopping);
    await new Promise<void>((resolve) => {
      void stopping.run(resolve).then(() => this.#stops.delete(job.jobId));
    });
  }

  async signal(
    job: JobRef,
    signal: SignalName,
    { mainOnly = false }: SignalOptions = {},
  ): Promise<boolean> {
    const tracked = this.#tracked.get(job.jobId);
    // A job that has just begun may not have been looked at since.
    if (tracked?.isBegun === false) await tracked.look().catch(() => {});
    if (tracked?.isBegun !== true) {
      throw new JobError(
        "precondition",
        `Cannot signal job ${job.jobId}: its command has not begun; wait until it runs, or stop it`,
      );
    }
    let answer: OrderAnswer | undefined;
    try {
      answer = await this.#order(tracked.request, { kind: "signal", signal, mainOnly });
    } catch (error) {
      throw unheard(job.jobId, error);
    }
    if (answer === undefined) throw unheard(job.jobId);
    return answer === "reached";
  }

  /** Nothing on this host tells. */
  remaining(): Promise<ProcessState[]> {
    return Promise.resolve([]);
  }

  update(): Promise<Limits> {
    return Promise.reject(updateRefusal());
  }

  /** All jobs run as one user. */
  accountOf(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  /** The node's launcher sets them for the disks that it has. */
  /** Its nodes have others; {@linkcode plan} refuses limits of named disks. */
  numbersOf(disks: readonly string[]): Promise<string[]> {
    return Promise.resolve([...disks]);
  }

  groupOf(): Promise<undefined> {
    return Promise.resolve(undefined);
  }

  async holdDiskLimits(): Promise<void> {}

  usages(jobs: readonly JobRef[]): Promise<Usage[]> {
    return Promise.resolve(jobs.map((job) => this.#usages.usageOf(job)));
  }

  statuses(jobIds: readonly string[]): (EngineStatus | undefined)[] {
    const { answer } = this.#poller;
    return jobIds.map((id) => {
      const pendingReason = this.#resubmissions.reasonOf(id);
      if (pendingReason !== undefined) return { pendingReason, asOfMs: this.#clock.nowMs() };
      return answer === undefined ? undefined : statusOf(answer, id);
    });
  }

  close(): Promise<void> {
    this.#poller.close();
    this.#resubmissions.close();
    this.#usages.close();
    for (const job of this.#tracked.values()) job.close();
    this.#tracked.clear();
    return Promise.resolve();
  }

  #track(request: TrackedRequest, number?: string): Tracked {
    return this.#watch(request, { takenAtMs: this.#clock.nowMs(), number }).tracked;
  }

  /** @param options `takenAtMs`: when Slurm had certainly taken it. `number`: its number there, if it is known. */
  #watch(
    request: TrackedRequest,
    { takenAtMs, number }: { readonly takenAtMs: number; readonly number?: string | undefined },
  ): { job: TrackedJob; tracked: Tracked } {
    const job = new TrackedJob(request, {
      takenAtMs,
      number,
      parts: this.#trackingParts(),
    });
    this.#tracked.set(request.jobId, job);
    void job.watch();
    this.#poller.wake();
    const { whenBegun, ended } = job;
    const tracked = { whenBegun, ended, ...(number !== undefined && { engineJob: number }) };
    return { job, tracked };
  }

  #trackingParts(): TrackingParts {
    return {
      clock: this.#clock,
      answer: () => this.#poller.answer,
      count: () => this.#tracked.size,
      withdraw: (nodeFolder) => this.#share.withdraw(nodeFolder),
      takeTurn: () => this.#looks.take(),
      cancelLater: (request) => this.#cancelLater(request),
      onEnd: ({ jobId, nodeFolder }, ending) => {
        this.#tracked.delete(jobId);
        if (ending.kind === "never-ran") void removeSecrets(nodeFolder);
      },
    };
  }

  #hear(answer: QueueAnswer): void {
    for (const job of this.#tracked.values()) job.hear(answer);
    this.#leftovers.hear(answer);
    this.#resubmissions.hear(answer);
  }

  /**
   * Of an sbatch that has failed: takes the launch record away from any launcher, so that nothing runs, whatever
   * the controller does with it later.
   *
   * @throws The error, when nothing runs.
   */
  async #withdrawn(request: TrackedRequest, error: JobError): Promise<Tracked> {
    if (!await this.#share.withdraw(request.nodeFolder)) return this.#track(request);
    this.#cancelLater(request);
    throw error;
  }

  async #adopt(
    request: AdoptionRequest,
    place: JobPlace | undefined,
    answer: QueueAnswer | undefined,
  ): Promise<Adoption> {
    const { jobId, command, folder, phase } = request;
    if (place === undefined) return await this.#adoptWithoutPlace(folder);
    const { nodeFolder, uid } = place;
    const tracked = { ...request, ...place, hasBegun: phase === "begun" };
    const track = (): Adoption => ({ kind: "tracked", ...this.#track(tracked) });
    const earlier = this.#tracked.get(jobId);
    if (earlier !== undefined) {
      return { kind: "tracked", whenBegun: earlier.whenBegun, ended: earlier.ended };
    }
    if (phase !== "starting") return await this.#adoptSubmitted(tracked);
    const found = answer?.jobs.get(jobId);
    if (found !== undefined && !isOverIn(found.state)) return track();
    // Nobody was told of it. A launcher that has been there wins.
    const record = await readNodeRecord(nodeFolder, { commandName: command.name, owner: uid });
    if (record?.ending?.kind !== "never-ran" && !await this.#share.withdraw(nodeFolder)) {
      return track();
    }
    this.#cancelLater(tracked);
    return { kind: "never-started" };
  }

  /** Hands over what an earlier server could not. */
  async #adoptSubmitted(request: TrackedRequest): Promise<Adoption> {
    if (!await isSubmissionKept(request.folder)) {
      return { kind: "tracked", ...this.#track(request) };
    }
    const { job, tracked } = this.#watch(request, { takenAtMs: Infinity });
    this.#resubmissions.add(job, {
      problem: "it waited when the server ended",
      mayBeTaken: true,
    });
    return { kind: "tracked", ...tracked };
  }

  /** What a node needs was not made, or is gone; what is missing must not be the share. */
  async #adoptWithoutPlace(folder: string): Promise<Adoption> {
    await this.#share.withdraw(folder);
    return { kind: "never-started" };
  }

  /** Slurm's numbers of jobs, as its newest answer has them. */
  async #numbersOf(jobIds: readonly string[]): Promise<string[]> {
    const numberOf = (id: string) =>
      this.#poller.answer?.jobs.get(id)?.number ?? this.#tracked.get(id)?.number;
    if (jobIds.some((id) => numberOf(id) === undefined)) {
      await this.#poller.next(LOOKUP_TIMEOUT_MS);
    }
    return jobIds.map((id) => {
      const number = numberOf(id);
      if (number !== undefined) return number;
      throw new JobError(
        "precondition",
        `Cannot start the job: Slurm does not tell of job ${id} now, which it is to begin after`,
      );
    });
  }

  /**
   * Tells a job's listener to do something, after what it was told before.
   *
   * @returns undefined: it has not answered in time.
   */
  async #order(request: TrackedRequest, what: Order): Promise<OrderAnswer | undefined> {
    const { jobId } = request;
    const before = this.#orders.get(jobId) ?? Promise.resolve();
    const told = before.then(() => this.#tell(request, what));
    const settled = told.catch(() => {});
    this.#orders.set(jobId, settled);
    try {
      return await told;
    } finally {
      if (this.#orders.get(jobId) === settled) this.#orders.delete(jobId);
    }
  }

  async #tell(request: TrackedRequest, what: Order): Promise<OrderAnswer | undefined> {
    const { jobId, folder, nodeFolder } = request;
    const number = await writeOrder(folder, what);
    const beginMs = this.#clock.nowMs();
    for (let wakes = 0; this.#tracked.has(jobId);) {
      const passedMs = this.#clock.nowMs() - beginMs;
      if (passedMs >= ORDER_TIMEOUT_MS) break;
      if (passedMs >= wakes * WAKE_AGAIN_MS) {
        wakes++;
        await this.#wakeListener(request, "USR1");
      }
      const answered = await answerTo(nodeFolder, number);
      if (answered !== undefined) return answered;
      await new Promise<void>((resolve) => this.#clock.after(ORDER_LOOK_MS, resolve));
    }
    return undefined;
  }

  /** @throws When Slurm cannot be asked. */
  async #wakeListener(
    { jobId, owner }: Pick<JobRef, "jobId" | "owner">,
    signal: "USR1" | "URG",
  ): Promise<void> {
    const args = ["--full", `--signal=${signal}`, ...only(jobId, this.#uidOf(jobId))];
    const answer = await this.#run("scancel", args, { who: owner });
    if (answer.status !== 0) throw new Error(`scancel: ${wordsOf(answer)}`);
  }

  #cancelLater({ jobId, uid = this.#site.uid }: TrackedRequest): void {
    this.#leftovers.add(jobId, uid);
    this.#poller.wake();
  }

  /** The user that a job runs as. */
  #uidOf(jobId: string): number {
    return this.#tracked.get(jobId)?.request.uid ?? this.#announced.get(jobId) ??
      this.#leftovers.uidOf(jobId) ?? this.#site.uid;
  }

  /** @throws When Slurm cannot be asked. */
  async #cancel(jobId: string, uid: number): Promise<void> {
    const answer = await this.#run("scancel", only(jobId, uid));
    if (answer.status !== 0) throw new Error(`scancel: ${wordsOf(answer)}`);
  }
}

/** Arguments that select a job: by its name, which no other job of its user has from us. */
function only(jobId: string, uid: number): string[] {
  return [`--name=${jobId}`, `--user=${uid}`];
}

function unheard(jobId: string, cause?: unknown): JobError {
  return new JobError(
    "precondition",
    `Cannot signal job ${jobId}: its node has not answered, and may or may not have sent the signal; look ` +
      "what Slurm says of the node, and try again",
    { cause },
  );
}

/** What is left of it does no harm: what Slurm has, or the launch record tells of, is not handed over again. */
async function forgetKept(folder: string): Promise<void> {
  try {
    await forgetSubmission(folder);
  } catch (error) {
    log.warn("cannot remove what was kept for a later try", { error: messageOf(error) });
  }
}

async function removeSecrets(folder: string): Promise<void> {
  for (const name of SECRET_FILES) {
    try {
      await Deno.remove(join(folder, name));
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) continue;
      log.warn("cannot remove what a job that has not run was given", {
        error: messageOf(error),
      });
    }
  }
}
