import { Option } from "commander";
import { ExitStatus } from "../exit_status.ts";
import { describeEnding } from "../jobs/ending.ts";
import { formatJson, formatLine, formatLong } from "../screen/format.ts";
import { describeNeverRan, describeQueued } from "../jobs/queued.ts";
import { stateOf } from "../jobs/state.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { Verb } from "../command_line/verb.ts";

interface QueryOptions {
  readonly json?: true;
  readonly long?: true;
}

/** `inspect ID`: what docker calls `query --json`. */
export const inspectVerb: Verb = {
  name: "inspect",
  jobs: "all",

  define(command) {
    command.summary("query --json");
    command.description("Prints all fields of a job as JSON on one line, as query --json does.");
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    command.addHelpText("after", "\nExamples:\n  worker-client inspect nightly | jq .exitCode");
  },

  async run({ servers, terminal }, command) {
    const [text = ""] = command.args;
    const { session, jobID } = await servers.ofJob(text);
    const job = await session.call("Query", { jobID });
    terminal.write(new TextEncoder().encode(`${formatJson(job, jobID)}\n`));
    return ExitStatus.ok;
  },
};

/** `query ID`: prints the state of a job. */
export const queryVerb: Verb = {
  name: "query",
  jobs: "all",

  define(command) {
    command.summary("print a job's state");
    command.description("Prints a job's process id, its exit code and whether it has ended.");
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    command.addOption(new Option("--json", "print all fields as JSON on one line"));
    command.addOption(
      new Option("--long", "print all fields, one a line").conflicts("json"),
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

  async run({ servers, terminal }, command) {
    const [text = ""] = command.args;
    const { session, jobID } = await servers.ofJob(text);
    const { json, long } = command.opts<QueryOptions>();
    const job = await session.call("Query", { jobID });
    const format = json ? formatJson : long ? formatLong : formatLine;
    terminal.write(new TextEncoder().encode(`${format(job, jobID)}\n`));
    const note = json ? undefined : describeTrouble(job);
    if (note !== undefined) terminal.note(`Job ${jobID} ${note}.`);
    const ending = describeEnding(job);
    if (ending !== undefined && !json && !long) terminal.note(`${text}: ${ending}`);
    return ExitStatus.ok;
  },
};

/** Why a job has no exit code, though it does not run. */
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
