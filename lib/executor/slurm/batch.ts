/**
 * What a job's node is given: the batch script, and files that must not be in it. Pure.
 *
 * The script (lib/shim/batch.sh) lies in Slurm's own folders, where others may read it; so what may be
 * secret, a job's environment and its standard input, goes into files of the job's folder, which its
 * launcher removes. They are written, and belong to the job's user, before the script is submitted.
 *
 * It is submitted with `--export=ALL` from an environment that has nothing to hide (PATH, SLURM_CONF): with
 * `--export=NONE` each node first runs a login shell of the user for its environment, which the script then
 * throws away (measured: 40 jobs took 46 s instead of 9 s on a busy host).
 */
import type { Command } from "../../model/ending.ts";
import type { JobSecrets, JobSettings } from "../../model/settings.ts";
import type { Limits } from "../../limits.ts";
import { scripts } from "../../shim/scripts.ts";
import { PROGRAM_PATH, quoteForShell } from "../../shim/shell.ts";
import { CPU_PERIOD_USEC } from "../../cgroup/types.ts";
import { entryVariables } from "../job_environment.ts";
import { INPUT_FILE } from "../job_files.ts";
import type { GivenFile } from "./place.ts";

/** What is run on a node, and how. */
export interface BatchRequest {
  readonly jobId: string;
  /** The folder of what the node writes, on the shared file system. */
  readonly folder: string;
  /** The file that the job's output is appended to. */
  readonly output: string;
  /** The file that says what is missing in the output. */
  readonly gaps: string;
  /** The folder in which the output goes on after so many bytes; undefined: it has one file. */
  readonly segments?: { readonly folder: string; readonly bytes: number } | undefined;
  /** The file that has the server's order. */
  readonly orders: string;
  /** The file that the server renews while somebody looks at what the job uses. */
  readonly watch: string;
  readonly command: Command;
  readonly settings: JobSettings;
  readonly secrets: JobSecrets;
  /** What the node has to hold by groups of the job's own: where it runs as root. */
  readonly limits: Limits;
  /** Between the stop signal and SIGKILL at a timeout, and for what the main process leaves behind. */
  readonly graceMs: number;
  readonly runsAsRoot: boolean;
}

/** The variables that a job is given. The launcher reads it, and removes it. */
const SECRETS_FILE = "secrets";

/** What a launcher leaves no trace of; where it has not run, the server removes these. */
export const SECRET_FILES: readonly string[] = [SECRETS_FILE, INPUT_FILE];

/** With processes of its own, a job's command is a child of a child of its main process (lib/shim/enter.sh). */
const OWN_PROCESSES_LEVELS = 2;

/** The batch script and the private files of a job. */
export function batchOf(request: BatchRequest): { script: string; files: GivenFile[] } {
  const { folder, command, settings, secrets } = request;
  const { secret, plain } = splitVariables(entryVariables(settings, secrets));
  const hasInput = secrets.input.length > 0;
  const hasSecrets = Object.keys(secret).length > 0;
  const variables = {
    folder,
    output: request.output,
    gaps: request.gaps,
    segments: request.segments?.folder ?? "",
    segment_bytes: String(request.segments?.bytes ?? ""),
    orders: request.orders,
    watch: request.watch,
    job_id: request.jobId,
    is_root: yes(request.runsAsRoot),
    has_secrets: yes(hasSecrets),
    has_input: yes(hasInput),
    ...limitVariables(request),
    timeout_ms: String(settings.timeoutMs),
    grace_ms: String(request.graceMs),
    stop_signal: settings.stopSignal,
    main_levels: String(settings.isolation.ownProcesses ? OWN_PROCESSES_LEVELS : 0),
    enter: scripts.enter,
    ...plain,
  };
  const script = [
    "#!/bin/sh",
    `PATH=${PROGRAM_PATH}`,
    "export PATH",
    scripts.cleanEnvironment,
    "carriage_return=$(printf '\\r')",
    `script=$0 mode=\${1-} group_name="job-worker-$SLURM_JOB_ID-"${quoteForShell(request.jobId)}`,
    ...assignments(variables),
    `set -- ${[command.name, ...command.args].map(quoteForShell).join(" ")}`,
    scripts.batch,
  ].join("\n");
  return {
    // sbatch refuses a script with line breaks of DOS. All that may have one is between single quotes.
    script: script.replaceAll("\r", `'"$carriage_return"'`),
    files: [
      ...(hasSecrets
        ? [{ name: SECRETS_FILE, mode: 0o600, content: `${assignments(secret).join("\n")}\n` }]
        : []),
      ...(hasInput ? [{ name: INPUT_FILE, mode: 0o600, content: secrets.input }] : []),
    ],
  };
}

/** What may be secret, of the variables that lib/shim/enter.sh takes, and what need not be. */
function splitVariables(variables: Readonly<Record<string, string>>) {
  const isSecret = ([name]: [string, string]) => /^job_worker_(?:env|other)_/.test(name);
  const entries = Object.entries(variables);
  return {
    secret: Object.fromEntries(entries.filter(isSecret)),
    plain: Object.fromEntries(entries.filter((entry) => !isSecret(entry))),
  };
}

/** Empty: no limit. */
function limitVariables({ limits }: BatchRequest): Record<string, string> {
  const { cpuCores, memoryBytes, readBytesPerSecond, writeBytesPerSecond, processes } = limits;
  const { memoryHighBytes, readOperationsPerSecond, writeOperationsPerSecond } = limits;
  const text = (value: number | undefined) => value === undefined ? "" : String(value);
  return {
    cpu_period: String(CPU_PERIOD_USEC),
    cpu_quota: cpuCores === undefined ? "" : String(Math.round(cpuCores * CPU_PERIOD_USEC)),
    memory_bytes: text(memoryBytes),
    memory_high: text(memoryHighBytes),
    read_operations: text(readOperationsPerSecond),
    write_operations: text(writeOperationsPerSecond),
    read_rate: text(readBytesPerSecond),
    write_rate: text(writeBytesPerSecond),
    processes: text(processes),
  };
}

function assignments(variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables).map(([name, value]) => `${name}=${quoteForShell(value)}`);
}

function yes(value: boolean): string {
  return value ? "yes" : "";
}
