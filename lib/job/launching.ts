/** Gives jobs that have waited on this host to its executor. */
import { JobError, messageOf } from "../errors.ts";
import type { Executor, Tracked } from "../executor.ts";
import { type Limits, narrowLimits } from "../limits.ts";
import { log } from "../log.ts";
import { isHeld, type JobState } from "../model/record.ts";
import { STOPPED_WAITING } from "../model/queue.ts";
import { DEFAULT_SETTINGS } from "../model/settings.ts";
import { dropSecrets, keptSecrets } from "../store/held_secrets.ts";
import type { ActiveJob, ActiveJobs, ChangeOptions } from "./active_jobs.ts";
import type { JobFolders } from "./folder.ts";
import { refOf } from "./refs.ts";

/** What {@linkcode launchHeld} works with. */
export interface LaunchParts {
  readonly executor: Executor;
  readonly active: ActiveJobs;
  readonly folders: JobFolders;
  /** The limits that no job may go beyond, as they are now. @throws {JobError} Where a limit file is bad. */
  readonly allowedLimits: () => Limits;
  /** Between the stop signal and SIGKILL, unless the job's settings say another. */
  readonly graceMs: number;
}

/** What became of the attempt. */
export type Launch =
  | { readonly kind: "launched"; readonly tracked: Tracked }
  /**
   * No job can be launched now, or hardly: this one waits on. `hasTried`: it may have been its own fault, and
   * others go before.
   */
  | { readonly kind: "later"; readonly reason: string; readonly hasTried: boolean }
  /** It never will. */
  | { readonly kind: "never"; readonly reason: string };

/** Said before what is wrong, to whoever waits for the answer to a Start. */
const START_REFUSED = /^Cannot start (?:the|a) job: /;

/**
 * Launches a job whose turn has come, within the limits of now: the files may have changed while it waited.
 * Never rejects. A server that ends meanwhile leaves a record by which the next one knows whether the job
 * may have begun.
 */
export async function launchHeld(job: ActiveJob, parts: LaunchParts): Promise<Launch> {
  const { executor, active, folders, allowedLimits, graceMs } = parts;
  const { id, command, askedLimits = {}, settings = DEFAULT_SETTINGS } = job.record;
  const never = (reason: string): Launch => ({ kind: "never", reason });
  let secrets;
  try {
    secrets = await keptSecrets(folders.pathOf(id));
  } catch {
    return never("the variables and the input that it was given are lost on the server's disk");
  }
  let allowed;
  try {
    allowed = allowedLimits();
  } catch (error) {
    return { kind: "later", reason: reasonOf(error), hasTried: false };
  }
  // From here to the record's change without a pause: a Stop comes before or after.
  if (!isHeld(stateOf(job))) return never(STOPPED_WAITING);
  let limits, handle;
  try {
    limits = narrowLimits(allowed, askedLimits);
    handle = executor.plan(id, limits, settings);
  } catch (error) {
    return never(reasonOf(error));
  }
  try {
    await active.handOver(id, { limits, handle });
    if ((job.record.attempt ?? 1) > 1) await folders.makeLaunchPath(job.record);
  } catch (error) {
    return giveBack(job, parts, `the server's disk refuses its record: ${messageOf(error)}`);
  }
  if (stateOf(job).kind !== "pending") return never(STOPPED_WAITING);
  try {
    const tracked = await executor.submit({
      ...refOf(job.record, folders),
      command,
      secrets,
      limits,
      ...folders.outputFilesOf(job.record),
      graceMs: settings.graceMs ?? graceMs,
      after: [],
    });
    await dropSecrets(folders.pathOf(id));
    return { kind: "launched", tracked };
  } catch (error) {
    const isPassing = error instanceof JobError &&
      (error.kind === "exhausted" || error.kind === "unavailable");
    if (!(error instanceof JobError)) {
      log.error("cannot launch a job", { job: id, error: messageOf(error) });
    }
    if (!isPassing) return never(reasonOf(error));
    // What its launcher may have left is in the way of another one.
    const attempt = (job.record.attempt ?? 1) + 1;
    return giveBack(job, parts, reasonOf(error), { attempt });
  }
}

/** Takes a job back that was to be launched. */
function giveBack(
  job: ActiveJob,
  { active }: LaunchParts,
  reason: string,
  news: Pick<ChangeOptions, "attempt"> = {},
): Launch {
  if (stateOf(job).kind !== "pending") return { kind: "never", reason: STOPPED_WAITING };
  void active.change(job.record.id, { kind: "pending", openAfter: [] }, news);
  return { kind: "later", reason, hasTried: news.attempt !== undefined };
}

/** As it is now, whatever it was a moment ago. */
function stateOf(job: ActiveJob): JobState {
  return job.record.state;
}

function reasonOf(error: unknown): string {
  if (!(error instanceof JobError)) return "the server failed to start it; its log says more";
  return messageOf(error).replace(START_REFUSED, "");
}
