/** Reads the page's form by the same rules as the options of `worker-client start`. */
import * as v from "valibot";
import type { QueueSpec } from "../jobs/job_spec.ts";
import {
  type DiskRates,
  isDiskName,
  type Limits,
  parseCpuLimits,
  parseDiskIoLimit,
  parseMemoryLimits,
  parseNamedDisk,
  parseProcessLimit,
} from "../../common/limits.ts";
import { parseDurationMs } from "../../common/quantities.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { parseBeginMs } from "../command_line/begin_time.ts";
import { parsePairs } from "../command_line/options.ts";
import { parseCpus, parseGpus, parseJob, parseNice } from "../command_line/queue_options.ts";
import { parseOpenFiles, parseUmask } from "../command_line/start_options.ts";
import { type KeyedStart, toStartRequest } from "../jobs/start.ts";
import { SWITCHES, TEXT_FIELDS } from "./protocol.ts";

/** A text as typed; an empty one counts as not given. */
const TEXT = v.optional(v.string(), "");

const SWITCH = v.optional(v.boolean(), false);

/** The form; see `StartForm`. */
export const START_FORM = v.strictObject({
  words: v.array(v.string()),
  idempotencyKey: v.pipe(v.string(), v.nonEmpty("expected a key")),
  ...entriesOf(TEXT_FIELDS, TEXT),
  ...entriesOf(SWITCHES, SWITCH),
});

function entriesOf<Name extends string, Schema>(
  names: readonly Name[],
  schema: Schema,
): Record<Name, Schema> {
  return Object.fromEntries(names.map((name) => [name, schema])) as Record<Name, Schema>;
}

/**
 * The start request for a form.
 *
 * @throws {ClientError} A field is not valid; the message names it.
 */
export function toRequest(form: v.InferOutput<typeof START_FORM>): KeyedStart {
  if ((form.words[0] ?? "") === "") throw wrong("the program is missing.");
  const { stdin, stopSignal, privateTmp, noNetwork, ownProcesses, separateStderr } = form;
  const processes = parsed(form.processes, "processes", parseProcessLimit);
  const graceMs = parsed(form.grace, "grace period", parseDurationMs);
  const limits = {
    ...parsed(form.cpu, "CPU", parseCpuLimits),
    ...parsed(form.memory, "memory", parseMemoryLimits),
    ...parsed(form.diskIo, "disk I/O", parseDiskLimits),
    ...(processes !== undefined && { processes }),
  };
  return toStartRequest(form.words, {
    idempotencyKey: form.idempotencyKey,
    title: form.name.trim(),
    labels: pairs(form.labels, "Labels"),
    env: pairs(form.env, "Environment"),
    workingDirectory: form.cwd.trim(),
    user: form.user.trim(),
    umask: parsed(form.umask, "umask", parseUmask),
    timeoutMs: parsed(form.timeout, "timeout", parseDurationMs),
    stopSignal: stopSignal.trim(),
    stdin: stdin === "" ? undefined : new TextEncoder().encode(stdin),
    graceMs,
    openFiles: parsed(form.nofile, "open files", parseOpenFiles),
    separateStderr,
    ...(Object.keys(limits).length > 0 && { limits }),
    isolation: { privateTmp, noNetwork, ownProcesses },
    queue: queueOf(form),
  });
}

/** Rates for each disk, and after semicolons those of named disks: `10MB/s; /dev/sdb read=50MB/s`. */
function parseDiskLimits(text: string): Pick<Limits, keyof DiskRates | "disks"> {
  const parts = text.split(";").map((part) => part.trim());
  const named = parts.filter((part) => isDiskName(part.split(/\s/)[0] ?? ""));
  const others = parts.filter((part) => part !== "" && !named.includes(part));
  return {
    ...parseDiskIoLimit(others.join("; ")),
    ...(named.length > 0 && { disks: named.map(parseNamedDisk) }),
  };
}

function queueOf(form: v.InferOutput<typeof START_FORM>): QueueSpec {
  return {
    queue: form.queue.trim(),
    nice: parsed(form.nice, "nice", parseNice),
    partition: form.partition.trim(),
    account: form.account.trim(),
    qos: form.qos.trim(),
    cpus: parsed(form.cpus, "cores", parseCpus),
    gpus: parsed(form.gpus, "GPUs", parseGpus),
    constraint: form.constraint.trim(),
    beginAtMs: parsed(form.begin, "begin", (text) => parseBeginMs(text, Date.now())),
    after: parsed(
      form.after,
      "after",
      (text) => text.split(/[\s,]+/).filter(Boolean).map(parseJob),
    ),
  };
}

function pairs(text: string, field: string): Record<string, string> {
  return parsePairs(text.split(/\r?\n/).filter((line) => line.trim() !== ""), field);
}

function parsed<Value>(
  text: string,
  field: string,
  parse: (text: string) => Value,
): Value | undefined {
  if (text.trim() === "") return undefined;
  try {
    return parse(text.trim());
  } catch (error) {
    throw wrong(`${field}: ${messageOf(error)}`);
  }
}

function wrong(problem: string): ClientError {
  return new ClientError(`Cannot start the job: ${problem}`, ExitStatus.usage);
}
