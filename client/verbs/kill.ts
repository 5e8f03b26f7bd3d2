import { ExitStatus } from "../exit_status.ts";
import { ClientError } from "../errors.ts";
import { forEachJob } from "../command_line/for_each_job.ts";
import type { Verb } from "../command_line/verb.ts";
import { sendSignal } from "./signal.ts";

interface KillOptions {
  readonly signal?: string;
  readonly main?: true;
}

/** `kill -s SIGNAL ID...`: `signal`, as docker and kill(1) write it. */
export const killVerb: Verb = {
  name: "kill",
  jobs: "running",

  define(command) {
    command.summary("send a signal to jobs: kill -s HUP ID");
    command.description(
      "Sends a signal to all processes of running jobs, as signal does. Tools differ in what they send " +
        "without -s, so it has to be given. stop ends a job, and waits for that.",
    );
    command.argument("<id...>", "the jobs' ids, or names");
    command.option("-s, --signal <signal>", "its name or number; -9 and -KILL before the ids too");
    command.option("--main", "to the main process alone");
    command.addHelpText(
      "after",
      "\nExamples:\n  worker-client kill -s HUP web\n  worker-client kill -9 nightly",
    );
  },

  check(command) {
    if (command.opts<KillOptions>().signal !== undefined) return;
    throw new ClientError(
      'Say which signal: "worker-client kill -s TERM JOB". "worker-client stop JOB" ends a job, and ' +
        "waits for that.",
      ExitStatus.usage,
    );
  },

  async run(call, command) {
    const { signal = "", main } = command.opts<KillOptions>();
    return await forEachJob(command.args, call, async (target) => {
      await sendSignal(target, signal, { mainOnly: main });
    });
  },
};
