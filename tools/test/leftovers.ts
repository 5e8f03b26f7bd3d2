/**
 * Finds what a test run left behind on this host: control groups, processes, files.
 *
 * What was there before the run (another server's groups, say) is passed over.
 */
import { basename, join } from "node:path";

const OURS = /^job-worker/;

/** Nodes of clusters of tests (tests/support/cluster): their control groups, and their networks. */
const NODE_GROUPS = /^slurm_jw\d/;
const NODE_NETWORKS = /^jw\d/;

/**
 * Control groups of every hierarchy by the name of their folder, a group before those within it.
 *
 * @param name What the folder's name has to match.
 * @param folder Where to look.
 */
export async function findGroups(name: RegExp, folder = "/sys/fs/cgroup"): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await folderNames(folder)) {
    const path = join(folder, entry);
    if (name.test(entry)) found.push(path);
    found.push(...await findGroups(name, path));
  }
  return found;
}

/** Where a run's binaries and jobs live; a process that has to do with these is the run's own. */
export interface RunPlaces {
  /** The folder of the binaries under test. */
  readonly binDir: string;
  /** The log directory that was built into them. */
  readonly logDir: string;
}

/** What of our name exists at one moment: one line a finding. */
export async function findLeftovers(places: RunPlaces): Promise<Set<string>> {
  return new Set([
    ...(await findGroups(OURS)).map((path) => `control group ${path}`),
    ...(await findGroups(NODE_GROUPS)).map((path) => `control group ${path}`),
    ...(await findNetworks()).map((name) => `network namespace ${name}`),
    ...await findProcesses(places),
    ...await findFolders(places),
  ]);
}

/** Names of real folders: a link would be walked twice. A folder may vanish meanwhile. */
async function folderNames(folder: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) {
      if (entry.isDirectory && !entry.isSymlink) names.push(entry.name);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return names.sort();
}

/** Network namespaces are files. */
async function findNetworks(): Promise<string[]> {
  const entries = await Array.fromAsync(Deno.readDir("/run/netns")).catch(() => []);
  return entries.map(({ name }) => name).filter((name) => NODE_NETWORKS.test(name)).sort();
}

async function findProcesses(places: RunPlaces): Promise<string[]> {
  const found: string[] = [];
  for (const name of await folderNames("/proc")) {
    if (!/^[0-9]+$/.test(name) || Number(name) === Deno.pid) continue;
    const command = await textOf(`/proc/${name}/cmdline`);
    const marks = [command.replaceAll("\0", " "), ...await linksOf(`/proc/${name}`)];
    if (marks.some((mark) => mark.includes(places.binDir) || mark.includes(places.logDir))) {
      found.push(`process ${name}: ${marks[0]?.slice(0, 120)}`);
    }
  }
  return found;
}

/** The program and every open file of a process: a job's output is a file of the log directory. */
async function linksOf(process: string): Promise<string[]> {
  const links = [`${process}/exe`, `${process}/cwd`];
  try {
    for await (const entry of Deno.readDir(`${process}/fd`)) {
      links.push(`${process}/fd/${entry.name}`);
    }
  } catch (error) {
    if (!isGone(error)) throw error;
  }
  return (await Promise.all(links.map(targetOf))).filter((target) => target !== "");
}

async function targetOf(link: string): Promise<string> {
  try {
    return await Deno.readLink(link);
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

async function textOf(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (error) {
    if (isGone(error)) return "";
    throw error;
  }
}

async function findFolders(places: RunPlaces): Promise<string[]> {
  const found: string[] = [];
  for (const name of await folderNames("/tmp")) {
    const path = join("/tmp", name);
    if (path === places.logDir) continue;
    if (OURS.test(name)) found.push(`folder ${path}`);
  }
  const inLogDir = await folderNames(places.logDir);
  return [...found, ...inLogDir.map((name) => `folder ${join(places.logDir, basename(name))}`)];
}

/** A process or a group may end while it is being looked at; a kernel thread shows nothing. */
function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied ||
    (error instanceof Error && "code" in error &&
      (error.code === "ESRCH" || error.code === "EACCES")) ||
    // Of a folder that is read, the runtime says it in words only (ESRCH).
    (error instanceof Error && error.message.startsWith("No such process"));
}
