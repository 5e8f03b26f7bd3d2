import type {
  JobLimits__Output,
  JobUsage__Output,
  QueryResponse__Output,
} from "../../proto/contract.ts";
import { toldEngineState } from "../../common/engine_state.ts";
import { printableJson } from "../../common/printable.ts";
import { oneLine } from "../errors.ts";
import { describeEnding, endingOf } from "../jobs/ending.ts";
import { describeAge, describeEngine } from "../jobs/queued.ts";
import { exitCodeOf, stateOf } from "../jobs/state.ts";
import { describeDisks } from "./limits.ts";
import { binaryBytes } from "./quantities.ts";
import { describeCommand } from "./command.ts";

/** The one line of `query`. */
export function formatLine(job: QueryResponse__Output): string {
  return `Pid: ${job.pid} Exit code: ${exitCodeOf(job) ?? "-"} Exited: ${job.exited}`;
}

/** `query --json`: the contract's fields by their names; unknown values are null. It is exact, and prints safely. */
export function formatJson(job: QueryResponse__Output, jobID: string, context?: string): string {
  return printableJson(toJson(job, jobID, context));
}

/** The fields of `query --json`, in their order. */
const JOB_FIELDS = {
  jobID: (job, jobID) => job.jobID || jobID,
  name: (job) => job.title || null,
  labels: (job) => job.labels,
  pid: (job) => job.pid,
  exitCode: (job) => exitCodeOf(job) ?? null,
  exited: (job) => job.exited,
  state: (job) => stateOf(job),
  ending: (job) => endingOf(job) ?? null,
  endingText: (job) => describeEnding(job) ?? null,
  stoppedBy: (job) => job.stoppedBy || null,
  signal: (job) => job.signal || null,
  oomKilled: (job) => job.oomKilled,
  program: (job) => job.name,
  args: (job) => job.args,
  owner: (job) => job.owner,
  startedAtMs: (job) => job.startedAtMs,
  endedAtMs: (job) => job.endedAtMs || null,
  limits: (job) => onlyKnown(job.limits),
  usage: (job) => onlyKnown(job.usage),
  outputBytes: (job) => job.outputBytes,
  outputFirstOffset: (job) => job.outputFirstOffset,
  separateStderr: (job) => job.separateStderr,
  stderrBytes: (job) => job.separateStderr ? job.stderrBytes : null,
  stderrFirstOffset: (job) => job.separateStderr ? job.stderrFirstOffset : null,
  reason: (job) => job.reason || null,
  user: (job) => job.user || null,
  workingDirectory: (job) => job.workingDirectory || null,
  timeoutMs: (job) => job.timeoutMs || null,
  timedOut: (job) => job.timedOut,
  isolation: (job) => onlyKnown(job.isolation),
  startedAt: (job) => toTime(job.startedAtMs),
  endedAt: (job) => toTime(job.endedAtMs),
  node: (job) => job.node || null,
  partition: (job) => job.partition || null,
  pendingReason: (job) => job.pendingReason || null,
  submittedAtMs: (job) => job.submittedAtMs || null,
  submittedAt: (job) => toTime(job.submittedAtMs),
  estimatedStartMs: (job) => job.estimatedStartMs || null,
  estimatedStart: (job) => toTime(job.estimatedStartMs),
  engineJob: (job) => job.engineJob || null,
  // Earlier servers tell what the engine had heard last.
  engineState: (job) => toldEngineState(job.engineState, job.exited) || null,
  asOfMs: (job) => job.asOfMs || null,
  asOf: (job) => toTime(job.asOfMs),
  askedLimits: (job) => onlyKnown(job.askedLimits),
  umask: (job) => job.umask,
  openFiles: (job) => job.openFiles || null,
  nice: (job) => job.nice ?? null,
  stopSignal: (job) => job.stopSignal || null,
  gracePeriodMs: (job) => job.gracePeriodMs ?? null,
  hasSecrets: (job) => job.hasSecrets,
  queue: (job) => job.queue || null,
  queuePosition: (job) => job.queuePosition || null,
  account: ({ clusterRequest }) => clusterRequest?.account || null,
  qos: ({ clusterRequest }) => clusterRequest?.qos || null,
  cpus: ({ clusterRequest }) => clusterRequest?.cpus || null,
  gpus: ({ clusterRequest }) => clusterRequest?.gpus || null,
  constraint: ({ clusterRequest }) => clusterRequest?.constraint || null,
  openStdin: (job) => job.openStdin,
  inputBytes: (job) => job.inputBytes,
  // The name that `name` had first: for one release more.
  title: (job) => job.title || null,
} as const satisfies Record<string, (job: QueryResponse__Output, jobID: string) => unknown>;

/** Their names, without `context`. */
export const JOB_FIELD_NAMES: readonly string[] = Object.keys(JOB_FIELDS);

/**
 * The same as an object.
 *
 * @param context The server's context where several are called; otherwise the field is left out.
 */
export function toJson(
  job: QueryResponse__Output,
  jobID: string,
  context?: string,
): Record<string, unknown> {
  return {
    ...(context !== undefined && { context }),
    ...Object.fromEntries(
      Object.entries(JOB_FIELDS).map(([name, valueOf]) => [name, valueOf(job, jobID)]),
    ),
  };
}

/** RFC 3339, in UTC. */
function toTime(timeMs: number): string | null {
  return timeMs === 0 ? null : new Date(timeMs).toISOString();
}

/** The state in one word, with the reason of an early end. */
export function shortState(job: QueryResponse__Output): string {
  const ending = endingOf(job);
  return ending === undefined || ending === "exit" ? stateOf(job) : ending;
}

/** `query --long`: one fact a line. */
export function formatLong(job: QueryResponse__Output, jobID: string): string {
  const facts: [label: string, fact: string | undefined][] = [
    ["Job ID", job.jobID || jobID],
    ["Name", job.title || undefined],
    ["Labels", describeLabels(job.labels)],
    ["Command", describeCommand(job)],
    ["Directory", job.workingDirectory || undefined],
    ["User", job.user || undefined],
    ["Nice", job.nice === null || job.nice === undefined ? undefined : String(job.nice)],
    ["Open files", job.openFiles ? `limit ${job.openFiles}` : undefined],
    ["Isolation", describeIsolation(job)],
    ["State", describeState(job)],
    ["Pid", job.pid === 0 ? undefined : String(job.pid)],
    ["Exit code", describeExit(job)],
    ["Reason", job.reason || undefined],
    ...describePlace(job),
    ["Owner", job.owner || undefined],
    ["Started", job.startedAtMs ? new Date(job.startedAtMs).toISOString() : undefined],
    ["Ended", describeEnd(job)],
    ["Timeout", job.timeoutMs ? seconds(job.timeoutMs * 1000) : undefined],
    ["Input", job.openStdin ? `${binaryBytes(job.inputBytes)} so far` : undefined],
    ["Output", describeOutput(job)],
    ...describeResources(job.limits, job.usage),
  ];
  return facts
    .filter(([, fact]) => fact !== undefined)
    .map(([label, fact = ""]) => `${`${label}:`.padEnd(13)}${oneLine(fact)}`)
    .join("\n");
}

function describeState(job: QueryResponse__Output): string {
  const ending = describeEnding(job);
  if (ending !== undefined) return `${stateOf(job)} (${ending})`;
  if (job.exited) return stateOf(job);
  const why = job.timedOut
    ? " (its timeout is over)"
    : job.stoppedBy
    ? ` (by ${job.stoppedBy})`
    : "";
  return `${stateOf(job)}${why}`;
}

/** Where a job of a cluster is, and what the engine says of it; what a job on a host waits for. */
function describePlace(job: QueryResponse__Output): [string, string | undefined][] {
  const isPending = stateOf(job) === "pending";
  const age = job.exited ? "" : describeAge(job, Date.now());
  const engine = describeEngine(job);
  return [
    ["Queue", job.queue || undefined],
    ["Waits for", isPending && job.pendingReason || undefined],
    ["Expected", isPending ? toTime(job.estimatedStartMs) ?? undefined : undefined],
    ["Node", job.node || undefined],
    ["Partition", job.partition || undefined],
    ["Asked for", describeClusterRequest(job)],
    ["Engine", engine === "" ? undefined : `${engine}${age}`],
    ["Submitted", toTime(job.submittedAtMs) ?? undefined],
  ];
}

/** What its start has asked the cluster for. */
export function describeClusterRequest(
  { clusterRequest }: QueryResponse__Output,
): string | undefined {
  if (clusterRequest === null) return undefined;
  const { account, qos, cpus, gpus, constraint } = clusterRequest;
  return joinFacts([
    cpus ? `${cpus} ${cpus === 1 ? "core" : "cores"}` : undefined,
    gpus ? `GPUs ${gpus}` : undefined,
    constraint ? `constraint ${constraint}` : undefined,
    account ? `account ${account}` : undefined,
    qos ? `qos ${qos}` : undefined,
  ]);
}

function describeLabels(labels: Readonly<Record<string, string>>): string | undefined {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return pairs.length === 0 ? undefined : pairs.join(", ");
}

function describeIsolation({ isolation }: QueryResponse__Output): string | undefined {
  return joinFacts([
    isolation?.privateTmp ? "private /tmp" : undefined,
    isolation?.noNetwork ? "no network" : undefined,
    isolation?.ownProcesses ? "own processes" : undefined,
  ]);
}

/** The fields of a message that have a value: optional ones are absent or null. */
function onlyKnown(message: object | null): Record<string, unknown> | null {
  if (message === null) return null;
  return Object.fromEntries(
    Object.entries(message)
      .filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0))
      .map(([name, value]) => [name, Array.isArray(value) ? value.map(onlyKnown) : value]),
  );
}

function describeExit(job: QueryResponse__Output): string {
  const notes = [
    ...(job.signal ? [`signal ${job.signal}`] : []),
    ...(job.oomKilled ? ["out of memory"] : []),
  ];
  return `${exitCodeOf(job) ?? "-"}${notes.length > 0 ? ` (${notes.join(", ")})` : ""}`;
}

function describeEnd(job: QueryResponse__Output): string | undefined {
  if (!job.endedAtMs) return undefined;
  if (!job.startedAtMs) return new Date(job.endedAtMs).toISOString();
  const seconds = ((job.endedAtMs - job.startedAtMs) / 1000).toFixed(1);
  return `${new Date(job.endedAtMs).toISOString()} (after ${seconds} s)`;
}

function describeOutput(job: QueryResponse__Output): string {
  const gone = job.outputFirstOffset ? ` (the first ${job.outputFirstOffset} rotated away)` : "";
  return `${job.outputBytes} bytes${gone}`;
}

function describeResources(
  limits: JobLimits__Output | null,
  usage: JobUsage__Output | null,
): [string, string | undefined][] {
  return [
    [
      "CPU",
      joinFacts([
        fact("limit", limits?.cpuCores, (cores) => `${cores} cores`),
        fact("allowed", limits?.allowedCpus, (list) => list),
        fact("used", usage?.cpuUsec, seconds),
        fact("throttled", usage?.cpuThrottledUsec, seconds),
      ]),
    ],
    [
      "Memory",
      joinFacts([
        fact("limit", limits?.memoryBytes, binaryBytes),
        fact("high", limits?.memoryHighBytes, binaryBytes),
        fact("now", usage?.memoryBytes, binaryBytes),
        fact("peak", usage?.memoryPeakBytes, binaryBytes),
      ]),
    ],
    [
      "Disk read",
      joinFacts([
        fact("limit", limits?.readBytesPerSecond, (bytes) => `${binaryBytes(bytes)}/s`),
        fact("limit", limits?.readOperationsPerSecond, (count) => `${count} operations/s`),
        fact("done", usage?.readBytes, binaryBytes),
      ]),
    ],
    [
      "Disk write",
      joinFacts([
        fact("limit", limits?.writeBytesPerSecond, (bytes) => `${binaryBytes(bytes)}/s`),
        fact("limit", limits?.writeOperationsPerSecond, (count) => `${count} operations/s`),
        fact("done", usage?.writtenBytes, binaryBytes),
      ]),
    ],
    ["Disks", describeDisks(limits?.disks ?? []) || undefined],
    [
      "Processes",
      joinFacts([
        fact("limit", limits?.processes, String),
        fact("now", usage?.processes, String),
      ]),
    ],
    ["Counted", toTime(usage?.asOfMs ?? 0) ?? undefined],
  ];
}

function fact<Value extends number | string>(
  label: string,
  value: Value | null | undefined,
  format: (value: Value) => string,
): string | undefined {
  return value === undefined || value === null ? undefined : `${label} ${format(value)}`;
}

function joinFacts(facts: readonly (string | undefined)[]): string | undefined {
  const known = facts.filter((text) => text !== undefined);
  return known.length > 0 ? known.join(", ") : undefined;
}

function seconds(microseconds: number): string {
  return `${(microseconds / 1_000_000).toFixed(1)} s`;
}
