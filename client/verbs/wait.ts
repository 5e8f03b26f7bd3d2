import { ClientError } from "../errors.ts";
import { waitForJob } from "../jobs/end.ts";
import { describeEnding } from "../jobs/ending.ts";
import { ExitStatus } from "../exit_status.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { placedMessage } from "../command_line/for_each_job.ts";
import { describeNeverRan } from "../jobs/queued.ts";
import { QueueNotes } from "../jobs/queue_notes.ts";
import { PendingJobs } from "../screen/slow_note.ts";
import type { SessionContext } from "../connection/session.ts";
import type { Verb } from "../command_line/verb.ts";
import { defineRetry, retryForMs, type RetryOptions } from "./stream.ts";

/** `wait ID...`: returns when the jobs have ended, with their exit code. */
export const waitVerb: Verb = {
  name: "wait",
  jobs: "running",
  failureStatus: ExitStatus.ownFailure,

  define(command) {
    command.summary("wait until jobs have ended");
    command.description(
      "Waits until the jobs have ended and exits with the job's exit code; of several, with the " +
        "first that is not 0. Ctrl-C ends the wait; the jobs continue to run.",
    );
    command.argument("<id...>", "the jobs' ids, or names");
    defineRetry(command);
    command.addHelpText(
      "after",
      `
Exits with 125 when a job cannot be waited for, its exit code is unknown, or it
never ran.

Examples:
  worker-client wait a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219 && echo done`,
    );
  },

  async run({ servers, terminal }, command) {
    const retry = retryForMs(command.opts<RetryOptions>());
    using pending = new PendingJobs(command.args, {
      terminal,
      describe: (jobs) => `waiting for ${jobs} to end; Ctrl-C ends the wait, not the jobs`,
    });
    using notes = new QueueNotes(terminal);
    const isOnly = command.args.length === 1;
    const statuses = await Promise.all(command.args.map(async (name) => {
      try {
        const { session, jobID } = await servers.ofJob(name);
        const whole = await resolveJobID(session, jobID);
        notes.add({ session, jobID: whole, name: isOnly ? undefined : name });
        const what = isOnly ? "" : `${name}: `;
        return await waitForExit({ session, terminal }, whole, { retryForMs: retry, what });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        terminal.note(placedMessage(name, error));
        return ExitStatus.ownFailure;
      } finally {
        pending.settle(name);
      }
    }));
    return statuses.find((status) => status !== 0) ?? ExitStatus.ok;
  },
};

/** A job that has ended, but not with an exit code. */
export class NoExitCodeError extends ClientError {
  override name = "NoExitCodeError";

  constructor(message: string) {
    super(message, ExitStatus.ownFailure);
  }
}

/**
 * Waits until a job has ended, and notes why where it has not ended by itself.
 *
 * @param options `what`: stands in front of the note.
 * @returns Its exit code, 0 to 255.
 * @throws {NoExitCodeError} It was lost, or never ran.
 * @throws {ClientError} There is no such job, or the server cannot be reached.
 */
export async function waitForExit(
  { session, terminal }: SessionContext,
  jobID: string,
  { retryForMs, what = "" }: { retryForMs: number; what?: string },
): Promise<number> {
  const job = await waitForJob(session, jobID, {
    retryForMs,
    onLost: () => terminal.note(`connection lost while waiting for ${jobID}, trying again...`),
  });
  if (job.state === "JOB_STATE_LOST") {
    throw new NoExitCodeError(
      `The exit code of job ${jobID} is unknown: the job was lost ` +
        `(${job.reason || "its end was not observed"}). Start it again if it has to complete.`,
    );
  }
  if (job.state === "JOB_STATE_NEVER_RAN") {
    throw new NoExitCodeError(`Job ${jobID} ${describeNeverRan(job)}.`);
  }
  const ending = describeEnding(job);
  if (ending !== undefined) terminal.note(`${what}${ending}`);
  return job.exitCode & 0xff;
}
