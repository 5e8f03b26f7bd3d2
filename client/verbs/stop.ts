import { stopJob } from "../jobs/end.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { forEachJob } from "../command_line/for_each_job.ts";
import { toListRequest } from "../jobs/state.ts";
import { listJobs } from "../jobs/list.ts";
import { collectedOption, parsedOption, parsePairs } from "../command_line/options.ts";
import { parseDurationMs } from "../../common/quantities.ts";
import type { VerbCall } from "../command_line/servers.ts";
import { PendingJobs } from "../screen/slow_note.ts";
import type { Verb } from "../command_line/verb.ts";
import { type Command, Option } from "commander";

/** What a user may choose about a Stop. */
export interface StopOptions {
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly grace?: number;
  /** The stop signal goes to the main process alone. */
  readonly main?: true;
}

/** The field of the request is a uint32. */
const LONGEST_GRACE_MS = 2 ** 32 - 1;

/** `stop ID`: stops a job and prints nothing. */
export const stopVerb: Verb = {
  name: "stop",
  jobs: "running",

  define(command) {
    command.summary("stop jobs");
    command.description(
      "Stops jobs: SIGTERM (or the job's stop signal) to all their processes, SIGKILL to those left " +
        "after the grace period. Returns when all processes have ended.",
    );
    command.argument("[id...]", "the jobs' ids, or names");
    defineGrace(command);
    command.option("--main", "the stop signal to the main process alone; SIGKILL to all");
    command.addOption(
      new Option("--all", "all jobs that you have started and that have not ended"),
    );
    command.addOption(
      collectedOption(
        "-l, --label <key=value>",
        "jobs with this label that have not ended; those of others, too, unless --all is given",
      ),
    );
    command.addHelpText(
      "after",
      `
Examples:
  worker-client stop a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stop --grace 1m a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stop nightly-backup report
  worker-client stop --label batch=7
  worker-client stop --main nightly-backup    # for a wrapper that passes signals on, as timeout(1) does
  worker-client stop --grace 0 a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219    # SIGKILL at once`,
    );
  },

  check(command) {
    const { all, label } = command.opts<Selection>();
    const isSelection = all === true || label !== undefined;
    if (isSelection !== command.args.length > 0) return;
    const problem = isSelection
      ? "Ids cannot be used together with --all or --label"
      : "No job is named";
    throw new ClientError(`${problem}. See "worker-client stop --help".`, ExitStatus.usage);
  },

  async run(call, command) {
    const options = command.opts<StopOptions & Selection>();
    const ids = await selectJobs(call, command.args, options);
    if (ids.length === 0) call.terminal.note("no running job matches");
    else if (command.args.length === 0) call.terminal.note(`stopping ${countOf(ids)}`);
    using pending = new PendingJobs(ids, {
      terminal: call.terminal,
      describe: (jobs) =>
        `no word yet that ${jobs} ended; after the grace period the rest is killed`,
      // Who waits for a process that nothing ends (in state D) should know for whom, also from a log.
      always: true,
    });
    return await forEachJob(ids, call, async ({ session, jobID, name }) => {
      try {
        await stopJob(session, { jobID, graceMs: options.grace, mainOnly: options.main });
      } finally {
        pending.settle(name);
      }
    });
  },
};

/** Which jobs, where no ids are given. */
interface Selection {
  readonly all?: true;
  readonly label?: readonly string[];
}

async function selectJobs(
  { servers }: VerbCall,
  ids: readonly string[],
  { all, label }: Selection,
): Promise<readonly string[]> {
  if (ids.length > 0) return ids;
  const labels = parsePairs(label, "--label");
  const session = await servers.one();
  // --all is restricted to the user's own jobs; only a label alone selects those of others.
  const owner = all ? session.userName : "";
  const jobs = await Array.fromAsync(
    listJobs(session, toListRequest({ states: ["pending", "running"], labels, owner })),
  );
  return jobs.map(({ jobID }) => jobID);
}

function countOf({ length }: readonly string[]): string {
  return length === 1 ? "1 job" : `${length} jobs`;
}

/** Adds the option `--grace`. */
export function defineGrace(command: Command): void {
  command.addOption(parsedOption(
    "--grace <duration>",
    "time between SIGTERM and SIGKILL: 500ms, 10s, 2m (default: the server's, 10s)",
    { parse: parseGraceMs },
  ));
}

function parseGraceMs(text: string): number {
  const graceMs = parseDurationMs(text);
  if (graceMs > LONGEST_GRACE_MS) throw new RangeError("Expected at most 49 days.");
  return graceMs;
}
