import { type Command, Option } from "commander";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { follow } from "../jobs/follow.ts";
import { describeNeverRan } from "../jobs/queued.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { checkSeparateStderr } from "../jobs/separate_stderr.ts";
import { stateOf } from "../jobs/state.ts";
import { defineTimes, type TimeOptions, toServerTimes } from "../command_line/output_time.ts";
import { collectedOption, parsedOption } from "../command_line/options.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import { Progress } from "../screen/progress.ts";
import { QueueNotes } from "../jobs/queue_notes.ts";
import { StampedSink } from "../screen/stamped_sink.ts";
import type { Session, SessionContext } from "../connection/session.ts";
import { parseCount, parseDurationMs } from "../../common/quantities.ts";
import type { VerbCall } from "../command_line/servers.ts";
import type { Verb } from "../command_line/verb.ts";
import { jobsToStream, type StreamSelection, streamSeveral } from "./stream_several.ts";

/** How long a broken connection is tried again. */
export interface RetryOptions {
  /** False: `--no-retry`. */
  readonly retry: boolean;
  /** Milliseconds. */
  readonly retryFor?: number;
}

/** Which output of a job, and how it is followed. */
export interface StreamOptions extends RetryOptions, TimeOptions {
  readonly offset?: number;
  /** Lines. */
  readonly tail?: number;
  readonly tailBytes?: number;
  /** False: `--no-follow`. */
  readonly follow: boolean;
  readonly quiet?: true;
  readonly stderr?: true;
}

/** `stream ID`: writes a job's output until the job ends. */
export const streamVerb: Verb = {
  name: "stream",
  jobs: "all",

  define(command) {
    command.summary("write a job's output, live");
    command.description(
      "Writes a job's output, live, until the job ends; of several jobs, whole lines with the job in " +
        "front, until all have ended. Ctrl-C does not stop the jobs.",
    );
    command.argument("[id...]", "the jobs' ids, the beginnings of them, or names");
    const positions = ["offset", "tail", "tailBytes"];
    const addPosition = (name: string, option: Option) =>
      command.addOption(option.conflicts(positions.filter((other) => other !== name)));
    addPosition(
      "offset",
      parsedOption("--offset <n>", "start at this byte, counted from 0", { parse: parseCount })
        .conflicts("since"),
    );
    addPosition(
      "tail",
      parsedOption("--tail <n>", "start with the last n lines, of the last 64 MiB", {
        parse: parseCount,
      }),
    );
    addPosition(
      "tailBytes",
      parsedOption("--tail-bytes <n>", "start with the last n bytes", { parse: parseCount }),
    );
    command.addOption(new Option("--stderr", "the standard error of a job that keeps it apart"));
    defineTimes(command);
    command.addOption(new Option("--no-follow", "end with the output that there is now"));
    command.addOption(
      new Option("-q, --quiet", "show no progress, nor what the job waits for in a queue"),
    );
    command.addOption(
      new Option("--all", "all jobs that have not ended").conflicts(["label", "offset"]),
    );
    command.addOption(
      collectedOption("-l, --label <key=value>", "jobs with this label that have not ended"),
    );
    defineRetry(command);
    command.addHelpText(
      "after",
      `
When standard output is a file the progress is shown on standard error. A broken
connection is made again and the output continues at the next byte, with a note
on standard error.

Examples:
  worker-client stream a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stream --tail 20 a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stream --since 10m --timestamps nightly
  worker-client stream --tail 5 web api
  worker-client stream --no-follow a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219 > output.bin`,
    );
  },

  async run(call, command) {
    const options = command.opts<StreamOptions & StreamSelection>();
    const names = await jobsToStream(call, command.args, options);
    return await streamJobs(call, names, options);
  },
};

/**
 * Writes the output of jobs to standard output: of one its bytes, of several whole lines.
 *
 * @param names As a command line names them.
 * @returns The exit status, however the jobs ended.
 */
export async function streamJobs(
  call: VerbCall,
  names: readonly string[],
  options: StreamOptions,
): Promise<number> {
  const [name, ...others] = names;
  if (name === undefined) return ExitStatus.ok;
  if (others.length === 0) return await streamJob(call, name, options);
  if (options.offset !== undefined) {
    throw new ClientError("--offset is a place in the output of one job.", ExitStatus.usage);
  }
  return await streamSeveral(call, names, {
    tailLines: options.tail,
    tailBytes: options.tailBytes,
    stderr: options.stderr,
    follow: options.follow,
    times: options,
    retryForMs: retryForMs(options),
    isQuiet: options.quiet ?? false,
  });
}

/**
 * Writes a job's output to standard output.
 *
 * @param text The job's id, the beginning of it, or its name.
 * @returns The exit status, however the job ended.
 * @throws {ClientError} There is no such job, or its output cannot be read.
 */
async function streamJob(
  { servers, terminal }: VerbCall,
  text: string,
  options: StreamOptions,
): Promise<number> {
  const { session, jobID: name } = await servers.ofJob(text);
  const jobID = await resolveJobID(session, name);
  if (options.stderr) await checkSeparateStderr(session, jobID);
  using progress = !options.quiet && terminal.isAttended && await terminal.isFile()
    ? new Progress(terminal)
    : undefined;
  if (progress !== undefined) await expectTotal(progress, session, { ...options, jobID });
  using notes = new QueueNotes(terminal, { isQuiet: options.quiet ?? false });
  if (options.follow) notes.add({ session, jobID, name: undefined });
  let isEmpty = true;
  await follow({
    jobID,
    offset: options.offset,
    tailLines: options.tail,
    tailBytes: options.tailBytes,
    follow: options.follow,
    stderr: options.stderr,
    ...await toServerTimes(session, options),
    retryForMs: retryForMs(options),
    onBytes: (length) => {
      isEmpty = false;
      progress?.add(length);
    },
  }, { session, sink: options.timestamps ? new StampedSink(terminal) : terminal });
  if (isEmpty) await noteNeverRan({ session, terminal }, jobID);
  return ExitStatus.ok;
}

/** Says why a job that has never run has no output. */
async function noteNeverRan({ session, terminal }: SessionContext, jobID: string): Promise<void> {
  try {
    const job = await session.call("Query", { jobID }, { retryForMs: 0, isQuiet: true });
    if (stateOf(job) === "never-ran") terminal.note(`Job ${jobID} ${describeNeverRan(job)}.`);
  } catch (error) {
    // The whole output was written; the note is an extra.
    if (!(error instanceof ClientError)) throw error;
  }
}

/** Finds out how many bytes will come, where that is known. */
async function expectTotal(
  progress: Progress,
  session: Session,
  { jobID, stderr, offset = 0, tail, tailBytes, since, until, follow }:
    & StreamOptions
    & { jobID: string },
): Promise<void> {
  if (since !== undefined || until !== undefined) return;
  const job = await session.call("Query", { jobID });
  const { exited } = job;
  const outputBytes = stderr ? job.stderrBytes : job.outputBytes;
  const outputFirstOffset = stderr ? job.stderrFirstOffset : job.outputFirstOffset;
  if (tail !== undefined || !exited && follow) return;
  const first = Math.max(
    outputFirstOffset,
    tailBytes === undefined ? offset : outputBytes - tailBytes,
  );
  progress.expect(Math.max(0, outputBytes - first));
}

/** Adds the options `--no-retry` and `--retry-for`. */
export function defineRetry(command: Command): void {
  command.addOption(new Option("--no-retry", "give up when the connection breaks"));
  command.addOption(parsedOption(
    "--retry-for <duration>",
    "give up when the connection stays broken for so long (default: 10m)",
    { parse: parseDurationMs },
  ));
}

/** How long to try again a broken connection, in milliseconds; 0: not at all. */
export function retryForMs({ retry, retryFor }: RetryOptions): number {
  return retry ? retryFor ?? DEFAULT_RETRY_FOR_MS : 0;
}
