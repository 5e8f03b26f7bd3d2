/** What sbatch(1) is given for a job, and what its answer says. Pure. */
import { JobError } from "../../errors.ts";
import type { Limits } from "../../limits.ts";
import type { JobSettings } from "../../model/settings.ts";
import { type CommandAnswer, KILLED, WILL_RETRY, wordsOf } from "./commands.ts";
import type { AccountIds } from "./place.ts";

const MIB_BYTES = 1024 ** 2;

/** What the launcher and its helpers may need beside the job, where our own group holds its memory. */
const LAUNCHER_BYTES = 16 * MIB_BYTES;

/** Between the end of a job's time, as its launcher keeps it, and that of Slurm's. */
const TIME_LIMIT_SLACK_MS = 120_000;

/** What is asked for. */
export interface SubmissionRequest {
  readonly jobId: string;
  /** The folder of what the node writes, on the shared file system. */
  readonly folder: string;
  readonly settings: JobSettings;
  readonly limits: Limits;
  readonly graceMs: number;
  /** Whether our groups hold the limits on the node; else Slurm's do. */
  readonly holdsLimits: boolean;
  /** The Unix user that the job runs as; undefined: the server's own. */
  readonly account?: AccountIds | undefined;
  /** Slurm's numbers of the jobs that must have succeeded. */
  readonly after: readonly string[];
  readonly nowMs: number;
}

/** Arguments of sbatch; it reads the script from its standard input. */
export function submissionArguments(request: SubmissionRequest): string[] {
  const { jobId, folder, settings, limits, account, after, nowMs } = request;
  const { queue } = settings;
  const memoryMib = memoryMibOf(request);
  const beginAtMs = queue?.beginAtMs ?? 0;
  return [
    "--parsable",
    // A job is never run a second time; the launch record would refuse that, too.
    "--no-requeue",
    `--job-name=${jobId}`,
    "--chdir=/",
    `--output=${folder}/engine.out`,
    "--open-mode=append",
    // What the shell that calls sbatch has, and that is little: with NONE, each node first runs a login shell.
    "--export=ALL",
    // Else the job had the bounds of the shell that calls sbatch, of its processor time, say.
    "--propagate=NONE",
    "--nodes=1",
    "--ntasks=1",
    `--cpus-per-task=${cpusOf(settings, limits)}`,
    ...(memoryMib === undefined ? [] : [`--mem=${memoryMib}M`]),
    ...(settings.timeoutMs === 0 ? [] : [`--time=${minutesOf(request)}`]),
    // Without its group, the job would have that of root (measured).
    ...(account === undefined ? [] : [`--uid=${account.uid}`, `--gid=${account.gid}`]),
    ...option("partition", queue?.partition),
    ...option("account", queue?.account),
    ...option("qos", queue?.qos),
    ...option("constraint", queue?.constraint),
    ...option("gres", queue?.gpus === undefined || queue.gpus === "" ? "" : `gpu:${queue.gpus}`),
    ...(queue?.nice === undefined ? [] : [`--nice=${queue.nice}`]),
    ...(beginAtMs > nowMs ? [`--begin=${timeOf(beginAtMs)}`] : []),
    ...(after.length === 0 ? [] : [`--dependency=afterok:${after.join(":")}`]),
  ];
}

/** The numbers of jobs that such arguments let a job wait for. */
export function numbersAfter(args: readonly string[]): string[] {
  const after = args.map((arg) => /^--dependency=afterok:([\d:]+)$/.exec(arg)?.[1]);
  return after.flatMap((numbers) => numbers?.split(":") ?? []);
}

/** How many whole cores a job is given: those that it asks for, else as many as its CPU limit needs. */
export function cpusOf(
  { queue }: Pick<JobSettings, "queue">,
  { cpuCores = 1 }: Limits,
): number {
  return queue?.cpus === undefined || queue.cpus === 0
    ? Math.max(1, Math.ceil(cpuCores))
    : queue.cpus;
}

function memoryMibOf({ limits, holdsLimits }: SubmissionRequest): number | undefined {
  if (limits.memoryBytes === undefined) return undefined;
  const bytes = limits.memoryBytes + (holdsLimits ? LAUNCHER_BYTES : 0);
  // Rounded so that a limit that Slurm holds is never above what was asked for.
  return holdsLimits ? Math.ceil(bytes / MIB_BYTES) : Math.max(1, Math.floor(bytes / MIB_BYTES));
}

/** Slurm plans better with it. The launcher ends the job before that, and exactly. */
function minutesOf({ settings, graceMs }: SubmissionRequest): number {
  return Math.ceil((settings.timeoutMs + graceMs + TIME_LIMIT_SLACK_MS) / 60_000);
}

function option(name: string, value: string | undefined): string[] {
  return value === undefined || value === "" ? [] : [`--${name}=${value}`];
}

/** In the time zone that commands are run in: UTC. */
function timeOf(atMs: number): string {
  return new Date(Math.ceil(atMs / 1000) * 1000).toISOString().slice(0, 19);
}

/** What sbatch's answer says. */
export type Submission =
  | { readonly kind: "taken"; readonly number: string }
  | { readonly kind: "refused"; readonly error: JobError }
  /**
   * The controller was not heard, or takes no job now: another try may be taken. `mayBeTaken`: whether this one may
   * have been taken all the same.
   */
  | { readonly kind: "later"; readonly problem: string; readonly mayBeTaken: boolean }
  /** Not known: neither what has become of it, nor whether another try would help. */
  | { readonly kind: "unknown"; readonly problem: string };

/** Said by the controller, or by sbatch, where it is certain that the job was not taken. */
const REFUSED =
  /Batch job submission failed: |Invalid |[Ii]nvalid .* specifi|error: .*(?:option|argument)/;

/** Said where the controller was not heard, was busy, or the answer was lost. */
const NOT_HEARD =
  /contact|timed out|[Zz]ero [Bb]ytes|[Cc]onnect|communicat|[Tt]ry again|temporarily|[Rr]etry|not respond|[Uu]nexpected message|[Mm]unge|MUNGE|[Aa]uthentication|[Ss]ocket|[Tt]ransport|backup|standby|shutting down/;

/** Said where it is certain that the job was not taken, and may be at another time: a queue that is full, say. */
const NOT_NOW =
  /connect failure|[Tt]emporarily un(?:able|available)|job queue full|sleeping and retrying|standby mode/;

/** Refusals that are not the request's fault: the job would be taken at another time, or by another user. */
const BY_STATE =
  /[Aa]ccess|[Pp]ermission|denied|\b(?:job|submit) limit|QOS|account|quota|drain|DOWN/;

/** Reads what sbatch has printed. */
export function readSubmission(answer: CommandAnswer): Submission {
  const number = /^(\d+)(?:;[^\n]*)?$/m.exec(answer.text)?.[1];
  if (answer.status === 0 && number !== undefined) return { kind: "taken", number };
  const isKilled = answer.status === KILLED;
  const problem = wordsOf(answer).replace("Batch job submission failed: ", "")
    .replace(`, ${WILL_RETRY}`, "");
  if (isKilled || NOT_HEARD.test(answer.text)) {
    return { kind: "later", problem, mayBeTaken: isKilled || !NOT_NOW.test(answer.text) };
  }
  if (!REFUSED.test(answer.text)) return { kind: "unknown", problem };
  return {
    kind: "refused",
    error: new JobError(
      BY_STATE.test(problem) ? "precondition" : "invalid",
      `Cannot start the job: Slurm refused it: ${problem}`,
    ),
  };
}
