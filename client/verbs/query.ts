import { Option } from "commander";
import { ExitStatus } from "../exit_status.ts";
import { formatJson, formatLine, formatLong } from "../screen/format.ts";
import type { Verb } from "../command_line/verb.ts";

interface QueryOptions {
  readonly json?: true;
  readonly long?: true;
}

/** `query ID`: prints how a job is doing. */
export const queryVerb: Verb = {
  name: "query",

  define(command) {
    command.summary("print a job's state");
    command.description("Prints a job's process id, exit code and whether it has ended.");
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    command.addOption(new Option("--json", "all that is known, as JSON on one line"));
    command.addOption(
      new Option("--long", "all that is known, for people to read").conflicts("json"),
    );
    command.addHelpText(
      "after",
      `
The exit code of a job that a signal ended is 128 + the signal's number. A job
that still runs, or whose exit code cannot be known, has the exit code "-".

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
    if (job.state === "JOB_STATE_LOST" && !json) {
      terminal.note(`Job ${jobID} was lost: ${job.reason || "nobody saw it end"}.`);
    }
    return ExitStatus.ok;
  },
};
