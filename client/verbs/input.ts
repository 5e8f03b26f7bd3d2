import { Option } from "commander";
import { defineRetry, retryForMs, type RetryOptions } from "./stream.ts";
import type { JobTarget } from "../command_line/servers.ts";
import type { Verb } from "../command_line/verb.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { InputProgress } from "../screen/input_progress.ts";
import { noteServerDiskFull } from "../screen/server_notes.ts";
import type { Terminal } from "../terminal.ts";

interface InputOptions extends RetryOptions {
  readonly keepOpen?: true;
  readonly quiet?: true;
}

/** `input ID`: sends standard input to a job that runs. */
export const inputVerb: Verb = {
  name: "input",
  jobs: "running",

  define(command) {
    command.summary("send standard input to a running job");
    command.description(
      "Sends standard input, to its end, to a running job that was started with an open input " +
        "(start --open-stdin), behind what it was sent before. The end of standard input is that of the job's.",
    );
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    command.addOption(
      new Option("--keep-open", "do not end the job's input: another command may go on with it"),
    );
    defineRetry(command);
    command.addOption(new Option("-q, --quiet", "show no progress"));
    command.addHelpText(
      "after",
      `
It ends when the server holds all that was sent, which the job may read later.
Exits with 1 if the job reads no more, or has ended, before it was sent all. One
client at a time can send; the job's output is shown by "stream".

Examples:
  worker-client input --keep-open feed < monday.csv
  worker-client input feed < tuesday.csv
  worker-client input feed < /dev/null      # ends its input`,
    );
  },

  async run({ servers, terminal }, command) {
    const [text = ""] = command.args;
    const options = command.opts<InputOptions>();
    if (await sendAll(await servers.ofJob(text), terminal, options)) return ExitStatus.ok;
    throw new ClientError(
      `Cannot send all of the input to job ${text}: the job has ended, or has closed its input.`,
      ExitStatus.failed,
    );
  },
};

/** @returns Whether the job was sent all of it. */
async function sendAll(
  { session, jobID }: JobTarget,
  terminal: Terminal,
  options: InputOptions,
): Promise<boolean> {
  // Loaded when needed, like everything that uses gRPC (client/command_line/open_session.ts).
  const { sendInput } = await import("../jobs/send_input.ts");
  const { isAttended, isTyped } = terminal;
  using progress = new InputProgress(terminal, {
    isShown: isAttended && !isTyped && !options.quiet,
  });
  return await sendInput({
    jobID: await resolveJobID(session, jobID),
    source: terminal.input(),
    appends: true,
    keepsOpen: options.keepOpen,
    retryForMs: retryForMs(options),
    onBytes: (length) => progress.add(length),
    onDiskFull: () => noteServerDiskFull(terminal),
  }, { session });
}
