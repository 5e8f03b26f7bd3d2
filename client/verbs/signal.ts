import { Argument } from "commander";
import { SIGNAL_NUMBERS, SIGNALS } from "../../common/signals.ts";
import { ExitStatus } from "../exit_status.ts";
import type { JobTarget } from "../command_line/servers.ts";
import type { Verb } from "../command_line/verb.ts";

/** `signal SIGNAL ID`: sends a signal to all processes of a job. */
export const signalVerb: Verb = {
  name: "signal",
  jobs: "running",

  define(command) {
    command.summary("send a signal to a job");
    command.description(
      "Sends a signal to all processes of a running job, or to its main process.",
    );
    command.addArgument(
      new Argument(
        "<signal>",
        `${SIGNALS.slice(0, -1).join(", ")} or ${SIGNALS.at(-1)}, or its number`,
      ),
    );
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    command.option("--main", "to the job's main process alone");
    command.addHelpText(
      "after",
      `
This is not the same as "stop": the command does not wait for the job to end,
and nothing more is sent when the job ignores the signal.

Examples:
  worker-client signal HUP web        # many servers reload their configuration
  worker-client signal STOP a3c1e8b4 && worker-client signal CONT a3c1e8b4`,
    );
  },

  async run({ servers }, command) {
    const [signal = "", text = ""] = command.args;
    const { main } = command.opts<{ main?: true }>();
    await sendSignal(await servers.ofJob(text), signal, { mainOnly: main });
    return ExitStatus.ok;
  },
};

/**
 * Sends a signal to a job.
 *
 * @param signal Its name or its number; the server knows which can be sent.
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function sendSignal(
  { session, jobID }: JobTarget,
  signal: string,
  { mainOnly }: { mainOnly: true | undefined },
): Promise<void> {
  const name = SIGNALS.find((known) => String(SIGNAL_NUMBERS[known]) === signal) ?? signal;
  await session.call("Signal", { jobID, signal: name, ...(mainOnly && { mainOnly }) });
}
