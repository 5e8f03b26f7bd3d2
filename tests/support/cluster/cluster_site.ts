/** The executor of a cluster, as servers that follow each other use it, and a folder for its jobs on the share. */
import { userInfo } from "node:os";
import { join } from "node:path";
import { SlurmExecutor } from "../../../lib/executor/slurm.ts";
import type { JobSettings } from "../../../lib/model/settings.ts";
import type { Site } from "../../conformance/site.ts";
import { run } from "../run.ts";
import type { Cluster } from "./cluster.ts";

/** Ends of jobs that were lost are told some time after Slurm has given them up; a cluster may be busy. */
const ENDING_DEADLINE_MS = 90_000;

/** What a site is like. */
export interface ClusterSiteOptions {
  /** slurm.conf; empty: Slurm's default. */
  readonly confFile: string;
  /** On the share; it exists. */
  readonly sharedFolder: string;
  /** Where jobs go; empty: the default one. */
  readonly partition?: string;
  /** Whom jobs run as where each runs as a user of its own; empty: as the server. */
  readonly user?: string;
  /** Newest output kept of each job, where the share needs several files for it; all unless given. */
  readonly maxOutputBytes?: number;
  /** Whether nodes are hosts of their own; else their processes are this host's. */
  readonly hasOtherHosts?: boolean;
  /** Called at the end. */
  readonly onEnd?: () => Promise<void>;
}

/** A cluster on trial. */
export class ClusterSite implements Site {
  readonly endDeadlineMs?: number;
  readonly settings: Partial<JobSettings>;
  readonly sharedFolder: string;
  /** Jobs' folders are made in it. */
  readonly folder: string;
  readonly #options: ClusterSiteOptions;
  #executor: SlurmExecutor;

  private constructor(options: ClusterSiteOptions, folder: string, executor: SlurmExecutor) {
    this.#options = options;
    this.#executor = executor;
    this.sharedFolder = options.sharedFolder;
    this.folder = folder;
    if (options.hasOtherHosts !== true) this.endDeadlineMs = ENDING_DEADLINE_MS;
    const { partition = "", user = "" } = options;
    this.settings = {
      user: user === "" ? userInfo().username : user,
      ...(partition !== "" && { queue: { partition } }),
    };
  }

  static async open(options: ClusterSiteOptions): Promise<ClusterSite> {
    const folder = join(options.sharedFolder, "jobs");
    await Deno.mkdir(folder, { recursive: true, mode: 0o700 });
    return new ClusterSite(options, folder, await openExecutor(options));
  }

  /** A cluster of tests, whose nodes share all folders with this host. */
  static async of(cluster: Cluster, name = "share"): Promise<ClusterSite> {
    const sharedFolder = join(cluster.folder, name);
    await Deno.mkdir(sharedFolder, { recursive: true });
    return await ClusterSite.open({ confFile: cluster.confFile, sharedFolder });
  }

  get executor(): SlurmExecutor {
    return this.#executor;
  }

  async restart(): Promise<void> {
    await this.#executor.close();
    this.#executor = await openExecutor(this.#options);
  }

  /** Runs a program of Slurm on this host. */
  run(words: readonly string[]): ReturnType<typeof run> {
    const [program = "", ...args] = words;
    const { confFile } = this.#options;
    return run(program, args, { env: confFile === "" ? {} : { SLURM_CONF: confFile } });
  }

  async commandLines(node = ""): Promise<string> {
    const list = ["ps", "-eo", "args"];
    if (this.#options.hasOtherHosts !== true) return (await this.run(list)).stdout;
    const { partition = "" } = this.#options;
    const place = [`--nodelist=${node}`, ...partition === "" ? [] : [`--partition=${partition}`]];
    const { code, stdout, stderr } = await this.run(["srun", "--ntasks=1", ...place, ...list]);
    if (code === 0) return stdout;
    throw new Error(`cannot list the processes of node ${node}: ${stderr}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#executor.close();
    await this.#options.onEnd?.();
  }
}

function openExecutor(
  { sharedFolder, confFile, user = "", maxOutputBytes = Infinity }: ClusterSiteOptions,
): Promise<SlurmExecutor> {
  const isForUsers = user !== "";
  return SlurmExecutor.open({
    sharedFolder,
    owner: "test",
    configurationFile: confFile,
    isForUsers,
    maxOutputBytes,
  });
}
