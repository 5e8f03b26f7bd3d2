/**
 * The folder of one run of the tests on a cluster that is there already, and what is left of the run at its end: jobs,
 * which have the names of their folders there.
 */
import { join } from "node:path";

/** A job's id, which is the name of its folder, and its name on the cluster. */
const JOB_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Jobs' folders are at most so far below that of the run. */
const MAX_DEPTH = 5;

/** What was cancelled ends after the site's KillWait. */
const END_TIMEOUT_MS = 120_000;

/** Between two looks at the queue: others use the controller, too. */
const LOOK_MS = 2000;

/** Where a cluster is. */
export interface SitePlace {
  /** On the share. */
  readonly folder: string;
  /** slurm.conf; empty: Slurm's default. */
  readonly confFile: string;
}

/** Why no tests can be run there; undefined: nothing is known. */
export async function siteProblem({ folder, confFile }: SitePlace): Promise<string | undefined> {
  if (!/^\/[A-Za-z0-9_./-]+$/.test(folder)) {
    return `${folder} is no absolute path of letters, digits, "_", "." and "-": give one that all nodes have`;
  }
  if (!await isThere(`${folder}/.`)) return `there is no folder ${folder}: give one on the share`;
  // Slurm's commands would look for it for a minute.
  if (confFile !== "" && !await isThere(confFile)) return `there is no file ${confFile} (--conf)`;
  try {
    await namesInQueue(confFile);
    return undefined;
  } catch (error) {
    return `Slurm does not answer (${
      error instanceof Error ? error.message : error
    }): run this where you ` +
      "can submit jobs, with the site's slurm.conf (--conf)";
  }
}

function isThere(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}

/** Makes the folder of a run. */
export function makeRunFolder({ folder }: SitePlace): Promise<string> {
  return Deno.makeTempDir({ dir: folder, prefix: "job-worker-test-" });
}

/**
 * Cancels what is left of a run's jobs, and removes its folder.
 *
 * @returns How many jobs were left.
 * @throws Where Slurm cannot be asked, or a job does not end; the folder is there then.
 */
export async function clearRunFolder(folder: string, confFile: string): Promise<number> {
  const ids = await jobsIn(folder, MAX_DEPTH);
  const isLeft = async () => {
    const names = await namesInQueue(confFile);
    return ids.filter((id) => names.has(id));
  };
  const left = ids.length === 0 ? [] : await isLeft();
  for (const id of left) await slurm(confFile, "scancel", `--user=${Deno.uid()}`, `--name=${id}`);
  const untilMs = Date.now() + END_TIMEOUT_MS;
  while (left.length > 0) {
    const still = await isLeft();
    if (still.length === 0) break;
    if (Date.now() > untilMs) {
      throw new Error(
        `jobs do not end: cancel them, and remove ${folder}: scancel --name=${
          still.join(" --name=")
        }`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
  await Deno.remove(folder, { recursive: true });
  return left.length;
}

/** The ids of jobs that have a folder. */
async function jobsIn(folder: string, depth: number): Promise<string[]> {
  const ids: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(folder)) {
    if (!isDirectory) continue;
    if (JOB_ID.test(name)) ids.push(name);
    else if (depth > 1) ids.push(...await jobsIn(join(folder, name), depth - 1));
  }
  return ids;
}

/** The names of the caller's jobs that wait, run or end. */
async function namesInQueue(confFile: string): Promise<Set<string>> {
  const text = await slurm(confFile, "squeue", "--noheader", `--user=${Deno.uid()}`, "--format=%j");
  return new Set(text.split("\n"));
}

async function slurm(confFile: string, program: string, ...args: string[]): Promise<string> {
  const { success, stdout, stderr, code } = await new Deno.Command(program, {
    args,
    env: confFile === "" ? {} : { SLURM_CONF: confFile },
    stdin: "null",
  }).output();
  if (success) return new TextDecoder().decode(stdout);
  const text = new TextDecoder().decode(stderr).trim();
  throw new Error(text === "" ? `${program} ended with status ${code}` : text);
}
