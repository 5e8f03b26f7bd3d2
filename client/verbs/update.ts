import { Option } from "commander";
import { Turns } from "../../common/turns.ts";
import { forEachJob } from "../command_line/for_each_job.ts";
import { defineLimitOptions, type LimitOptions, toLimits } from "../command_line/limit_options.ts";
import type { JobTarget, VerbCall } from "../command_line/servers.ts";
import type { Verb } from "../command_line/verb.ts";
import { ClientError, GrpcStatus, oneLine, RefusedCallError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { listJobs } from "../jobs/list.ts";
import { toListRequest } from "../jobs/state.ts";
import { type LimitChange, updateJob } from "../jobs/update.ts";
import { describeLimits } from "../screen/limits.ts";

/** Updates under way at once: the server bounds the calls of each user. */
const MAX_UPDATING = 16;

/** One that takes longer waits for a kernel that is stuck, and holds up no other. */
const MAX_UPDATE_MS = 10_000;

interface UpdateOptions extends LimitOptions {
  readonly fromFiles?: true;
  readonly all?: true;
}

/** `update ID...`: changes the limits of running jobs. */
export const updateVerb: Verb = {
  name: "update",
  jobs: "running",

  define(command) {
    command.summary("change the limits of running jobs");
    command.description(
      "Changes limits of running jobs within the server's, and prints those that hold now. For each job " +
        "all of them change, or none.",
    );
    command.argument("[id...]", "the jobs' ids, or names");
    defineLimitOptions(command);
    const files = "Limit files:";
    command.addOption(
      new Option("--from-files", "apply the server's limit files as they are now").helpGroup(files),
    );
    command.addOption(
      new Option(
        "--all",
        "with --from-files: to all running jobs that you may change, also those of others",
      )
        .helpGroup(files),
    );
    command.addHelpText(
      "after",
      `
A limit that is not named stays as it is. With --from-files each limit becomes
what a start would get now: the server's, or the job's own where that is lower.
A memory limit below what the job uses, and cannot free, is refused.
All of several jobs are tried; the exit status is that of the first failure.

Examples:
  worker-client update --memory 1G --cpu 200% nightly
  worker-client update --memory max nightly    # as high as the server allows
  worker-client update --all --from-files`,
    );
  },

  check(command) {
    const problem = problemOf(command.args, command.opts<UpdateOptions>());
    if (problem === undefined) return;
    throw new ClientError(`${problem}. See "worker-client update --help".`, ExitStatus.usage);
  },

  async run(call, command) {
    const options = command.opts<UpdateOptions>();
    const { limits, unlimited } = toLimits(options);
    const change = { limits, reset: unlimited, fromFiles: options.fromFiles ?? false };
    if (!options.all) {
      return await forEachJob(command.args, call, (target) => update(call, target, change));
    }
    const ids = await runningJobs(call);
    const turns = new Turns(MAX_UPDATING, MAX_UPDATE_MS);
    if (ids.length === 0) call.terminal.note("no job is running");
    return await forEachJob(
      ids,
      call,
      async (target) => {
        using _turn = await turns.take();
        await update(call, target, change).catch((error) => unlessEnded(target, error));
      },
    );
  },
};

function problemOf(ids: readonly string[], options: UpdateOptions): string | undefined {
  const { all, fromFiles } = options;
  const { limits, unlimited } = toLimits(options);
  if (all && !fromFiles) return "--all needs --from-files";
  if (all && ids.length > 0) return "Ids cannot be used together with --all";
  if (!all && ids.length === 0) return "No job is named";
  const isGiven = fromFiles || Object.keys(limits).length > 0 || unlimited.length > 0;
  return isGiven ? undefined : "No limit is given";
}

async function update(
  { terminal }: VerbCall,
  { session, jobID, name }: JobTarget,
  change: LimitChange,
): Promise<void> {
  const before = await session.call("Query", { jobID });
  const now = await updateJob(session, before.jobID, change);
  const title = now.title !== "" && now.title !== jobID ? ` (${now.title})` : "";
  const line = `${oneLine(`${name}${title}`)}: ${describeLimits(now.limits, before.limits)}\n`;
  terminal.write(new TextEncoder().encode(line));
}

async function runningJobs({ servers }: VerbCall): Promise<string[]> {
  const session = await servers.one();
  const jobs = await Array.fromAsync(listJobs(session, toListRequest({ states: ["running"] })));
  return jobs.map(({ jobID }) => jobID);
}

/** A job that has ended since it was listed is no failure. */
async function unlessEnded({ session, jobID }: JobTarget, error: unknown): Promise<void> {
  if (!(error instanceof RefusedCallError)) throw error;
  if (error.code === GrpcStatus.notFound) return;
  if (error.code !== GrpcStatus.failedPrecondition) throw error;
  const isOver = await session.call("Query", { jobID }).then(({ exited }) => exited, () => false);
  if (!isOver) throw error;
}
