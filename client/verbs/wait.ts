import { ClientError } from "../errors.ts";
import { waitForJob } from "../jobs/end.ts";
import { describeEnding } from "../jobs/ending.ts";
import { ExitStatus } from "../exit_status.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { placedMessage } from "../command_line/for_each_job.ts";
import { Option } from "commander";
import { parseDurationMs } from "../../common/quantities.ts";
import { parsedOption } from "../command_line/options.ts";
import type { VerbCall } from "../command_line/servers.ts";
import { describeNeverRan } from "../jobs/queued.ts";
import { QueueNotes } from "../jobs/queue_notes.ts";
import { describeJobs, noteWhenSlow } from "../screen/slow_note.ts";
import type { SessionContext } from "../connection/session.ts";
import type { Verb } from "../command_line/verb.ts";
import { defineRetry, retryForMs, type RetryOptions } from "./stream.ts";

interface WaitOptions extends RetryOptions {
  readonly any?: true;
  /** Milliseconds. */
  readonly timeout?: number;
}

/** A longer timer of the runtime would end at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

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
    command.addOption(new Option("--any", "until one has ended; print which, and exit as it did"));
    command.addOption(
      parsedOption("--timeout <duration>", "give up after this time, with exit status 124", {
        parse: parseDurationMs,
      }),
    );
    defineRetry(command);
    command.addHelpText(
      "after",
      `
Exits with 125 when a job cannot be waited for, its exit code is unknown, or it
never ran. With --any an id that no job has ends the wait at once.

Examples:
  worker-client wait a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219 && echo done
  worker-client wait --any --timeout 1h web api`,
    );
  },

  async run(call, command) {
    const { args } = command;
    const { terminal } = call;
    const options = command.opts<WaitOptions>();
    const { any, timeout } = options;
    // Ends the waiting when enough is known, or has taken too long.
    const enough = new AbortController();
    const timer = timeout === undefined
      ? undefined
      : setTimeout(() => enough.abort(), Math.min(timeout, LONGEST_TIMER_MS));
    const waiting = new Set(args);
    using _pending = noteWhenSlow(
      terminal,
      () => `waiting for ${describeJobs([...waiting])} to end; Ctrl-C ends the wait, not the jobs`,
    );
    using notes = new QueueNotes(terminal);
    let first: number | undefined;
    let hasUnknown = false;
    const statuses = await Promise.all(args.map(async (name) => {
      const status = await waitForNamed(call, name, {
        ...options,
        signal: enough.signal,
        notes,
        args,
      });
      if (status === undefined) return undefined;
      waiting.delete(name);
      if (any && status.isUnknown) {
        hasUnknown = true;
        enough.abort();
      }
      if (any && first === undefined && status.hasEnded) {
        first = status.code;
        terminal.write(new TextEncoder().encode(`${name}\n`));
        enough.abort();
      }
      return status.code;
    }));
    clearTimeout(timer);
    if (first !== undefined) return first;
    const isLate = !hasUnknown && statuses.includes(undefined);
    if (isLate) terminal.note(`${describeJobs([...waiting])} did not end in time`);
    return statuses.find((status) => status !== undefined && status !== 0) ??
      (isLate ? ExitStatus.timedOut : ExitStatus.ok);
  },
};

/** How a job is waited for among others. */
interface NamedWait extends WaitOptions {
  readonly signal: AbortSignal;
  readonly notes: QueueNotes;
  /** All that are waited for. */
  readonly args: readonly string[];
}

/** What became of one of the jobs that a command line names. */
interface NamedEnd {
  /** Its exit code, or that of the failure. */
  readonly code: number;
  readonly hasEnded: boolean;
  /** Whether there is no such job: a slip, which the end of another one would hide. */
  readonly isUnknown: boolean;
}

/**
 * Waits for one of the jobs that a command line names; failures are noted.
 *
 * @returns Undefined where the signal ended the wait.
 */
async function waitForNamed(
  { servers, terminal }: VerbCall,
  name: string,
  { signal, notes, args, ...options }: NamedWait,
): Promise<NamedEnd | undefined> {
  const isOnly = args.length === 1;
  try {
    const { session, jobID } = await servers.ofJob(name);
    const whole = await resolveJobID(session, jobID, signal);
    notes.add({ session, jobID: whole, name: isOnly ? undefined : name });
    const code = await waitForExit({ session, terminal }, whole, {
      retryForMs: retryForMs(options),
      what: isOnly ? "" : `${name}: `,
      signal,
    });
    return { code, hasEnded: true, isUnknown: false };
  } catch (error) {
    if (signal.aborted) return undefined;
    if (!(error instanceof ClientError)) throw error;
    terminal.note(placedMessage(name, error));
    return {
      code: ExitStatus.ownFailure,
      hasEnded: error instanceof NoExitCodeError,
      isUnknown: error.exitStatus === ExitStatus.notFound,
    };
  }
}

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
  { retryForMs, what = "", signal }: { retryForMs: number; what?: string; signal?: AbortSignal },
): Promise<number> {
  const job = await waitForJob(session, jobID, {
    retryForMs,
    signal,
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
