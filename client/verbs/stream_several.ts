/** Output of several jobs at once: whole lines, each with the job that it is of. */
import { forEachJob } from "../command_line/for_each_job.ts";
import { type JobTarget, type VerbCall } from "../command_line/servers.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { isJobId } from "../../common/job_id.ts";
import { follow } from "../jobs/follow.ts";
import { listJobs } from "../jobs/list.ts";
import { placedID, splitPlacedID } from "../jobs/placed_job.ts";
import { QueueNotes } from "../jobs/queue_notes.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { checkSeparateStderr } from "../jobs/separate_stderr.ts";
import { ACTIVE_STATES, toListRequest } from "../jobs/state.ts";
import { parsePairs } from "../command_line/options.ts";
import { type TimeOptions, toServerTimes } from "../command_line/output_time.ts";
import { JOB_COLOURS, paint } from "../screen/colours.ts";
import { PrefixedSink } from "../screen/prefixed_sink.ts";
import { StampedSink } from "../screen/stamped_sink.ts";

/** Each job takes a connection, or two where it prints much. */
const MAX_JOBS = 100;

/** Characters of an id in front of a line. */
const SHORT_ID_CHARACTERS = 8;

/** Which output of each job, and how it is followed. */
export interface SeveralOptions {
  readonly tailLines: number | undefined;
  readonly tailBytes: number | undefined;
  readonly stderr: boolean | undefined;
  readonly follow: boolean;
  readonly times: TimeOptions;
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs: number;
  /** Whether the user wants no notes of what jobs wait for. */
  readonly isQuiet: boolean;
}

/** Which jobs, where none is named. */
export interface StreamSelection {
  readonly all?: true;
  readonly label?: readonly string[];
}

/**
 * The jobs that are named, or those that have not ended and that the selection means.
 *
 * @throws {ClientError} There are too many.
 */
export async function jobsToStream(
  { servers, terminal }: VerbCall,
  names: readonly string[],
  { all, label }: StreamSelection,
): Promise<readonly string[]> {
  const isSelection = all === true || label !== undefined;
  if (isSelection === names.length > 0) {
    const problem = isSelection
      ? "Jobs cannot be named together with --all or --label"
      : "No job is named";
    throw new ClientError(`${problem}. See "worker-client stream --help".`, ExitStatus.usage);
  }
  const chosen = isSelection ? await select(servers, label) : [...new Set(names)];
  if (chosen.length === 0) terminal.note("no running job matches");
  if (chosen.length <= MAX_JOBS) return chosen;
  throw new ClientError(
    `${chosen.length} jobs are too many to write at once: choose at most ${MAX_JOBS}, ` +
      `for instance with --label.`,
    ExitStatus.usage,
  );
}

async function select(
  servers: VerbCall["servers"],
  label: readonly string[] | undefined,
): Promise<string[]> {
  const session = await servers.one();
  const request = toListRequest({ states: ACTIVE_STATES, labels: parsePairs(label, "--label") });
  const found: string[] = [];
  for await (const { jobID, title } of listJobs(session, request, { limit: MAX_JOBS + 1 })) {
    found.push(title && !found.includes(title) ? title : jobID);
  }
  return found;
}

/**
 * Writes the output of jobs as it comes, until all have ended. One that cannot be read is noted, and does
 * not end the others.
 *
 * @param names As a command line names them.
 * @returns The exit status of the first failure; 0 where there is none.
 */
export async function streamSeveral(
  call: VerbCall,
  names: readonly string[],
  { isQuiet, times, ...options }: SeveralOptions,
): Promise<number> {
  const { terminal } = call;
  const labels = labelsOf(names);
  const width = Math.max(...labels.values().map((label) => label.length));
  using notes = new QueueNotes(terminal, { isQuiet });
  const taken = new Set<string>();
  return await forEachJob(names, call, async (target: JobTarget) => {
    const { session, jobID: text, name } = target;
    const jobID = await resolveJobID(session, text);
    // Named twice, by its id and by its name.
    const key = `${session.server} ${jobID}`;
    if (taken.has(key)) return;
    taken.add(key);
    const label = labels.get(name) ?? name;
    if (options.follow) notes.add({ session, jobID, name: label });
    const colour = terminal.hasColours
      ? JOB_COLOURS[names.indexOf(name) % JOB_COLOURS.length]
      : undefined;
    const prefix = `${paint(`${label.padEnd(width)} |`, colour)} `;
    const lines = new PrefixedSink(terminal, { name: label, prefix });
    const sink = times.timestamps ? new StampedSink(lines) : lines;
    try {
      if (options.stderr) await checkSeparateStderr(session, jobID);
      const asked = await toServerTimes(session, times);
      await follow({ ...options, ...asked, jobID }, { session, sink });
    } finally {
      lines.endLine();
    }
  });
}

/** What stands in front of the lines of each job: its name as it was given, or the beginning of its id. */
function labelsOf(names: readonly string[]): ReadonlyMap<string, string> {
  const shorts = names.map((name) => {
    const { context, jobID } = splitPlacedID(name);
    return isJobId(jobID) ? placedID(context, jobID.slice(0, SHORT_ID_CHARACTERS)) : name;
  });
  const isUnique = new Set(shorts).size === names.length;
  return new Map(names.map((name, index) => [name, isUnique ? shorts[index] ?? name : name]));
}
