/**
 * A fake Executor: it runs nothing and knows no kernel. Unit tests of the job manager use it to end jobs
 * as they like, to see what the manager asks for, and to let each of its calls fail.
 */
import { type Clock, SYSTEM_CLOCK } from "../../common/clock.ts";
import type {
  Adoption,
  AdoptionRequest,
  Begun,
  Capabilities,
  EngineStatus,
  Executor,
  Handle,
  JobRef,
  LimitUpdate,
  SignalOptions,
  StopOrder,
  SubmitRequest,
  Tracked,
} from "../../lib/executor.ts";
import { Stopping } from "../../lib/executor/stopping.ts";
import type { Limits } from "../../lib/limits.ts";
import type { Ending } from "../../lib/model/ending.ts";
import { requireNoCluster, requireNoHost } from "../../lib/model/queue.ts";
import type { JobSettings } from "../../lib/model/settings.ts";
import type { SignalName } from "../../common/signals.ts";
import { Failures } from "./failures.ts";

/** A process id that the host of the tests does not have. */
export const FAKE_PID = 4_194_305;

const HELD = "held";

/** What the fake can do, like this host. */
const LOCAL: Capabilities = {
  engine: "",
  queues: false,
  keepsTime: false,
  output: { news: "events", bound: "holes" },
  limits: {
    cpuCores: HELD,
    memoryBytes: HELD,
    readBytesPerSecond: HELD,
    writeBytesPerSecond: HELD,
    processes: HELD,
    memoryHighBytes: HELD,
    allowedCpus: HELD,
    disks: HELD,
    readOperationsPerSecond: HELD,
    writeOperationsPerSecond: HELD,
  },
  updates: "possible",
  isolation: true,
  openStdin: true,
  separateStderr: true,
  users: true,
  openFiles: "possible",
  partitions: [],
};

/** What it can do like a cluster. */
export const CLUSTER: Partial<Capabilities> = {
  engine: "Fake 1",
  queues: true,
  keepsTime: true,
  partitions: ["main"],
};

/** A job of the fake's. */
interface FakeJob {
  readonly begun: PromiseWithResolvers<Begun>;
  readonly ended: PromiseWithResolvers<Ending>;
  hasBegun: boolean;
}

/** Runs jobs in name only. Its stops are those of this host, but for what they send. */
export class FakeExecutor implements Executor {
  readonly capabilities: Capabilities;
  /** What was asked for, in order, as `METHOD ID` with what belongs to it. */
  readonly calls: string[] = [];
  readonly submissions: SubmitRequest[] = [];
  readonly adoptionRequests: AdoptionRequest[] = [];
  /** What {@linkcode adopt} finds of a job, by id; what is not here never started. */
  readonly adoptions = new Map<string, Adoption>();
  /** What the engine says of jobs. */
  readonly engineStatuses = new Map<string, EngineStatus>();
  /** What {@linkcode populated} finds. */
  strays: string[] = [];
  readonly failures = new Failures<keyof Executor | "terminate" | "kill">();
  /** Called when a job is submitted, before the answer. */
  onSubmit: (request: SubmitRequest) => void | Promise<void> = () => {};
  /** Called when a job is killed, before the answer. */
  onKill: () => void | Promise<void> = () => {};
  /** Called when a job is sent its stop signal, before the answer. */
  onTerminate: () => void | Promise<void> = () => {};
  /** Called when limits are set, before the answer. */
  onUpdate: () => void | Promise<void> = () => {};
  /** The host's accounts, by uid. */
  readonly accounts = new Map([[0, "root"], [33, "www-data"], [34, "no name"]]);
  /** What the kernel makes of limits that are set; undefined: what they are. */
  heldLimits: Limits | undefined;
  /** Called when counters are read, before the answer. */
  onUsages: () => void | Promise<void> = () => {};
  /** Whether a signal finds a process of the job. */
  reaches = true;
  /** Whether a job ends when it is killed. */
  endsWhenKilled = true;
  readonly #jobs = new Map<string, FakeJob>();
  readonly #stopping: Stopping;

  constructor(
    { clock = SYSTEM_CLOCK, ...capabilities }: Partial<Capabilities> & { readonly clock?: Clock } =
      {},
  ) {
    this.capabilities = { ...LOCAL, ...capabilities };
    this.#stopping = new Stopping({
      clock,
      terminate: (job, signal, options) => this.#terminate(job, signal, options),
      kill: (job) => this.#kill(job),
      remaining: () => this.remaining(),
    });
  }

  plan(jobId: string, _limits: Limits, { queue }: JobSettings): Handle {
    this.failures.check("plan");
    if (this.capabilities.queues) requireNoHost(queue);
    else requireNoCluster(queue);
    return handleOf(jobId);
  }

  async submit(request: SubmitRequest): Promise<Tracked> {
    const { jobId } = request;
    this.calls.push(`submit ${jobId}`);
    this.submissions.push(request);
    await this.onSubmit(request);
    this.failures.check("submit");
    return this.capabilities.queues
      ? { ...this.queue(jobId), engineJob: String(this.submissions.length) }
      : this.begin(jobId);
  }

  async adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    await Promise.resolve();
    this.calls.push("adopt");
    this.adoptionRequests.push(...requests);
    this.failures.check("adopt");
    return new Map(requests.map(({ jobId }) => [
      jobId,
      this.adoptions.get(jobId) ?? { kind: "never-started" },
    ]));
  }

  async populated(): Promise<string[]> {
    await Promise.resolve();
    this.failures.check("populated");
    return this.strays;
  }

  async stop(job: JobRef, order: StopOrder): Promise<void> {
    const { jobId } = job;
    const known = this.#jobs.get(jobId);
    if (known === undefined || known.hasBegun) return await this.#stopping.stop(job, order);
    this.calls.push(`withdraw ${jobId}`);
    this.neverRun(jobId, "it was stopped before it began");
  }

  async signal(job: JobRef, signal: SignalName, options: SignalOptions = {}): Promise<boolean> {
    await Promise.resolve();
    this.calls.push(`signal ${job.jobId} ${signal}${audience(options)}`);
    this.failures.check("signal");
    return this.reaches;
  }

  async update({ jobId }: JobRef, { limits, names }: LimitUpdate): Promise<Limits> {
    const set = [...names].map((name) => `${name}=${limits[name] ?? "none"}`).join(" ");
    this.calls.push(`update ${jobId} ${set}`);
    await this.onUpdate();
    this.failures.check("update");
    return this.heldLimits ?? limits;
  }

  async accountOf(uid: number): Promise<string | undefined> {
    await Promise.resolve();
    this.failures.check("accountOf");
    return this.accounts.get(uid);
  }

  /** `nobody` is in the group `nogroup` (65534) alone, and there is `docker` (999). */
  async groupOf(user: string, group: string) {
    await Promise.resolve();
    this.failures.check("groupOf");
    if (["nogroup", "65534"].includes(group)) {
      return { name: "nogroup", hasUser: user === "nobody" };
    }
    return ["docker", "999"].includes(group) ? { name: "docker", hasUser: false } : undefined;
  }

  /** Each path is the disk 8:0, each number the one it says. */
  async numbersOf(disks: readonly string[]) {
    await Promise.resolve();
    this.failures.check("numbersOf");
    return disks.map((disk) => disk.startsWith("/") ? "8:0" : disk);
  }

  async holdDiskLimits(jobs: readonly { jobId: string; limits: unknown }[]): Promise<void> {
    await Promise.resolve();
    this.calls.push(`holdDiskLimits ${JSON.stringify(jobs)}`);
    this.failures.check("holdDiskLimits");
  }

  async remaining() {
    await Promise.resolve();
    this.failures.check("remaining");
    return [{ pid: FAKE_PID, state: "D" }, { pid: 1, state: "R" }];
  }

  async usages(jobs: readonly JobRef[]) {
    await this.onUsages();
    this.calls.push(`usages ${jobs.length}`);
    this.failures.check("usages");
    return jobs.map((_, index) => ({ processes: index + 1 }));
  }

  statuses(jobIds: readonly string[]) {
    return jobIds.map((id) => this.engineStatuses.get(id));
  }

  async close(): Promise<void> {}

  /** Lets a job wait, that is adopted or submitted. */
  queue(id: string): Tracked {
    const [begun, ended] = [Promise.withResolvers<Begun>(), Promise.withResolvers<Ending>()];
    this.#jobs.set(id, { begun, ended, hasBegun: false });
    this.#stopping.watch(id, ended.promise);
    return { whenBegun: begun.promise, ended: ended.promise };
  }

  /** Lets a job run that waits, or is adopted. */
  begin(id: string, begun: Begun = { pid: FAKE_PID }): Tracked {
    const tracked = this.#jobs.has(id) ? undefined : this.queue(id);
    const job = this.#jobs.get(id)!;
    job.hasBegun = true;
    job.begun.resolve(begun);
    return tracked ?? { whenBegun: job.begun.promise, ended: job.ended.promise };
  }

  /** Ends a job that runs; one that has ended stays as it is. */
  end(id: string, ending: Partial<Exited> = {}): void {
    this.#jobs.get(id)?.ended.resolve(exited(ending));
  }

  /** Ends a job that is lost. */
  lose(id: string, reason: string): void {
    this.#jobs.get(id)?.ended.resolve({ kind: "lost", reason, endedAtMs: 0 });
  }

  /** Ends a job that waits. */
  neverRun(id: string, reason: string): void {
    this.#jobs.get(id)?.ended.resolve({ kind: "never-ran", reason, endedAtMs: 0 });
  }

  /** Fails to tell how a job ended. */
  failToTellEnd(id: string, error: Error): void {
    this.#jobs.get(id)?.ended.reject(error);
    this.#jobs.delete(id);
  }

  async #terminate({ jobId }: JobRef, signal: SignalName, options: SignalOptions): Promise<void> {
    await Promise.resolve();
    this.calls.push(`terminate ${jobId} ${signal}${audience(options)}`);
    await this.onTerminate();
    this.failures.check("terminate");
  }

  async #kill({ jobId }: JobRef): Promise<void> {
    this.calls.push(`kill ${jobId}`);
    await this.onKill();
    this.failures.check("kill");
    if (this.endsWhenKilled) this.end(jobId, { exitCode: 137, signal: 9 });
  }
}

type Exited = Extract<Ending, { kind: "exited" }>;

/** The ending of a job that has exited with status 0, unless told otherwise. */
export function exited(ending: Partial<Exited> = {}): Exited {
  return {
    kind: "exited",
    exitCode: 0,
    signal: 0,
    oomKilled: false,
    usage: { cpuUsec: 5 },
    endedAtMs: 0,
    ...ending,
  };
}

/** Where a job would be: no such group exists. */
export function handleOf(jobId: string) {
  return {
    groups: [`/fake/${jobId}`],
    tracker: `/fake/${jobId}`,
    populatedFile: `/fake/${jobId}/cgroup.events`,
    counters: [],
  };
}

function audience({ mainOnly }: SignalOptions): string {
  return mainOnly === true ? " main" : "";
}
