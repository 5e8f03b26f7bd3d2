import { forEachJob } from "../command_line/for_each_job.ts";
import type { Verb } from "../command_line/verb.ts";

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
    command.argument("<id...>", "the jobs' ids, or names");
    command.addHelpText(
      "after",
      `
All of several jobs are tried; the exit status is that of the first failure.

Examples:
  worker-client remove a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219`,
    );
  },

  async run(call, command) {
    return await forEachJob(command.args, call, async ({ session, jobID }) => {
      await session.call("Remove", { jobID });
    });
  },
};
