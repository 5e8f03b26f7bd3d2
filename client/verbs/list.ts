import { Option } from "commander";
import { parseCount } from "../../common/quantities.ts";
import { askAll, newestFirst } from "../command_line/ask_all.ts";
import { type PlacedJob } from "../jobs/placed_job.ts";
import { formatJson } from "../screen/format.ts";
import { formatTemplate, isJsonFormat, JOB_NAMES } from "../screen/format_template.ts";
import { FAILED, type Selection, selectionOf, type StateWord } from "../jobs/selection.ts";
import { ACTIVE_STATES, type JobFilter, toListRequest } from "../jobs/state.ts";
import { listJobs } from "../jobs/list.ts";
import { labelOption, parsedOption, parsePairs, stateOption } from "../command_line/options.ts";
import { parsePastMs } from "../command_line/past_time.ts";
import { placedID } from "../jobs/placed_job.ts";
import { SORT_KEYS, sortJobs, type SortKey } from "../screen/sort.ts";
import { formatTable } from "../screen/table.ts";
import type { Verb } from "../command_line/verb.ts";

interface ListOptions {
  readonly all?: true;
  readonly state?: readonly StateWord[];
  readonly failed?: true;
  readonly label?: readonly string[];
  readonly owner?: string;
  readonly queue?: string;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly since?: number;
  readonly limit?: number;
  readonly sort?: SortKey;
  readonly reverse?: true;
  readonly quiet?: true;
  readonly json?: true;
  readonly format?: string;
}

const ENCODER = new TextEncoder();

/** `list`: prints jobs, the newest first. */
export const listVerb: Verb = {
  name: "list",
  aliases: ["ls", "ps"],
  asksSeveral: true,

  define(command) {
    command.summary("print jobs");
    command.description(
      "Prints jobs, the newest first; without options only those that have not ended.",
    );
    command.addOption(new Option("-a, --all", "also jobs that have ended"));
    command.addOption(stateOption().conflicts("failed"));
    command.addOption(
      new Option("--failed", "jobs that have ended otherwise than with exit code 0"),
    );
    command.addOption(labelOption());
    command.addOption(new Option("--owner <name>", "started by the user with this name"));
    command.addOption(new Option("--queue <name>", "of this queue of the server's host"));
    command.addOption(
      parsedOption("--since <time>", "started since: 30m (ago), 14:30, 2026-05-04", {
        parse: (text) => parsePastMs(text, Date.now()),
      }),
    );
    command.addOption(
      parsedOption("-n, --limit <n>", "the newest n only", { parse: parseCount }),
    );
    command.addOption(
      new Option("--sort <key>", "by this, the least first, not the newest first").choices(
        SORT_KEYS,
      ),
    );
    command.addOption(new Option("-r, --reverse", "the other way round"));
    command.addOption(new Option("-q, --quiet", "print ids alone").conflicts(["json", "format"]));
    command.addOption(new Option("--json", "one JSON object a line").conflicts("format"));
    command.addOption(
      new Option(
        "--format <text>",
        'a line for each job, such as "{jobID} {state} {exitCode}"; json: as --json',
      ),
    );
    command.addHelpText(
      "after",
      `
The fields of --format are those of --json, and {context}. With several contexts
each id has its context in front: "prod/a3c1e8b4" is what --quiet prints and what
every verb accepts. If a server fails the jobs of the others are still printed;
the exit status is then that of the first failure.

Examples:
  worker-client list
  worker-client list --all --since 24h --label team=billing
  worker-client list --state lost --json | jq -r .jobID
  worker-client list -q --label batch=7 | xargs -r worker-client wait
  worker-client list --context prod,lab --state lost`,
    );
  },

  check(command) {
    const { format } = command.opts<ListOptions>();
    if (format !== undefined) isJsonFormat(format, JOB_NAMES);
  },

  async run(call, command) {
    const options = command.opts<ListOptions>();
    const { limit } = options;
    const { matches, ...selected } = toSelection(options);
    const request = toListRequest({ ...toFilter(options), ...selected });
    const { answers, exitStatus } = await askAll(
      call,
      async (session) =>
        await Array.fromAsync(listJobs(session, request, { limit, matches }), (job) => ({ job })),
    );
    const nowMs = Date.now();
    const newest = newestFirst(answers).slice(0, limit);
    const { sort, reverse } = options;
    const sorted = sort === undefined ? newest : sortJobs(newest, sort, nowMs);
    const jobs = reverse ? sorted.toReversed() : sorted;
    const { areSeveral: withContext } = call.servers;
    const line = lineOf(options, withContext);
    const text = line !== undefined
      ? jobs.map((job) => `${line(job)}\n`).join("")
      : await formatTable(jobs, { surface: call.terminal, nowMs, withContext });
    call.terminal.write(ENCODER.encode(text));
    return exitStatus;
  },
};

/** How a job is printed where the output is not a table. */
function lineOf(
  { quiet, json, format }: ListOptions,
  withContext: boolean,
): ((job: PlacedJob) => string) | undefined {
  if (quiet) return ({ context, job }) => placedID(withContext ? context : undefined, job.jobID);
  if (json || format !== undefined && isJsonFormat(format, JOB_NAMES)) {
    return ({ context, job }) => formatJson(job, job.jobID, withContext ? context : undefined);
  }
  if (format === undefined) return undefined;
  return ({ context, job }) => formatTemplate(format, job, context);
}

function toSelection({ all, state, failed }: ListOptions): Selection {
  if (failed) return FAILED;
  return selectionOf(state ?? (all ? [] : ACTIVE_STATES));
}

function toFilter({ label, owner, queue, since }: ListOptions): JobFilter {
  return {
    labels: parsePairs(label, "--label"),
    owner,
    queue,
    ...(since !== undefined && { startedAfterMs: since }),
  };
}
