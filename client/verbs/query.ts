import { Option } from "commander";
import { describeEnding } from "../jobs/ending.ts";
import { forEachJob } from "../command_line/for_each_job.ts";
import type { VerbCall } from "../command_line/servers.ts";
import { splitPlacedID } from "../jobs/placed_job.ts";
import { formatTemplate, isJsonFormat, JOB_NAMES } from "../screen/format_template.ts";
import { formatJson, formatLine, formatLong } from "../screen/format.ts";
import { describeNeverRan, describeQueued } from "../jobs/queued.ts";
import { stateOf } from "../jobs/state.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { Verb } from "../command_line/verb.ts";

interface QueryOptions {
  readonly json?: true;
  readonly long?: true;
  readonly format?: string;
}

/** `inspect ID`: what docker calls `query --json`. */
export const inspectVerb: Verb = {
  name: "inspect",
  jobs: "all",

  define(command) {
    command.summary("query --json");
    command.description("Prints all fields of a job as JSON on one line, as query --json does.");
    command.argument("<id...>", "the jobs' ids, the beginnings of them, or names");
    command.addHelpText("after", "\nExamples:\n  worker-client inspect nightly | jq .exitCode");
  },

  async run(call, command) {
    return await queryJobs(call, command.args, (job, jobID) => formatJson(job, jobID));
  },
};

/** `query ID`: prints the state of a job. */
export const queryVerb: Verb = {
  name: "query",
  jobs: "all",

  define(command) {
    command.summary("print a job's state");
    command.description("Prints a job's process id, its exit code and whether it has ended.");
    command.argument("<id...>", "the jobs' ids, the beginnings of them, or names");
    command.addOption(new Option("--json", "print all fields as JSON on one line"));
    command.addOption(
      new Option("--long", "print all fields, one a line").conflicts(["json", "format"]),
    );
    command.addOption(
      new Option("--format <text>", 'a line such as "{state} {exitCode}", as list has it')
        .conflicts("json"),
    );
    command.addHelpText(
      "after",
      `
The exit code of a job that was ended by a signal is 128 + the signal's number.
A job that has not ended, never ran, or whose exit code is unknown, has the exit
code "-".

Examples:
  worker-client query a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client query --long a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client query --json a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219 | jq .exitCode`,
    );
  },

  check(command) {
    const { format } = command.opts<QueryOptions>();
    if (format !== undefined) isJsonFormat(format, JOB_NAMES);
  },

  async run(call, command) {
    const { args } = command;
    const { json, long, format } = command.opts<QueryOptions>();
    if (json || format !== undefined && isJsonFormat(format, JOB_NAMES)) {
      return await queryJobs(call, args, (job, jobID) => formatJson(job, jobID));
    }
    if (format !== undefined) {
      return await queryJobs(
        call,
        args,
        (job, _jobID, name) => formatTemplate(format, job, splitPlacedID(name).context),
      );
    }
    if (long) {
      const blank = args.length > 1 ? "\n" : "";
      return await queryJobs(call, args, (job, jobID) => {
        noteTrouble(call, job, jobID);
        return `${formatLong(job, jobID)}${blank}`;
      });
    }
    return await queryJobs(call, args, (job, jobID, name) => {
      noteTrouble(call, job, jobID);
      const ending = describeEnding(job);
      if (ending !== undefined) call.terminal.note(`${name}: ${ending}`);
      return `${args.length > 1 ? `${name}: ` : ""}${formatLine(job)}`;
    });
  },
};

/**
 * Prints jobs in the order in which they are named. All are tried; each failure is reported.
 *
 * @returns The exit status of the first failure.
 */
async function queryJobs(
  call: VerbCall,
  names: readonly string[],
  format: (job: QueryResponse__Output, jobID: string, name: string) => string,
): Promise<number> {
  const found = new Map<string, { job: QueryResponse__Output; jobID: string }>();
  const exitStatus = await forEachJob(names, call, async ({ session, jobID, name }) => {
    found.set(name, { job: await session.call("Query", { jobID }), jobID });
  });
  const text = names.flatMap((name) => {
    const entry = found.get(name);
    return entry === undefined ? [] : [`${format(entry.job, entry.jobID, name)}\n`];
  }).join("");
  call.terminal.write(new TextEncoder().encode(text));
  return exitStatus;
}

/** Says on standard error why a job has no exit code, though it does not run. */
function noteTrouble({ terminal }: VerbCall, job: QueryResponse__Output, jobID: string): void {
  const trouble = describeTrouble(job);
  if (trouble !== undefined) terminal.note(`Job ${jobID} ${trouble}.`);
}

function describeTrouble(job: QueryResponse__Output): string | undefined {
  switch (stateOf(job)) {
    case "lost":
      return `was lost: ${job.reason || "its end was not observed"}`;
    case "never-ran":
      return describeNeverRan(job);
    case "pending": {
      const { text, asOf } = describeQueued(job, Date.now());
      return `is ${text}${asOf}`;
    }
    default:
      return undefined;
  }
}
