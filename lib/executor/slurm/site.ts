/** What Slurm's configuration says of a site: whether jobs can run there, and what is held of them. */
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { log } from "../../log.ts";
import { type RunCommand, wordsOf } from "./commands.ts";
import { replaceFile } from "../../regular_file.ts";
import { readNodeFile } from "./node_file.ts";

/** A site, for one who submits jobs there. */
export interface Site {
  readonly facts: SiteFacts;
  /** The server's own user. */
  readonly uid: number;
  /** The name of that user. */
  readonly user: string;
  /** Whether each job runs as a user of its own, who is not root; else as the server's. */
  readonly isForUsers: boolean;
  /** Whether jobs run as root. */
  readonly isRoot: boolean;
  /** The default one first. */
  readonly partitions: readonly string[];
}

/** A part of the configuration that matters here. */
export interface SiteFacts {
  /** Such as `22.05.8`. */
  readonly version: string;
  /** Whether Slurm bounds what the processes of a job take of memory, by control groups. */
  readonly constrainsMemory: boolean;
  /** The least bound of memory that it sets, in bytes: a lower one is raised to it. */
  readonly leastMemoryBytes: number;
  /** Whether the processes of a job are kept to its cores. */
  readonly constrainsCores: boolean;
}

/** One thing that was looked at. */
export interface SiteFinding {
  readonly state: "ok" | "warning" | "missing";
  /** What was looked at. */
  readonly subject: string;
  /** What was found, and what to do where something is missing. */
  readonly text: string;
}

/**
 * What Slurm said of its configuration when it was last asked: a server starts, and looks after jobs that run,
 * also while the controller is away.
 */
const KNOWN_CONFIGURATION_FILE = "engine-configuration";

/** A site with a thousand partitions has less. */
const MAX_CONFIGURATION_BYTES = 4 * 1024 ** 2;

/** The first version that the suite was run with. */
const TESTED_VERSION = [22, 5] as const;

/** An end is told better while Slurm still has the job: for a few questions at least. */
const LEAST_JOB_AGE_SECONDS = 30;

const MIB_BYTES = 1024 ** 2;

/** Parses what `scontrol show config` prints. */
export function parseConfiguration(text: string): Map<string, string> {
  return new Map(
    [...text.matchAll(/^(\S+)\s*= (.*)$/gm)].map(([, name = "", value = ""]) => [
      name,
      value.trim(),
    ]),
  );
}

/** What matters of the configuration. */
export function factsOf(configuration: ReadonlyMap<string, string>): SiteFacts {
  const has = (name: string) => configuration.get(name)?.toLowerCase() === "yes";
  const hasTaskPlugin = (configuration.get("TaskPlugin") ?? "").split(",").includes("task/cgroup");
  const least = /^(\d+) MB$/.exec(configuration.get("MinRAMSpace") ?? "")?.[1];
  return {
    version: configuration.get("SLURM_VERSION") ?? "of an unknown version",
    constrainsMemory: hasTaskPlugin && has("ConstrainRAMSpace"),
    leastMemoryBytes: Number(least ?? 30) * MIB_BYTES,
    constrainsCores: hasTaskPlugin && has("ConstrainCores"),
  };
}

/** The names of partitions, as `scontrol --oneliner show partitions` prints them. */
export function parsePartitions(text: string): string[] {
  const partitions = [...text.matchAll(/^PartitionName=(\S+)(.*)$/gm)];
  const isDefault = ([, , rest = ""]: RegExpExecArray) => rest.includes(" Default=YES ");
  return [...partitions.filter(isDefault), ...partitions.filter((one) => !isDefault(one))]
    .map(([, name = ""]) => name);
}

/**
 * Looks at the whole configuration.
 *
 * @param options `isRoot`: whether the server is root; `isForUsers`: see {@linkcode Site}.
 */
export function examineConfiguration(
  configuration: ReadonlyMap<string, string>,
  { isRoot, isForUsers = false }: { readonly isRoot: boolean; readonly isForUsers?: boolean },
): SiteFinding[] {
  return [
    versionFinding(factsOf(configuration).version),
    trackingFinding(configuration.get("ProctrackType") ?? "unknown"),
    isForUsers ? usersFinding(isRoot) : userFinding(configuration, isRoot),
    jobAgeFinding(configuration.get("MinJobAge") ?? ""),
    ...requeueFindings(configuration),
    ...limitFindings(factsOf(configuration), isRoot && !isForUsers),
  ];
}

function versionFinding(version: string): SiteFinding {
  const subject = "Slurm";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isOlder = major < TESTED_VERSION[0] ||
    major === TESTED_VERSION[0] && minor < TESTED_VERSION[1];
  if (isOlder || Number.isNaN(major)) {
    const text = `version ${version}: 22.05 is the oldest that was tried; run the cluster's tests`;
    return { state: "warning", subject, text };
  }
  return { state: "ok", subject, text: `version ${version}` };
}

function trackingFinding(plugin: string): SiteFinding {
  const subject = "ProctrackType";
  if (plugin === "proctrack/cgroup") {
    return { state: "ok", subject, text: `${plugin}: no process of a job outlives it` };
  }
  return {
    state: "missing",
    subject,
    text: `it is ${plugin}, where a process that leaves its session outlives its job: set ` +
      "ProctrackType=proctrack/cgroup in slurm.conf, and restart slurmctld and each slurmd",
  };
}

function userFinding(configuration: ReadonlyMap<string, string>, isRoot: boolean): SiteFinding {
  const subject = "user of jobs";
  if (!isRoot) return { state: "ok", subject, text: "the server's own" };
  if (configuration.get("DisableRootJobs")?.toLowerCase() !== "yes") {
    return { state: "ok", subject, text: "root, as the server" };
  }
  return {
    state: "missing",
    subject,
    text:
      "Slurm refuses jobs of root here (DisableRootJobs=YES in slurm.conf): run the server as " +
      "another user, whom jobs then run as",
  };
}

/** Slurm lets root alone submit for others; DisableRootJobs does not concern that (measured). */
function usersFinding(isRoot: boolean): SiteFinding {
  const subject = "user of jobs";
  if (isRoot) return { state: "ok", subject, text: "by the user map" };
  return {
    state: "missing",
    subject,
    text:
      "Slurm lets root alone submit jobs for others: run the server as root, or without --user-map",
  };
}

function jobAgeFinding(text: string): SiteFinding {
  const subject = "MinJobAge";
  const seconds = Number(/^(\d+) sec$/.exec(text)?.[1] ?? NaN);
  // 0: records are never removed.
  if (seconds === 0 || seconds >= LEAST_JOB_AGE_SECONDS) {
    return { state: "ok", subject, text: `${seconds} seconds` };
  }
  return {
    state: "warning",
    subject,
    text: `it is ${text || "unknown"}: where a job is lost, nobody can say why; set at least ` +
      `${LEAST_JOB_AGE_SECONDS} (300 is Slurm's default) in slurm.conf`,
  };
}

/** Both parameters have exit statuses whose jobs go into the queue again, also where they were submitted with --no-requeue. */
function requeueFindings(configuration: ReadonlyMap<string, string>): SiteFinding[] {
  return ["RequeueExit", "RequeueExitHold"].flatMap((subject) => {
    const statuses = configuration.get(subject) ?? "";
    if (statuses === "" || statuses === "(null)") return [];
    const text =
      `it is ${statuses}: jobs that exit so are told as ended, and stay in Slurm's queue, where they ` +
      "run nothing; take it out of slurm.conf, or cancel them now and then";
    return [{ state: "warning", subject, text }];
  });
}

function limitFindings(facts: SiteFacts, isRoot: boolean): SiteFinding[] {
  if (isRoot) {
    const text = "held by control groups of the job's own, as on one host";
    return [{ state: "ok", subject: "limits", text }];
  }
  const parameter = (isSet: boolean, name: string, what: string): SiteFinding =>
    isSet ? { state: "ok", subject: name, text: `yes: ${what} can be held` } : {
      state: "warning",
      subject: name,
      text:
        `no: a start with ${what} is refused; set ${name}=yes in cgroup.conf, and task/cgroup ` +
        "in TaskPlugin of slurm.conf",
    };
  return [
    parameter(facts.constrainsMemory, "ConstrainRAMSpace", "a memory limit"),
    parameter(facts.constrainsCores, "ConstrainCores", "a CPU limit of whole cores"),
  ];
}

/** A site, and what was found there. */
export interface SiteReport {
  readonly site: Site;
  readonly findings: readonly SiteFinding[];
}

/**
 * Asks Slurm of its configuration.
 *
 * @throws {Error} One line that says what to do, when it does not answer.
 */
export async function examineSite(
  run: RunCommand,
  { isForUsers }: { readonly isForUsers: boolean },
): Promise<SiteReport> {
  return await reportOf(run, { text: await askConfiguration(run), isForUsers });
}

/**
 * The same for a server that starts: what is missing ends it. What Slurm said before counts while it cannot be
 * asked.
 *
 * @param options `sharedFolder`: where that is kept. `isForUsers`: see {@linkcode Site}.
 * @throws {Error} One line that says what to do.
 */
export async function openSite(
  run: RunCommand,
  { sharedFolder, isForUsers }: { readonly sharedFolder: string; readonly isForUsers: boolean },
): Promise<Site> {
  const file = join(sharedFolder, KNOWN_CONFIGURATION_FILE);
  const text = await knownConfiguration(run, file);
  const { site, findings } = await reportOf(run, { text, isForUsers });
  for (const { state, subject, text } of findings) {
    if (state === "missing") {
      throw new Error(`jobs cannot run on this cluster: ${subject}: ${text}`);
    }
    if (state === "warning") log.warn(`${subject}: ${text}`);
  }
  return site;
}

async function reportOf(
  run: RunCommand,
  { text, isForUsers }: { readonly text: string; readonly isForUsers: boolean },
): Promise<SiteReport> {
  const uid = Number(await identity(run, "-u"));
  const isRoot = uid === 0;
  const configuration = parseConfiguration(text);
  return {
    site: {
      facts: factsOf(configuration),
      uid,
      user: await identity(run, "-un"),
      isForUsers,
      isRoot: isRoot && !isForUsers,
      partitions: parsePartitions(text),
    },
    findings: examineConfiguration(configuration, { isRoot, isForUsers }),
  };
}

async function identity(run: RunCommand, option: "-u" | "-un"): Promise<string> {
  const { status, text } = await run("id", [option]);
  if (status === 0) return text.trim();
  throw new Error(`cannot tell which user the server runs as: id ${option} failed`);
}

async function knownConfiguration(run: RunCommand, file: string): Promise<string> {
  try {
    const text = await askConfiguration(run);
    await replaceFile(file, text, { mode: 0o600 });
    return text;
  } catch (error) {
    const known = await readNodeFile(file, { maxBytes: MAX_CONFIGURATION_BYTES })
      .catch(() => undefined);
    if (known === undefined) throw error;
    log.warn("cannot ask Slurm of its configuration: what it said before counts", {
      error: messageOf(error),
    });
    return known.text;
  }
}

async function askConfiguration(run: RunCommand): Promise<string> {
  return await ask(run, ["show", "config"]) + await ask(run, ["--oneliner", "show", "partitions"]);
}

async function ask(run: RunCommand, args: readonly string[]): Promise<string> {
  const answer = await run("scontrol", args);
  if (answer.status === 0) return answer.text;
  const isMissing = answer.status === 127 || answer.status === 126;
  throw new Error(
    isMissing
      ? "Slurm's commands are not installed here: install them (Debian: slurm-client), with the site's slurm.conf"
      : `Slurm does not answer: ${
        wordsOf(answer)
      }; look whether slurmctld runs, and give the site's ` +
        "slurm.conf (--slurm-conf)",
  );
}
