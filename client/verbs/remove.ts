import { forEachJob } from "../command_line/for_each_job.ts";
import type { Verb } from "../command_line/verb.ts";

/** `remove ID...`: forgets jobs that have ended, and deletes their output. */
export const removeVerb: Verb = {
  name: "remove",
  alias: "rm",

  define(command) {
    command.summary("forget jobs that have ended");
    command.description(
      "Forgets jobs that have ended and deletes their output. A running job is not removed.",
    );
    command.argument("<id...>", "the jobs' ids, or names");
    command.addHelpText(
      "after",
      `
Of several jobs all are tried; the exit status is that of the first failure.

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
