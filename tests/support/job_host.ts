/**
 * A job manager to be tested: the real store and real folders in a temporary directory, a fake executor,
 * a fake clock, and a server that can end and be followed by another one.
 */
import { join } from "node:path";
import type { Capabilities } from "../../lib/executor.ts";
import { JobManager, type JobManagerOptions } from "../../lib/job.ts";
import type { JobRecord, JobState } from "../../lib/model/record.ts";
import type { JobRequest } from "../../lib/model/request.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../lib/model/settings.ts";
import { JobStore } from "../../lib/store.ts";
import { CapturedLog } from "./captured_log.ts";
import { Failures } from "./failures.ts";
import { FakeClock } from "./fake_clock.ts";
import { FakeExecutor, handleOf } from "./fake_executor.ts";
import { until } from "./wait.ts";

type StoreOperation =
  | "insert"
  | "update"
  | "delete"
  | "setFirstOffset"
  | "synced"
  | "freeHeads"
  | "syncOutput";

/**
 * The real store, whose operations fail where a test says so; and what was done, in order. Only the wait
 * for the disk is left out (wal_sync_test.ts holds it), so that no test depends on how fast that is.
 */
export class FailingStore extends JobStore {
  readonly failures = new Failures<StoreOperation>();
  readonly calls: StoreOperation[] = [];
  /** Takes the place of the wait for the disk. */
  onSynced: () => void | Promise<void> = () => {};

  override insert(record: JobRecord): void {
    this.#enter("insert");
    super.insert(record);
  }

  override update(...change: Parameters<JobStore["update"]>): void {
    this.#enter("update");
    super.update(...change);
  }

  override delete(...change: Parameters<JobStore["delete"]>): void {
    this.#enter("delete");
    super.delete(...change);
  }

  override setFirstOffset(id: string, firstOffset: number): void {
    this.#enter("setFirstOffset");
    super.setFirstOffset(id, firstOffset);
  }

  override async synced(): Promise<void> {
    this.#enter("synced");
    const { added } = this.journal;
    await this.onSynced();
    this.journal.publish(added);
  }

  #enter(operation: StoreOperation): void {
    this.calls.push(operation);
    this.failures.check(operation);
  }
}

/** As many jobs as a test likes. */
export const NO_BOUNDS: JobManagerOptions["bounds"] = {
  maxJobs: Infinity,
  maxJobsPerUser: Infinity,
  maxWaitingJobs: Infinity,
  maxWaitingJobsPerUser: Infinity,
};

/** Nothing here waits for a disk, a process or a network: what has not come by then does not come. */
const DEADLINE_MS = 5000;

/** Waits until a condition holds, and fails soon where it never does. */
export function soon(what: string, condition: () => boolean): Promise<boolean> {
  return until(what, condition, DEADLINE_MS);
}

/** What runs `true`, as root, with nothing else asked for. */
export function requestOf(
  settings: Partial<JobSettings> = {},
  request: Partial<Omit<JobRequest, "settings">> = {},
): JobRequest {
  return {
    command: { name: "true", args: [] },
    settings: { ...DEFAULT_SETTINGS, ...settings },
    secrets: { environment: {}, input: new Uint8Array() },
    limits: {},
    ...request,
  };
}

/** A record as an earlier server has left it. */
export function recordOf(state: JobState, fields: Partial<JobRecord> = {}): JobRecord {
  const id = crypto.randomUUID();
  return {
    id,
    command: { name: "true", args: [] },
    settings: DEFAULT_SETTINGS,
    owner: "alice",
    idempotencyKey: "",
    createdAtMs: 1,
    limits: {},
    handle: handleOf(id),
    state,
    firstOffset: 0,
    ...fields,
  };
}

/** One host with its log directory; at most one server at a time. */
export class JobHost implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly log = new CapturedLog();
  /** Of the present server. */
  executor: FakeExecutor;
  readonly #capabilities: Partial<Capabilities>;
  readonly #folder: string;
  #store: FailingStore;
  #manager: JobManager | undefined;

  private constructor(folder: string, capabilities: Partial<Capabilities>) {
    this.#capabilities = capabilities;
    this.executor = this.#newExecutor();
    this.#folder = folder;
    this.#store = new FailingStore(folder);
  }

  /**
   * A host with no server, and no limits in its limit files.
   *
   * @param capabilities Of its executor, where they are not this host's.
   */
  static async prepare(capabilities: Partial<Capabilities> = {}): Promise<JobHost> {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-jobs-" });
    for (const name of ["cpu", "memory", "disk_io"]) {
      await Deno.writeTextFile(join(folder, `${name}_limit.txt`), "max\n");
    }
    return new JobHost(folder, capabilities);
  }

  /** A host with a server. */
  static async open(
    options: Partial<JobManagerOptions> = {},
    capabilities: Partial<Capabilities> = {},
  ): Promise<JobHost> {
    const host = await JobHost.prepare(capabilities);
    try {
      await host.serve(options);
      return host;
    } catch (error) {
      await host[Symbol.asyncDispose]();
      throw error;
    }
  }

  get store(): FailingStore {
    return this.#store;
  }

  get manager(): JobManager {
    if (this.#manager === undefined) throw new Error("the host has no server");
    return this.#manager;
  }

  /**
   * Ends the server as `kill -9` does, and leaves its jobs.
   *
   * @param meanwhile Done to the file of the records while no server has it.
   */
  crash(meanwhile: (file: string) => void = () => {}): void {
    this.#store.close();
    meanwhile(join(this.#folder, "jobs.db"));
    this.clock.clear();
    this.#manager = undefined;
    this.#store = new FailingStore(this.#folder);
    this.executor = this.#newExecutor();
  }

  #newExecutor(): FakeExecutor {
    return new FakeExecutor({ clock: this.clock, ...this.#capabilities });
  }

  /** Starts a server. */
  async serve(options: Partial<JobManagerOptions> = {}): Promise<void> {
    this.#manager = await JobManager.open({
      executor: this.executor,
      store: this.#store,
      logFolder: this.#folder,
      limitsFolder: this.#folder,
      graceMs: 10_000,
      maxProcesses: Infinity,
      bounds: NO_BOUNDS,
      maxOutputBytes: Infinity,
      clock: this.clock,
      freeHeads: async () => {
        await Promise.resolve();
        this.#store.calls.push("freeHeads");
        this.#store.failures.check("freeHeads");
      },
      syncOutput: async (output) => {
        await output.sync();
        this.#store.calls.push("syncOutput");
        this.#store.failures.check("syncOutput");
      },
      ...options,
    });
  }

  /** Starts a job of alice's, or of another owner. */
  start(
    request: JobRequest = requestOf(),
    { owner = "alice", idempotencyKey = "" } = {},
  ): Promise<string> {
    return this.manager.start(request, { owner, idempotencyKey });
  }

  /** Lets a job end, and waits until that is on record. */
  async end(id: string, ending?: Parameters<FakeExecutor["end"]>[1]): Promise<void> {
    const ended = this.manager.wait(id);
    this.executor.end(id, ending);
    await ended;
  }

  /** Ids of jobs that run, as the manager sees them. */
  get activeIds(): string[] {
    return [...this.manager.active].map(({ record }) => record.id);
  }

  /** What is on record of a job, past the manager. */
  stored(id: string): JobRecord {
    const record = this.#store.get(id);
    if (record === undefined) throw new Error(`nothing is on record of ${id}`);
    return record;
  }

  /** The number of jobs on record, in whatever state. */
  get storedCount(): number {
    return this.#store.active().length + this.#store.endedTotals().count;
  }

  /** The folders of jobs. */
  folders(): string[] {
    return [...Deno.readDirSync(join(this.#folder, "jobs"))].map(({ name }) => name);
  }

  folderOf(id: string): string {
    return join(this.#folder, "jobs", id);
  }

  /** Writes the operator's file of queues. */
  queuesFile(text: string): void {
    Deno.writeTextFileSync(join(this.#folder, "queues.txt"), text);
  }

  /** Appends to a job's output, as the job would. */
  async print(id: string, text: string | Uint8Array, file = "output"): Promise<void> {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    await Deno.writeFile(join(this.folderOf(id), file), bytes, { append: true });
  }

  /**
   * Breaks the folder of all jobs' folders: nothing in it can be made or removed, also not by root.
   *
   * @returns Mends it.
   */
  breakFolders(): () => void {
    const jobs = join(this.#folder, "jobs");
    Deno.renameSync(jobs, `${jobs}.aside`);
    Deno.writeTextFileSync(jobs, "in the way");
    return () => {
      Deno.removeSync(jobs);
      Deno.renameSync(`${jobs}.aside`, jobs);
    };
  }

  limitFile(name: "cpu" | "memory" | "disk_io", text: string): void {
    Deno.writeTextFileSync(join(this.#folder, `${name}_limit.txt`), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#manager?.close();
    this.log[Symbol.dispose]();
    this.#store.close();
    await Deno.remove(this.#folder, { recursive: true });
  }
}
