/** The executor of a cluster, as a server uses it: jobs, their files, and servers that follow each other. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { Adoption, Begun, Phase, SubmitRequest, Tracked } from "../../../lib/executor.ts";
import { SlurmExecutor } from "../../../lib/executor/slurm.ts";
import type { Ending } from "../../../lib/model/ending.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../../lib/model/settings.ts";
import { inTime } from "../wait.ts";
import type { Cluster } from "./cluster.ts";

/** What a job of a test is; the rest is as by default. */
export interface EngineJobOptions {
  readonly settings?: Partial<JobSettings>;
  readonly limits?: SubmitRequest["limits"];
  readonly environment?: Readonly<Record<string, string>>;
  readonly graceMs?: number;
}

/** A job that was handed over. */
export interface EngineJob {
  readonly request: SubmitRequest;
  readonly whenBegun: Promise<Begun>;
  readonly ended: Promise<Ending>;
  readonly number: string | undefined;
}

/** Ends of jobs that were lost are told some time after Slurm has given them up. */
const ENDING_DEADLINE_MS = 90_000;

/** An executor on a cluster. */
export class EngineHost implements AsyncDisposable {
  readonly #cluster: Cluster;
  readonly sharedFolder: string;
  #executor: SlurmExecutor;

  private constructor(cluster: Cluster, sharedFolder: string, executor: SlurmExecutor) {
    this.#cluster = cluster;
    this.sharedFolder = sharedFolder;
    this.#executor = executor;
  }

  /** Opens an executor whose shared folder is one of the cluster's. */
  static async open(cluster: Cluster, name = "share"): Promise<EngineHost> {
    const sharedFolder = join(cluster.folder, name);
    await Deno.mkdir(join(sharedFolder, "jobs"), { recursive: true });
    return new EngineHost(cluster, sharedFolder, await openExecutor(cluster, sharedFolder));
  }

  get executor(): SlurmExecutor {
    return this.#executor;
  }

  /** A job that was not handed over yet: its folder is there. */
  async prepare(
    command: readonly string[],
    { settings, limits = {}, environment = {}, graceMs = 1000 }: EngineJobOptions = {},
  ): Promise<SubmitRequest> {
    const [name = "", ...args] = command;
    const jobId = crypto.randomUUID();
    const folder = join(this.sharedFolder, "jobs", jobId);
    await Deno.mkdir(folder, { mode: 0o700 });
    const output = join(folder, "output");
    await Deno.writeTextFile(output, "", { mode: 0o600 });
    const asked = { ...DEFAULT_SETTINGS, ...settings };
    return {
      jobId,
      handle: this.#executor.plan(jobId, limits, asked),
      folder,
      output,
      owner: "alice",
      settings: asked,
      command: { name, args },
      secrets: { environment, input: new Uint8Array() },
      limits,
      graceMs,
      after: [],
    };
  }

  /** Hands a job over. */
  async submit(command: readonly string[], options: EngineJobOptions = {}): Promise<EngineJob> {
    const request = await this.prepare(command, options);
    return toJob(request, await this.#executor.submit(request));
  }

  /** The same for the script of a shell. */
  run(script: string, options: EngineJobOptions = {}): Promise<EngineJob> {
    return this.submit(["/bin/sh", "-c", script], options);
  }

  /** What a job has printed. */
  output({ request }: EngineJob): Promise<string> {
    return Deno.readTextFile(request.output);
  }

  /**
   * The server is killed, and another one takes over.
   *
   * @param jobs The jobs whose ends the first one has not stored, and how far each is on record.
   * @returns What the second one makes of them, in their order.
   */
  async restart(
    jobs: readonly { readonly request: SubmitRequest; readonly phase: Phase }[],
  ): Promise<Adoption[]> {
    await this.#executor.close();
    this.#executor = await openExecutor(this.#cluster, this.sharedFolder);
    const adoptions = await this.#executor.adopt(
      jobs.map(({ request, phase }) => ({ ...request, phase, submittedAtMs: Date.now() })),
    );
    return jobs.map(({ request }) => {
      const adoption = adoptions.get(request.jobId);
      assert(adoption, "a job was not adopted");
      return adoption;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#executor.close();
  }
}

/** How a job ended; the test fails where that takes too long. */
export function endingOf(job: Pick<Tracked, "ended">): Promise<Ending> {
  return inTime("the job's end", job.ended, ENDING_DEADLINE_MS);
}

/** How a job ended that must have exited. */
export async function exitOf(
  job: Pick<Tracked, "ended">,
): Promise<Extract<Ending, { kind: "exited" }>> {
  const ending = await endingOf(job);
  assert(ending.kind === "exited", JSON.stringify(ending));
  return ending;
}

/** What became of an adopted job that is still watched. */
export function trackedIn(adoption: Adoption | undefined): Tracked {
  assert(adoption?.kind === "tracked", JSON.stringify(adoption));
  return adoption;
}

function toJob(request: SubmitRequest, tracked: Tracked): EngineJob {
  const { whenBegun, ended, engineJob } = tracked;
  return { request, whenBegun, ended, number: engineJob };
}

function openExecutor(cluster: Cluster, sharedFolder: string): Promise<SlurmExecutor> {
  return SlurmExecutor.open({ sharedFolder, owner: "test", configurationFile: cluster.confFile });
}
