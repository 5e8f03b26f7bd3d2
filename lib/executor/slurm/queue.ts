/** What squeue(1) tells of our jobs, and what may be concluded from it. Pure. */
import { isJobId } from "../../../common/job_id.ts";
import type { EngineStatus } from "../../model/engine.ts";

/** A job in the engine's answer. */
export interface QueuedJob {
  /** Its number; another job may have it later, or have had it before. */
  readonly number: string;
  /** In Slurm's word, such as PENDING. */
  readonly state: string;
  /** Why it waits, in Slurm's word; empty: nothing is said. */
  readonly reason: string;
  /** Empty: none yet. */
  readonly node: string;
  /** When it has begun, or may begin by the engine's estimate. */
  readonly startMs?: number;
  readonly partition: string;
}

/** A successful answer: only such a one says anything, also of what it does not have. */
export interface QueueAnswer {
  /** When it was asked for: what was submitted later need not be in it. Milliseconds since 1970-01-01 UTC. */
  readonly asOfMs: number;
  /** By the job's id, which is its name there. */
  readonly jobs: ReadonlyMap<string, QueuedJob>;
}

/**
 * Arguments of squeue: fixed fields in text, since its JSON changes with its versions and answers an
 * unreachable controller with an empty list.
 *
 * The name is the one field that other users can fill with anything, newlines included: so it comes last,
 * and is cut after the character that follows an id. No forged line fits into it.
 *
 * @param uid Whose jobs; undefined: those of all users. (Of several users squeue asks for all jobs anyway, and
 * it answers with nothing, and status 0, for one whom this host does not know any more.)
 */
export function queueArguments(uid: number | undefined): string[] {
  return [
    "--noheader",
    "--states=all",
    ...(uid === undefined ? [] : [`--user=${uid}`]),
    "--format=%A|%U|%T|%r|%N|%S|%P|%37j",
  ];
}

/** Said, with status 0 and without any job, where this host does not know the user that is asked for. */
const UNKNOWN_USER = /^squeue: error: Invalid user: /m;

/** Whether an answer says nothing of jobs, whatever its status: only for the jobs of one user. */
export function isNoAnswer(text: string): boolean {
  return UNKNOWN_USER.test(text);
}

/**
 * Only number and name are held against a pattern: what else an engine says may be new, and a job whose line
 * was left out would be taken for missing.
 */
const LINE = /^(\d{1,10})\|(\d{1,10})\|(.*)\|([0-9a-f-]{36}) ?$/;

/**
 * Parses the answer. Lines of other jobs, and what else is printed, are left out.
 *
 * @param uidOf The user that the job with an id runs as: a stranger may give a job of his one of our names.
 */
export function parseQueue(
  text: string,
  asOfMs: number,
  uidOf: (jobId: string) => number,
): QueueAnswer {
  const jobs = new Map<string, QueuedJob>();
  for (const line of text.split("\n")) {
    const [, number = "", uid = "", fields = "", id = ""] = LINE.exec(line) ?? [];
    if (!isJobId(id) || Number(uid) !== uidOf(id)) continue;
    const [state = "", reason = "", node = "", start = "", partition = ""] = fields.split("|");
    const job = {
      number,
      state,
      reason: reason === "None" ? "" : reason,
      node: node === "(null)" ? "" : node,
      partition,
      ...(/^\d+$/.test(start) && { startMs: Number(start) * 1000 }),
    };
    const other = jobs.get(id);
    if (other === undefined || counts(job, other)) jobs.set(id, job);
  }
  return { asOfMs, jobs };
}

/** Of two jobs with one name (a submission that was repeated by hand, say) the one that may still run. */
function counts(job: QueuedJob, other: QueuedJob): boolean {
  const isOver = isOverIn(job.state);
  if (isOver !== isOverIn(other.state)) return !isOver;
  return Number(job.number) > Number(other.number);
}

/** States after which nothing of a job runs any more, and nothing of it will. */
const OVER = new Set([
  "BOOT_FAIL",
  "CANCELLED",
  "COMPLETED",
  "DEADLINE",
  "FAILED",
  "LAUNCH_FAILED",
  "NODE_FAIL",
  "OUT_OF_MEMORY",
  "PREEMPTED",
  "RECONFIG_FAIL",
  "REVOKED",
  "TIMEOUT",
]);

/** Whether a state of Slurm's is a final one. One that is not known here is none. */
export function isOverIn(state: string): boolean {
  return OVER.has(state);
}

/** States in which a job waits for its turn, the first or another one. */
const WAITING = new Set(["PENDING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "SPECIAL_EXIT"]);

/** Whether a job waits in a state of Slurm's. */
export function waitsIn(state: string): boolean {
  return WAITING.has(state);
}

/** Why a job that waits will never have its turn. */
const NEVER = new Set(["DependencyNeverSatisfied"]);

/** What an answer says of a job. */
export type Verdict =
  /** It is too old to say anything. */
  | { readonly kind: "unknown" }
  /** It waits, runs or ends. */
  | { readonly kind: "there"; readonly job: QueuedJob }
  /** It waits for what cannot come any more. */
  | { readonly kind: "hopeless"; readonly job: QueuedJob }
  | { readonly kind: "over"; readonly job: QueuedJob }
  /** The engine does not have it. */
  | { readonly kind: "missing" };

/**
 * What an answer says of a job.
 *
 * @param takenAtMs When the engine had certainly taken it.
 */
export function judge(
  answer: QueueAnswer | undefined,
  id: string,
  takenAtMs: number,
): Verdict {
  const job = answer?.jobs.get(id);
  if (answer === undefined) return { kind: "unknown" };
  if (job === undefined) {
    return answer.asOfMs > takenAtMs ? { kind: "missing" } : { kind: "unknown" };
  }
  if (isOverIn(job.state)) return { kind: "over", job };
  return NEVER.has(job.reason) && job.state === "PENDING"
    ? { kind: "hopeless", job }
    : { kind: "there", job };
}

/** What is told of a job to those who look at it. */
export function statusOf({ asOfMs, jobs }: QueueAnswer, id: string): EngineStatus | undefined {
  const job = jobs.get(id);
  if (job === undefined) return undefined;
  const isWaiting = job.state === "PENDING";
  return {
    engineJob: job.number,
    engineState: job.state,
    partition: job.partition,
    asOfMs,
    ...(job.node !== "" && { node: job.node }),
    ...(isWaiting && job.reason !== "" && { pendingReason: job.reason }),
    ...(isWaiting && job.startMs !== undefined && { estimatedStartMs: job.startMs }),
  };
}
