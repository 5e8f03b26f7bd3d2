import { Option } from "commander";
import { printableJson } from "../../common/printable.ts";
import { type Answer, askAll, newestFirst } from "../command_line/ask_all.ts";
import { forEachJob } from "../command_line/for_each_job.ts";
import type { VerbCall } from "../command_line/servers.ts";
import type { Session } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { splitPlacedID } from "../jobs/placed_job.ts";
import { ACTIVE_STATES, stateOf } from "../jobs/state.ts";
import { toJson } from "../screen/format.ts";
import { labelOption, parsePairs } from "../command_line/options.ts";
import { addContexts, formatRows } from "../screen/table.ts";
import { measureUsage, type Rated } from "../jobs/usage.ts";
import { USAGE_EXPENDABLE, USAGE_HEAD, usageCells } from "../screen/usage_table.ts";
import type { Verb } from "../command_line/verb.ts";

interface StatsOptions {
  readonly label?: readonly string[];
  readonly json?: true;
}

/** The time between the two samples that rates are computed from. */
const INTERVAL_MS = 1000;

const ENCODER = new TextEncoder();

/** `stats`: prints the resource usage of running jobs. */
export const statsVerb: Verb = {
  name: "stats",
  jobs: "running",
  asksSeveral: true,

  define(command) {
    command.summary("print the resource usage of running jobs");
    command.description(
      "Prints what running jobs use: CPU and disk I/O over one second, memory and processes now.",
    );
    command.argument("[id...]", "these jobs alone: their ids, or names");
    command.addOption(labelOption());
    command.addOption(new Option("--json", "one JSON object a line"));
    command.addHelpText(
      "after",
      `
100 % of CPU is one core.

Examples:
  worker-client stats
  worker-client stats nightly
  worker-client stats --all-contexts
  worker-client stats --json | jq 'select(.cpuPercent > 90)'`,
    );
  },

  check(command) {
    if (command.args.length === 0 || command.opts<StatsOptions>().label === undefined) return;
    throw new ClientError("Name jobs, or choose them by --label: not both.", ExitStatus.usage);
  },

  async run(call, command) {
    const { label, json } = command.opts<StatsOptions>();
    const labels = parsePairs(label, "--label");
    const { answers, exitStatus } = command.args.length > 0
      ? await measureNamed(call, command.args)
      : await askAll(
        call,
        (session) => measureUsage(session, { labels, intervalMs: INTERVAL_MS }),
      );
    // Of jobs that cannot be shown all is said.
    if (command.args.length > 0 && answers.length === 0) return exitStatus;
    const jobs = newestFirst(answers);
    const areSeveral = call.servers.areSeveral ||
      answers.length > 1 && command.args.length > 0;
    const rows = [USAGE_HEAD, ...jobs.map(usageCells)];
    const text = json
      ? jobs.map(({ context, job, rates }) =>
        `${
          printableJson({
            ...toJson(job, job.jobID, areSeveral ? context : undefined),
            ...rates,
          })
        }\n`
      ).join("")
      : await formatRows(
        areSeveral ? addContexts(rows, jobs) : rows,
        call.terminal,
        { expendable: USAGE_EXPENDABLE },
      );
    call.terminal.write(ENCODER.encode(text));
    return exitStatus;
  },
};

/**
 * The usage of the jobs that a command line names; what cannot be told of one is noted.
 *
 * @returns An answer for each server, and the exit status of the first failure.
 */
async function measureNamed(
  call: VerbCall,
  names: readonly string[],
): Promise<{ answers: readonly Answer<readonly Rated[]>[]; exitStatus: number }> {
  const chosen = new Map<Session, { context: string | undefined; ids: Set<string> }>();
  const exitStatus = await forEachJob(names, call, async ({ session, jobID, name }) => {
    const job = await session.call("Query", { jobID });
    if (!ACTIVE_STATES.some((state) => state === stateOf(job))) {
      throw new ClientError(
        `Job ${name} does not run: "worker-client query --long ${name}" tells what it has used.`,
        ExitStatus.failed,
      );
    }
    const { context } = splitPlacedID(name);
    const known = chosen.get(session) ?? { context, ids: new Set() };
    chosen.set(session, known);
    known.ids.add(job.jobID);
  });
  const answers = await Promise.all([...chosen].map(async ([session, { context, ids }]) => ({
    context,
    value: await measureUsage(session, {
      labels: {},
      intervalMs: INTERVAL_MS,
      matches: ({ jobID }) => ids.has(jobID),
    }),
  })));
  return { answers, exitStatus };
}
