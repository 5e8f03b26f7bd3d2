import { Option } from "commander";
import {
  defineStartOptions,
  readJobSpec,
  type StartOptions,
} from "../command_line/start_options.ts";
import type { Verb } from "../command_line/verb.ts";
import { ExitStatus } from "../exit_status.ts";
import { specLike } from "../jobs/rerun.ts";
import { isClusterTold } from "../jobs/settings_of.ts";
import { sendStart } from "./start.ts";
import { defineGrace } from "./stop.ts";

interface RerunOptions extends StartOptions {
  readonly quiet?: true;
  readonly withoutSecrets?: true;
}

/** `rerun ID`: starts a job once more. */
export const rerunVerb: Verb = {
  name: "rerun",
  jobs: "all",

  define(command) {
    command.summary("start a job once more");
    command.description(
      "Starts the command of a job once more, with its settings and limits, and prints the new job's id. " +
        "Options change what they name. Variables and input are kept nowhere: they have to be given again. " +
        "What it waited for (--after, --begin) is over, and is not asked for again.",
    );
    command.argument("<id>", "the job's id, the beginning of it, or its name");
    defineStartOptions(command);
    defineGrace(command);
    command.addOption(
      new Option("--without-secrets", "without the variables and the input that it had"),
    );
    command.addOption(new Option("-q, --quiet", "print the id alone"));
    command.addHelpText(
      "after",
      `
Examples:
  worker-client rerun nightly
  worker-client rerun --memory 2G --env-file secrets.env a3c1e8b4`,
    );
  },

  async run({ servers, terminal }, command) {
    const [text = ""] = command.args;
    const { session, jobID, name } = await servers.ofJob(text);
    const options = { idempotencyKey: crypto.randomUUID(), ...command.opts<RerunOptions>() };
    const given = await readJobSpec(options, terminal);
    const job = await session.call("Query", { jobID });
    const { jobUser, engine } = await session.call("Info", {});
    if (!isClusterTold(job, engine)) {
      terminal.note(
        "the server does not tell what the job asked the cluster for, such as --cpus and --gpus: " +
          "name that again, or upgrade it",
      );
    }
    const spec = specLike(job, given, {
      name,
      defaultUser: jobUser,
      withoutSecrets: options.withoutSecrets === true,
    });
    const started = await sendStart(session, [job.name, ...job.args], spec);
    const line = options.quiet ? started : `Job ID: ${started} Started`;
    terminal.write(new TextEncoder().encode(`${line}\n`));
    return ExitStatus.ok;
  },
};
