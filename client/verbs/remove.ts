import { type Command, Option } from "commander";
import { parseDurationMs } from "../../common/quantities.ts";
import { forEachJob } from "../command_line/for_each_job.ts";
import { collectedOption, parsedOption, parsePairs } from "../command_line/options.ts";
import type { VerbCall } from "../command_line/servers.ts";
import type { Verb } from "../command_line/verb.ts";
import type { Session } from "../connection/session.ts";
import { ClientError, GrpcStatus, RefusedCallError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { listJobs } from "../jobs/list.ts";
import { FAILED, type Selection, selectionOf } from "../jobs/selection.ts";
import { toListRequest } from "../jobs/state.ts";
import { binaryBytes } from "../screen/quantities.ts";

/** Which jobs, where no ids are given. */
interface RemoveOptions {
  readonly all?: true;
  readonly failed?: true;
  /** Milliseconds. */
  readonly olderThan?: number;
  readonly label?: readonly string[];
  readonly yes?: true;
}

/** Removals under way at once. */
const MAX_REMOVING = 32;

const ENDED = selectionOf(["exited", "lost", "never-ran"]);

/** `remove ID...`: deletes jobs that have ended, and their output. */
export const removeVerb: Verb = {
  name: "remove",
  aliases: ["rm"],
  jobs: "ended",

  define(command) {
    command.summary("delete jobs that have ended");
    command.description(
      "Deletes jobs that have ended, with their output. A running job is not deleted.",
    );
    command.argument("[id...]", "the jobs' ids, or names");
    command.addOption(
      new Option(
        "--all",
        "all jobs that you have started and that have ended; the next three narrow",
      ),
    );
    command.addOption(
      parsedOption("--older-than <duration>", "ended before this time: 24h, 7d", {
        parse: parseDurationMs,
      }),
    );
    command.addOption(
      collectedOption("-l, --label <key=value>", "with this label; may be repeated"),
    );
    command.addOption(new Option("--failed", "not those that have ended with exit code 0"));
    command.addOption(new Option("-y, --yes", "do not ask whether all of these shall go"));
    command.addHelpText(
      "after",
      `
All of several jobs are tried; the exit status is that of the first failure.
With --all their number is told first, and a terminal is asked; elsewhere
nothing is deleted without --yes.

Examples:
  worker-client remove a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client remove --all --older-than 7d --label team=billing`,
    );
  },

  check: checkSelection,

  async run(call, command) {
    const options = command.opts<RemoveOptions>();
    if (!options.all) {
      return await forEachJob(command.args, call, async ({ session, jobID }) => {
        await session.call("Remove", { jobID });
      });
    }
    const session = await call.servers.one();
    const { ids, bytes } = await findJobs(session, options);
    if (ids.length === 0) {
      call.terminal.note("no job that has ended matches");
      return ExitStatus.ok;
    }
    const what = `${ids.length} ${ids.length === 1 ? "job" : "jobs"} with ${
      binaryBytes(bytes)
    } of output`;
    if (!await isConfirmed(call, what, options)) return ExitStatus.failed;
    return await removeAll(call, session, ids);
  },
};

/** @throws {ClientError} Ids and a selection, or neither. */
function checkSelection(command: Command): void {
  const { all, failed, olderThan, label } = command.opts<RemoveOptions>();
  const narrows = failed === true || olderThan !== undefined || label !== undefined;
  const problem = all && command.args.length > 0
    ? "Ids cannot be used together with --all"
    : !all && narrows
    ? "--older-than, --label and --failed narrow --all: give it, too"
    : !all && command.args.length === 0
    ? "No job is named"
    : undefined;
  if (problem === undefined) return;
  throw new ClientError(`${problem}. See "worker-client remove --help".`, ExitStatus.usage);
}

/** The caller's own jobs that are meant, and the size of their output. */
async function findJobs(
  session: Session,
  { failed, olderThan = 0, label }: RemoveOptions,
): Promise<{ ids: readonly string[]; bytes: number }> {
  const selection: Selection = failed ? FAILED : ENDED;
  const endedBeforeMs = Date.now() - olderThan;
  const ids: string[] = [];
  let bytes = 0;
  const request = toListRequest({
    states: selection.states,
    failedOnly: selection.failedOnly,
    labels: parsePairs(label, "--label"),
    owner: session.userName,
    // What has ended before has started before.
    ...(olderThan > 0 && { startedBeforeMs: endedBeforeMs }),
  });
  const matches: Selection["matches"] = (job) =>
    selection.matches(job) && job.endedAtMs <= endedBeforeMs;
  for await (const job of listJobs(session, request, { matches })) {
    ids.push(job.jobID);
    bytes += job.outputBytes - job.outputFirstOffset;
  }
  return { ids, bytes };
}

/** @throws {ClientError} Nobody can be asked. */
async function isConfirmed(
  { terminal }: VerbCall,
  what: string,
  { yes }: RemoveOptions,
): Promise<boolean> {
  if (yes) {
    terminal.note(`removing ${what}`);
    return true;
  }
  if (!terminal.isTyped || !terminal.isAttended) {
    throw new ClientError(`${what} would be removed: add --yes to do it.`, ExitStatus.usage);
  }
  const answer = await terminal.ask(`Remove ${what}? [y/N]`);
  if (/^y(es)?$/i.test(answer)) return true;
  terminal.note("nothing is removed");
  return false;
}

/** Removes jobs, some at a time; one that somebody else has removed meanwhile is no failure. */
async function removeAll(
  { terminal }: VerbCall,
  session: Session,
  ids: readonly string[],
): Promise<number> {
  const left = ids.values();
  let exitStatus: number = ExitStatus.ok;
  const work = async () => {
    for (const jobID of left) {
      try {
        await session.call("Remove", { jobID });
      } catch (error) {
        if (!(error instanceof ClientError)) throw error;
        if (error instanceof RefusedCallError && error.code === GrpcStatus.notFound) continue;
        terminal.note(error.message);
        exitStatus ||= error.exitStatus;
        // A server that cannot be reached is told once.
        if (error.exitStatus === ExitStatus.connection) return;
      }
    }
  };
  await Promise.all(Array.from({ length: MAX_REMOVING }, work));
  return exitStatus;
}
