import { Argument } from "commander";
import { ExitStatus } from "../exit_status.ts";
import type { Verb } from "../command_line/verb.ts";

/** `signal SIGNAL ID`: sends a signal to all processes of a job. */
export const signalVerb: Verb = {
  name: "signal",

  define(command) {
    command.summary("send a signal to a job");
    command.description("Sends a signal to all processes of a running job.");
    command.addArgument(
      new Argument(
        "<signal>",
        "HUP, INT, QUIT, KILL, USR1, USR2, ALRM, TERM, CONT, STOP or WINCH",
      ),
    );
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    command.addHelpText(
      "after",
      `
A job that ends by a signal is not stopped in the sense of "stop": nobody waits,
and nothing follows when it ignores the signal.

Examples:
  worker-client signal HUP web        # many servers read their settings again
  worker-client signal STOP a3c1e8b4 && worker-client signal CONT a3c1e8b4`,
    );
  },

  async run({ servers }, command) {
    const [signal = "", text = ""] = command.args;
    const { session, jobID } = await servers.ofJob(text);
    await session.call("Signal", { jobID, signal });
    return ExitStatus.ok;
  },
};
