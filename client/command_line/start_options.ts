import { type Command, Option } from "commander";
import type { JobSpec } from "../jobs/job_spec.ts";
import { isStandardInput } from "../../common/standard_input.ts";
import { MAX_INPUT_BYTES } from "../../common/job_input.ts";
import { countWithin, parseDurationMs } from "../../common/quantities.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { defineLimitOptions, type LimitOptions, toLimits } from "./limit_options.ts";
import { collectedOption, parsedOption, parsePairs } from "./options.ts";
import { defineQueueOptions, parseNice, type QueueOptions, toQueueSpec } from "./queue_options.ts";
import type { Terminal } from "../terminal.ts";

/** The options of a start. */
export interface StartOptions extends QueueOptions, LimitOptions {
  readonly idempotencyKey?: string;
  readonly name?: string;
  readonly label?: readonly string[];
  readonly env?: readonly string[];
  readonly envFile?: string;
  readonly cwd?: string;
  readonly user?: string;
  readonly umask?: number;
  readonly nofile?: number;
  readonly stdin?: string;
  readonly openStdin?: true;
  /** `run -i`. */
  readonly interactive?: true;
  /** Milliseconds. */
  readonly timeout?: number;
  readonly stopSignal?: string;
  /** Milliseconds. */
  readonly grace?: number;
  readonly privateTmp?: true;
  readonly network: boolean;
  readonly ownProcesses?: true;
  readonly separateStderr?: true;
}

/** Adds the options of a Start. */
export function defineStartOptions(command: Command): void {
  const add = (option: Option, group: string) => command.addOption(option.helpGroup(group));
  const named = "Job:";
  add(new Option("--name <name>", "a name that can be used in place of the job's id"), named);
  add(
    collectedOption("-l, --label <key=value>", "a label to find the job by; may be repeated"),
    named,
  );
  add(
    new Option(
      "--idempotency-key <key>",
      "start the job only once, even if the command is repeated",
    ),
    named,
  );
  const process = "Process:";
  add(
    collectedOption("-e, --env <name=value>", "an environment variable; may be repeated"),
    process,
  );
  add(new Option("--env-file <file>", "variables from a file, NAME=VALUE on each line"), process);
  add(new Option("-C, --cwd <dir>", "the working directory on the server (default: /)"), process);
  add(
    new Option(
      "-u, --user <user>",
      "whom the job runs as on the server's host: a name or a uid, or USER:GROUP",
    ),
    process,
  );
  add(
    parsedOption("--umask <octal>", "the file mode creation mask (default: 022)", {
      parse: parseUmask,
    }),
    process,
  );
  add(
    new Option(
      "--stdin <file>",
      "the job's standard input, at most 2 MiB; - is that of this command",
    ),
    process,
  );
  add(
    new Option(
      "--open-stdin",
      "leave the job's standard input open for what the verb input sends",
    ).conflicts("stdin"),
    process,
  );
  add(
    parsedOption("--nice <n>", "gives way to others: 0 to 19; on a cluster, how long it waits", {
      parse: parseNice,
    }),
    process,
  );
  add(
    parsedOption("--nofile <n>", "files that a process may have open, as ulimit -n", {
      parse: parseOpenFiles,
    }),
    process,
  );
  add(
    new Option("--separate-stderr", "keep standard error apart from the output (stream --stderr)"),
    process,
  );
  const end = "End:";
  add(
    parsedOption("--timeout <duration>", "stop the job after this time", {
      parse: parseDurationMs,
    }),
    end,
  );
  add(
    new Option("--stop-signal <signal>", "the signal that stop sends first (default: TERM)"),
    end,
  );
  defineLimitOptions(command);
  const isolation = "Isolation:";
  add(new Option("--private-tmp", "its own empty /tmp and /var/tmp"), isolation);
  add(new Option("--no-network", "no network except its own loopback interface"), isolation);
  add(new Option("--own-processes", "the job sees only its own processes"), isolation);
  defineQueueOptions(command);
}

/**
 * The job that the options describe, with the content of the files that they name.
 *
 * @throws {ClientError} A file cannot be read, or an option is not valid.
 */
export async function readJobSpec(
  options: StartOptions & { idempotencyKey: string },
  terminal: Terminal,
): Promise<JobSpec> {
  const { privateTmp, network, ownProcesses } = options;
  const { limits } = toLimits(options);
  const isIsolated = privateTmp || !network || ownProcesses;
  return {
    idempotencyKey: options.idempotencyKey,
    title: options.name,
    labels: parsePairs(options.label, "--label"),
    env: { ...await readEnvFile(options, terminal), ...parsePairs(options.env, "--env") },
    workingDirectory: options.cwd,
    user: options.user,
    umask: options.umask,
    openFiles: options.nofile,
    ...(options.stdin !== undefined && {
      stdin: await readInput(options.stdin, terminal),
    }),
    openStdin: options.interactive ?? options.openStdin,
    timeoutMs: options.timeout,
    stopSignal: options.stopSignal,
    graceMs: options.grace,
    separateStderr: options.separateStderr,
    queue: toQueueSpec(options),
    ...(Object.keys(limits).length > 0 && { limits }),
    ...(isIsolated && {
      isolation: {
        privateTmp: privateTmp ?? false,
        noNetwork: !network,
        ownProcesses: ownProcesses ?? false,
      },
    }),
  };
}

async function readEnvFile(
  { envFile }: StartOptions,
  terminal: Terminal,
): Promise<Record<string, string>> {
  if (envFile === undefined) return {};
  const bytes = await readFile(envFile, "--env-file", terminal);
  if (bytes.length > MAX_INPUT_BYTES) {
    throw new ClientError(
      `Cannot start the job: --env-file ${envFile} is larger than 2 MiB.`,
      ExitStatus.usage,
    );
  }
  const lines = decodeText(bytes, envFile).split(/\r?\n/).filter((line) => !/^\s*(#|$)/.test(line));
  return parsePairs(lines, "--env-file");
}

function decodeText(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ClientError(
      `Cannot start the job: --env-file ${file} is not UTF-8. Pass such values in a file on the server.`,
      ExitStatus.usage,
    );
  }
}

async function readInput(file: string, terminal: Terminal): Promise<Uint8Array> {
  if (isStandardInput(file) && terminal.isTyped && terminal.isAttended) {
    terminal.note("reading the job's standard input from this terminal; Ctrl-D ends it");
  }
  const bytes = await readFile(file, "--stdin", terminal);
  if (bytes.length <= MAX_INPUT_BYTES) return bytes;
  throw new ClientError(
    `Cannot start the job: --stdin ${file} is larger than 2 MiB. ` +
      "Send it while the job runs (run -i), or pass it in a file on the server.",
    ExitStatus.usage,
  );
}

async function readFile(file: string, option: string, terminal: Terminal): Promise<Uint8Array> {
  try {
    return await terminal.read(file, { limitBytes: MAX_INPUT_BYTES });
  } catch (error) {
    throw new ClientError(`Cannot read ${option} ${file}: ${messageOf(error)}.`, ExitStatus.usage);
  }
}

/** Reads a number of open files. @throws {RangeError} It is none. */
export function parseOpenFiles(text: string): number {
  const files = countWithin(text, 1, Number.MAX_SAFE_INTEGER);
  if (files !== undefined) return files;
  throw new RangeError("Expected a whole number, 1 or more.");
}

/** Reads a file mode creation mask. @throws {RangeError} It is none. */
export function parseUmask(text: string): number {
  if (/^0?[0-7]{1,3}$/.test(text)) return Number.parseInt(text, 8);
  throw new RangeError("Expected an octal number such as 027.");
}
