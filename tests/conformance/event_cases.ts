/** What a server tells of its jobs as they go on: the same, whatever runs them. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobManager } from "../../lib/job.ts";
import type { JobRequest } from "../../lib/model/request.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../lib/model/settings.ts";
import { JobStore } from "../../lib/store.ts";
import { NO_BOUNDS } from "../support/job_host.ts";
import { inTime, until } from "../support/wait.ts";
import type { Case } from "./case.ts";
import type { Site } from "./site.ts";

/** The jobs of a server over the executor on trial, with records of their own. */
class Jobs implements AsyncDisposable {
  readonly manager: JobManager;
  readonly #site: Site;
  readonly #store: JobStore;
  readonly #folder: string;

  private constructor(site: Site, manager: JobManager, store: JobStore, folder: string) {
    this.#site = site;
    this.manager = manager;
    this.#store = store;
    this.#folder = folder;
  }

  static async open(site: Site): Promise<Jobs> {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-records-" });
    for (const name of ["cpu", "memory", "disk_io"]) {
      await Deno.writeTextFile(join(folder, `${name}_limit.txt`), "max\n");
    }
    const store = new JobStore(folder);
    const manager = await JobManager.open({
      executor: site.executor,
      store,
      logFolder: folder,
      jobsParent: await Deno.makeTempDir({ dir: site.folder, prefix: "events-" }),
      limitsFolder: folder,
      graceMs: 2000,
      maxProcesses: Infinity,
      bounds: NO_BOUNDS,
      maxOutputBytes: Infinity,
    });
    return new Jobs(site, manager, store, folder);
  }

  start(script: string, settings: Partial<JobSettings> = {}): Promise<string> {
    const queue = { ...this.#site.settings?.queue, ...settings.queue };
    const request: JobRequest = {
      command: { name: "sh", args: ["-c", script] },
      settings: {
        ...DEFAULT_SETTINGS,
        ...this.#site.settings,
        ...(Object.keys(queue).length > 0 && { queue }),
      },
      secrets: { environment: {}, input: new Uint8Array() },
      limits: {},
    };
    return this.manager.start(request, { owner: "alice", idempotencyKey: "" });
  }

  async ended(id: string): Promise<void> {
    await inTime("the end", this.manager.wait(id), this.#site.endDeadlineMs);
  }

  /** What was told of a job so far: each as `KIND by WHOM`. */
  async told(id: string): Promise<string[]> {
    const query = {
      after: 0,
      sinceMs: 0,
      untilMs: Infinity,
      jobId: id,
      labels: {},
      follow: false,
      owners: () => Promise.resolve(() => true),
    };
    const told: string[] = [];
    for await (const { events } of this.manager.events(query, new AbortController().signal)) {
      told.push(...events.map(({ kind, by }) => `${kind} by ${by}`));
    }
    return told;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.manager.close();
    this.#store.close();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

/** The cases. */
export const EVENT_CASES: readonly Case[] = [
  {
    name: "has a server tell that a job has started, is stopped, and has ended, in this order",
    async holds(site) {
      await using jobs = await Jobs.open(site);
      const submitted = site.executor.capabilities.queues ? ["submitted by alice"] : [];
      const exits = await jobs.start("exit 3");
      const stopped = await jobs.start("while :; do sleep 0.1; done");
      await until("the start", async () => (await jobs.told(stopped)).includes("started by alice"));
      await jobs.manager.stop(stopped, { stoppedBy: "bob", graceMs: 0 });
      for (const id of [exits, stopped]) await jobs.ended(id);
      assert.deepEqual(
        await jobs.told(exits),
        [...submitted, "started by alice", "ended by "],
      );
      assert.deepEqual(
        await jobs.told(stopped),
        [...submitted, "started by alice", "stopping by bob", "ended by bob"],
      );
    },
  },
  {
    name: "has a server tell no start of a job that is stopped while it waits",
    lacks: ({ queues }) => queues ? undefined : "has no queue",
    async holds(site) {
      await using jobs = await Jobs.open(site);
      const queue = { beginAtMs: Date.now() + 3_600_000 };
      const id = await jobs.start("exit 0", { queue });
      await jobs.manager.stop(id, { stoppedBy: "bob" });
      await jobs.ended(id);
      assert.deepEqual(
        await jobs.told(id),
        ["submitted by alice", "stopping by bob", "ended by bob"],
      );
    },
  },
];
