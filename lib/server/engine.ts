/** What runs the jobs: this host, or a cluster. */
import { join } from "node:path";
import type { Executor } from "../executor.ts";
import { LocalExecutor } from "../executor/local.ts";
import { SlurmExecutor } from "../executor/slurm.ts";
import { requireHolePunching } from "../logs/rotation.ts";
import type { ServerConfig } from "./config.ts";

/** The file of the log directory that says whose the jobs on the share are. */
const SHARE_OWNER_FILE = "share-owner";

/** An executor, and what a server tells of it. */
export interface Engine {
  readonly executor: Executor;
  /** Where the jobs' folders are, if not in the log directory. */
  readonly jobsParent?: string;
  /** The kind of control groups, and controllers, of this host; empty: jobs run elsewhere. */
  readonly cgroup: string;
  readonly controllers: readonly string[];
  /** Open descriptors that the server has inherited, and that jobs inherit too. */
  readonly inheritedDescriptors: readonly number[];
}

/** What an engine needs beyond the settings. */
export interface EngineOptions {
  readonly logFolder: string;
  /** The soft limit of open files that jobs of this host have. */
  readonly maxDescriptors: number | undefined;
}

/**
 * Opens what runs the jobs.
 *
 * @throws {Error} One line that says what to do.
 */
export async function openEngine(config: ServerConfig, options: EngineOptions): Promise<Engine> {
  return config.engine === "slurm"
    ? await openCluster(config, options)
    : await openHost(config, options);
}

async function openHost(
  { maxOutputBytes, cgroupParent }: ServerConfig,
  { logFolder, maxDescriptors }: EngineOptions,
): Promise<Engine> {
  if (Number.isFinite(maxOutputBytes)) await requireHolePunching(logFolder);
  const executor = await LocalExecutor.open(cgroupParent, maxDescriptors);
  const { host: { kind, controllers }, inheritedDescriptors } = executor;
  return { executor, cgroup: kind, controllers, inheritedDescriptors };
}

async function openCluster(
  { sharedDir, slurmConf, userMap, maxOutputBytes, maxProcesses }: ServerConfig,
  { logFolder }: EngineOptions,
): Promise<Engine> {
  const executor = await SlurmExecutor.open({
    sharedFolder: sharedDir,
    owner: await shareOwner(logFolder),
    configurationFile: slurmConf,
    isForUsers: userMap !== "",
    maxOutputBytes,
  });
  const { limits } = executor.capabilities;
  if (typeof limits.processes === "object" && Number.isFinite(maxProcesses)) {
    await executor.close();
    throw new Error(`${limits.processes.refused}; turn it off with --max-processes max`);
  }
  return {
    executor,
    jobsParent: sharedDir,
    cgroup: "",
    controllers: [],
    inheritedDescriptors: [],
  };
}

/** What stands for this server on the share: made once, and kept with the records of its jobs. */
async function shareOwner(logFolder: string): Promise<string> {
  const file = join(logFolder, SHARE_OWNER_FILE);
  try {
    const found = (await Deno.readTextFile(file)).trim();
    if (found !== "") return found;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
  const owner = crypto.randomUUID();
  await Deno.writeTextFile(file, `${owner}\n`, { mode: 0o600 });
  return owner;
}
