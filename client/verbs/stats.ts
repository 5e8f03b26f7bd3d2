import { Option } from "commander";
import { printableJson } from "../../common/printable.ts";
import { askAll, newestFirst } from "../command_line/ask_all.ts";
import { toJson } from "../screen/format.ts";
import { labelOption, parsePairs } from "../command_line/options.ts";
import { addContexts, formatRows } from "../screen/table.ts";
import { measureUsage } from "../jobs/usage.ts";
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
  asksSeveral: true,

  define(command) {
    command.summary("print the resource usage of running jobs");
    command.description(
      "Prints what running jobs use: CPU and disk I/O over one second, memory and processes now.",
    );
    command.addOption(labelOption());
    command.addOption(new Option("--json", "one JSON object a line"));
    command.addHelpText(
      "after",
      `
100 % of CPU is one core.

Examples:
  worker-client stats
  worker-client stats --all-contexts
  worker-client stats --json | jq 'select(.cpuPercent > 90)'`,
    );
  },

  async run(call, command) {
    const { label, json } = command.opts<StatsOptions>();
    const labels = parsePairs(label, "--label");
    const { answers, exitStatus } = await askAll(
      call,
      (session) => measureUsage(session, { labels, intervalMs: INTERVAL_MS }),
    );
    const jobs = newestFirst(answers);
    const { areSeveral } = call.servers;
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
