import { Option } from "commander";
import { parseCount, parseDurationMs } from "../../common/quantities.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { formatJson } from "../format.ts";
import { formatTemplate } from "../format_template.ts";
import {
  isJobState,
  JOB_STATES,
  type JobFilter,
  type JobState,
  toListRequest,
} from "../job_state.ts";
import { listJobs } from "../list.ts";
import { collectedOption, labelOption, parsedOption, parsePairs } from "../options.ts";
import { formatTable } from "../table.ts";
import type { Verb } from "../verb.ts";

interface ListOptions {
  readonly all?: true;
  readonly state?: readonly string[];
  readonly label?: readonly string[];
  readonly owner?: string;
  /** Milliseconds. */
  readonly since?: number;
  readonly limit?: number;
  readonly quiet?: true;
  readonly json?: true;
  readonly format?: string;
}

const ENCODER = new TextEncoder();

/** `list`: prints jobs, the newest first. */
export const listVerb: Verb = {
  name: "list",
  alias: "ls",

  define(command) {
    command.summary("print jobs");
    command.description(
      "Prints jobs, the newest first: the running ones, unless options say others.",
    );
    command.addOption(new Option("-a, --all", "those that have ended, too").conflicts("state"));
    command.addOption(
      collectedOption("--state <state>", `${JOB_STATES.join(", ")}; may be repeated`),
    );
    command.addOption(labelOption());
    command.addOption(new Option("--owner <name>", "started by this certificate's name"));
    command.addOption(
      parsedOption("--since <duration>", "started within this time: 30m, 24h, 7d", {
        parse: parseDurationMs,
      }),
    );
    command.addOption(
      parsedOption("-n, --limit <n>", "the newest n only", { parse: parseCount }),
    );
    command.addOption(new Option("-q, --quiet", "print ids alone").conflicts(["json", "format"]));
    command.addOption(new Option("--json", "one JSON object a line").conflicts("format"));
    command.addOption(
      new Option("--format <text>", 'a line for each job, such as "{jobID} {state} {exitCode}"'),
    );
    command.addHelpText(
      "after",
      `
The fields of --format are those of --json.

Examples:
  worker-client list
  worker-client list --all --since 24h --label team=billing
  worker-client list --state lost --json | jq -r .jobID
  worker-client list -q --label batch=7 | xargs worker-client wait`,
    );
  },

  async run({ session, terminal }, command) {
    const options = command.opts<ListOptions>();
    const { quiet, json, format, limit } = options;
    const request = toListRequest(toFilter(options));
    const jobs = await Array.fromAsync(listJobs(session, request, { limit }));
    if (quiet || json || format !== undefined) {
      const line = quiet
        ? ({ jobID }: QueryResponse__Output) => jobID
        : json
        ? (job: QueryResponse__Output) => formatJson(job, job.jobID)
        : (job: QueryResponse__Output) => formatTemplate(format ?? "", job);
      terminal.write(ENCODER.encode(jobs.map((job) => `${line(job)}\n`).join("")));
      return ExitStatus.ok;
    }
    const { columns } = terminal;
    terminal.write(ENCODER.encode(await formatTable(jobs, { columns, nowMs: Date.now() })));
    return ExitStatus.ok;
  },
};

function parseState(text: string): JobState {
  const word = text.toLowerCase();
  if (isJobState(word)) return word;
  throw new ClientError(
    `There is no state "${text}". Choose of ${JOB_STATES.join(", ")}.`,
    ExitStatus.usage,
  );
}

function toFilter({ all, state, label, owner, since }: ListOptions): JobFilter {
  const states = state ?? (all ? [] : ["running", "stopping"]);
  return {
    states: states.map(parseState),
    labels: parsePairs(label, "--label"),
    owner,
    ...(since !== undefined && { startedAfterMs: Date.now() - since }),
  };
}
