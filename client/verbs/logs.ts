import { Option } from "commander";
import { parseCount } from "../../common/quantities.ts";
import { parsedOption } from "../command_line/options.ts";
import { defineTimes } from "../command_line/output_time.ts";
import type { Verb } from "../command_line/verb.ts";
import { defineRetry, streamJobs, type StreamOptions } from "./stream.ts";

interface LogsOptions extends Omit<StreamOptions, "follow"> {
  readonly follow?: true;
}

/** `logs ID`: a job's output as docker, kubectl and journalctl ask for it. */
export const logsVerb: Verb = {
  name: "logs",
  jobs: "all",

  define(command) {
    command.summary("write jobs' output up to now, or with -f live");
    command.description(
      "Writes the output of jobs up to now; with --follow until they have ended, as stream does.",
    );
    command.argument("<id...>", "the jobs' ids, the beginnings of them, or names");
    command.addOption(new Option("-f, --follow", "until the job ends"));
    command.addOption(
      parsedOption("-n, --tail <n>", "the last n lines, of the last 64 MiB; all", {
        parse: parseTail,
      }),
    );
    command.addOption(new Option("--stderr", "the standard error of a job that keeps it apart"));
    defineTimes(command);
    command.addOption(
      new Option("-q, --quiet", "show no progress, nor what the job waits for in a queue"),
    );
    defineRetry(command);
    command.addHelpText("after", "\nExamples:\n  worker-client logs -f -n 20 nightly");
  },

  async run(call, command) {
    const { follow = false, tail = Infinity, ...options } = command.opts<LogsOptions>();
    const lines = tail === Infinity ? {} : { tail };
    return await streamJobs(call, command.args, { ...options, ...lines, follow });
  },
};

function parseTail(text: string): number {
  return text === "all" ? Infinity : parseCount(text);
}
