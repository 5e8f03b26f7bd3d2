/**
 * Checks arguments: JavaScript programs are not checked by a compiler, and the encoding of messages
 * would silently turn NaN into 0.
 */
import type { JobSpec, QueueSpec } from "../jobs/job_spec.ts";
import type { EventsRequest } from "../../proto/contract.ts";
import { CPUS_RANGE, isGpuRequest, NICE_RANGE } from "../jobs/queue.ts";
import { isStateWord, type Selection, selectionOf, STATE_WORDS } from "../jobs/selection.ts";
import { checkDisk } from "./known_options.ts";
import type { LimitChange } from "../jobs/update.ts";
import type { JobFilter } from "../jobs/state.ts";
import { invalid } from "./error_mapping.ts";
import type {
  CallControl,
  EventsOptions,
  JobLimits,
  ListOptions,
  StartOptions,
  StreamOptions,
  UpdateOptions,
} from "./types.ts";

/** Grace periods are uint32 fields of requests. */
const MAX_UINT32 = 2 ** 32 - 1;

/** A longer timer of the runtime would end at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Which numbers are accepted. */
interface NumberRange {
  readonly min?: number;
  readonly max?: number;
  readonly isFraction?: boolean;
}

/** @throws {JobWorkerError} The value is not such a number; undefined is accepted. */
export function checkNumber(
  name: string,
  value: unknown,
  { min = 0, max = Number.MAX_SAFE_INTEGER, isFraction = false }: NumberRange = {},
): void {
  if (value === undefined) return;
  const isKind = isFraction ? Number.isFinite(value) : Number.isSafeInteger(value);
  if (isKind && (value as number) >= min && (value as number) <= max) return;
  const kind = isFraction ? "a number" : "a whole number";
  throw invalid(`Cannot use ${name} ${String(value)}: expected ${kind} from ${min} to ${max}.`);
}

/** @throws {JobWorkerError} The value is not a string; undefined is accepted. */
export function checkText(name: string, value: unknown): void {
  if (value === undefined || typeof value === "string") return;
  throw invalid(`Cannot use ${name}: expected a string, not ${kindOf(value)}.`);
}

/** @throws {JobWorkerError} The value cannot be a job's id or name. */
export function checkJobID(jobID: unknown): void {
  if (typeof jobID === "string" && jobID !== "") return;
  throw invalid("Cannot tell which job is meant: expected its id or name as a string.");
}

/** @throws {JobWorkerError} The signal or the time is not valid. */
export function checkControl({ signal, callTimeoutMs }: CallControl): void {
  checkNumber("callTimeoutMs", callTimeoutMs, { max: MAX_TIMER_MS });
  if (signal !== undefined && !(signal instanceof AbortSignal)) {
    throw invalid(`Cannot use signal: expected an AbortSignal, not ${kindOf(signal)}.`);
  }
}

/** @throws {JobWorkerError} It is not a valid grace period. */
export function checkGrace(graceMs: number | undefined): void {
  checkNumber("graceMs", graceMs, { max: MAX_UINT32 });
}

/**
 * The program and its arguments.
 *
 * @throws {JobWorkerError} It is a single string, as for a shell, or it is empty.
 */
export function checkCommand(command: readonly string[]): void {
  if (!Array.isArray(command)) {
    throw invalid(
      `Cannot start ${kindOf(command)}: expected the program and its arguments as an array, ` +
        'for instance ["ls", "-la"]; for a shell ["sh", "-c", "…"].',
    );
  }
  for (const word of command) checkText("the command", word);
  if (!command[0]) throw invalid("Cannot start a job: the command is empty.");
}

/**
 * The settings of a job.
 *
 * @throws {JobWorkerError} A setting is not valid.
 */
export function toJobSpec(options: StartOptions): JobSpec {
  const texts = [
    "idempotencyKey",
    "name",
    "title",
    "workingDirectory",
    "user",
    "stopSignal",
  ] as const;
  for (const name of texts) checkText(name, options[name]);
  checkRecord("labels", options.labels);
  checkRecord("env", options.env);
  checkNumber("umask", options.umask, { max: 0o777 });
  checkNumber("timeoutMs", options.timeoutMs);
  checkNumber("openFiles", options.openFiles, { min: 1 });
  checkGrace(options.graceMs);
  const queue = toQueueSpec(options);
  const { idempotencyKey = "", stdin, limits, isolation } = options;
  if (options.name !== undefined && options.title !== undefined) {
    throw invalid('Cannot use "name" together with "title", its earlier name: give the first.');
  }
  return {
    title: options.name ?? options.title,
    labels: options.labels,
    env: options.env,
    workingDirectory: options.workingDirectory,
    user: options.user,
    umask: options.umask,
    openFiles: options.openFiles,
    timeoutMs: options.timeoutMs,
    stopSignal: options.stopSignal,
    graceMs: options.graceMs,
    idempotencyKey: idempotencyKey === "" ? crypto.randomUUID() : idempotencyKey,
    queue,
    ...(stdin !== undefined && { stdin: toBytes(stdin) }),
    ...(options.openStdin === true && { openStdin: true }),
    ...(limits !== undefined && { limits: toLimits(limits) }),
    ...(isolation !== undefined && { isolation: { ...isolation } }),
    separateStderr: options.separateStderr === true,
  };
}

function toQueueSpec(options: StartOptions): QueueSpec {
  const { queue, partition, account, qos, nice, cpus, gpus, constraint, begin, after } = options;
  for (const name of ["queue", "partition", "account", "qos", "constraint"] as const) {
    checkText(name, options[name]);
  }
  checkNumber("nice", nice, NICE_RANGE);
  checkNumber("cpus", cpus, CPUS_RANGE);
  const gpuText = gpus === undefined ? undefined : String(gpus);
  if (gpuText !== undefined && !isGpuRequest(gpuText)) {
    throw invalid(`Cannot use gpus ${gpuText}: expected a number, or "TYPE:NUMBER".`);
  }
  if (after !== undefined && !Array.isArray(after)) {
    throw invalid(`Cannot use after: expected an array of jobs, not ${kindOf(after)}.`);
  }
  for (const jobID of after ?? []) checkJobID(jobID);
  const beginAtMs = toMs("begin", begin);
  return {
    queue,
    partition,
    account,
    qos,
    nice,
    cpus,
    gpus: gpuText,
    constraint,
    beginAtMs,
    after,
  };
}

function toBytes(stdin: string | Uint8Array): Uint8Array {
  if (stdin instanceof Uint8Array) return stdin;
  checkText("stdin", stdin);
  return new TextEncoder().encode(stdin);
}

/**
 * What an update asks for.
 *
 * @throws {JobWorkerError} A limit is not valid.
 */
export function toLimitChange({ limits, reset = [], fromFiles }: UpdateOptions): LimitChange {
  if (!Array.isArray(reset)) {
    throw invalid(`Cannot use reset: expected an array of names, not ${kindOf(reset)}.`);
  }
  for (const name of reset) {
    if (LIMIT_NAMES.includes(name)) continue;
    throw invalid(`Cannot reset ${String(name)}: expected one of ${LIMIT_NAMES.join(", ")}.`);
  }
  return { limits: toLimits(limits ?? {}), reset, fromFiles: fromFiles === true };
}

const LIMIT_NAMES: readonly (keyof JobLimits)[] = [
  "cpuCores",
  "memoryBytes",
  "readBytesPerSecond",
  "writeBytesPerSecond",
  "processes",
  "memoryHighBytes",
  "readOperationsPerSecond",
  "writeOperationsPerSecond",
  "allowedCpus",
  "disks",
];

function toLimits(limits: JobLimits): NonNullable<JobSpec["limits"]> {
  for (const name of LIMIT_NAMES) {
    if (name === "disks") checkDisks(limits.disks);
    else if (name === "allowedCpus") checkText(`limits.${name}`, limits[name]);
    else checkNumber(`limits.${name}`, limits[name], { isFraction: name === "cpuCores" });
  }
  return Object.fromEntries(
    LIMIT_NAMES
      .map((name) => [name, limits[name]] as const)
      .filter(([, value]) => value !== undefined),
  );
}

function checkDisks(disks: JobLimits["disks"]): void {
  if (disks === undefined) return;
  if (!Array.isArray(disks)) {
    throw invalid(`Cannot use limits.disks: expected an array, not ${kindOf(disks)}.`);
  }
  for (const limit of disks) {
    checkDisk(limit);
    const { disk, ...rates } = limit;
    checkText("limits.disks.disk", disk);
    for (const [name, rate] of Object.entries(rates)) checkNumber(`limits.disks.${name}`, rate);
  }
}

/** @throws {JobWorkerError} The filter or the limit is not valid. */
export function toJobFilter(options: ListOptions): JobFilter & Pick<Selection, "matches"> {
  const { states = [], labels, owner, queue, startedAfter, startedBefore, withUsage } = options;
  for (const state of states) {
    if (!isStateWord(state)) {
      throw invalid(`"${state}" is not a job state. Choose one of ${STATE_WORDS.join(", ")}.`);
    }
  }
  checkRecord("labels", labels);
  for (const name of ["owner", "queue"] as const) checkText(name, options[name]);
  checkNumber("limit", options.limit);
  return {
    ...selectionOf(states),
    labels,
    owner,
    queue,
    withUsage,
    startedAfterMs: toMs("startedAfter", startedAfter),
    startedBeforeMs: toMs("startedBefore", startedBefore),
  };
}

/** @throws {JobWorkerError} An option is not valid. */
export function toEventsRequest(options: EventsOptions): EventsRequest {
  const { since, until, after, jobID, labels, owner, follow = true } = options;
  for (const name of ["after", "owner"] as const) checkText(name, options[name]);
  if (jobID !== undefined) checkJobID(jobID);
  checkRecord("labels", labels);
  checkNumber("retryForMs", options.retryForMs);
  if (since !== undefined && after !== undefined) {
    throw invalid("Cannot start at two positions: since and after.");
  }
  return {
    sinceMs: toMs("since", since) ?? 0,
    untilMs: toMs("until", until) ?? 0,
    after: after ?? "",
    labels: { ...labels },
    owner: owner ?? "",
    noFollow: !follow,
  };
}

function toMs(name: string, time: Date | undefined): number | undefined {
  if (time === undefined) return undefined;
  if (time instanceof Date && Number.isFinite(time.getTime())) return time.getTime();
  throw invalid(`Cannot use ${name}: expected a valid Date.`);
}

/** @throws {JobWorkerError} A start position is not valid, or there is more than one. */
export function checkStreamOptions(options: StreamOptions): void {
  const places = ["offset", "tailLines", "tailBytes"] as const;
  for (const name of places) checkNumber(name, options[name]);
  checkNumber("retryForMs", options.retryForMs);
  const given = places.filter((name) => options[name] !== undefined);
  if (given.length > 1) throw invalid(`Cannot start at two positions: ${given.join(" and ")}.`);
  for (const name of ["since", "until"] as const) {
    const timeMs = toMs(name, options[name]);
    if (timeMs !== undefined && timeMs <= 0) {
      throw invalid(`Cannot use ${name}: it is before 1970.`);
    }
  }
  if (options.since !== undefined && options.offset !== undefined) {
    throw invalid("Cannot start at two positions: offset and since.");
  }
}

/** @throws {JobWorkerError} It is not an object, or a value is not a string. */
export function checkRecord(name: string, record: unknown): void {
  if (record === undefined) return;
  if (typeof record !== "object" || record === null || Array.isArray(record)) {
    throw invalid(`Cannot use ${name}: expected an object of strings, not ${kindOf(record)}.`);
  }
  // A value may be a secret: messages contain its name only.
  for (const [key, value] of Object.entries(record)) checkText(`${name}.${key}`, value);
}

function kindOf(value: unknown): string {
  return value === null ? "null" : Array.isArray(value) ? "an array" : `a ${typeof value}`;
}
