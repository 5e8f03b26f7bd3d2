import type {
  JobLimits__Output,
  JobUsage__Output,
  QueryResponse__Output,
} from "../../proto/contract.ts";
import { oneLine } from "../errors.ts";
import { exitCodeOf, stateOf } from "../jobs/state.ts";

/** The one line of `query`. */
export function formatLine(job: QueryResponse__Output): string {
  return `Pid: ${job.pid} Exit code: ${exitCodeOf(job) ?? "-"} Exited: ${job.exited}`;
}

/** `query --json`: the contract's fields by its names; what is not known is null. */
export function formatJson(job: QueryResponse__Output, jobID: string, context?: string): string {
  return JSON.stringify(toJson(job, jobID, context));
}

/**
 * The same, before it is text.
 *
 * @param context The server's, where several are asked; the field is not there otherwise.
 */
export function toJson(
  job: QueryResponse__Output,
  jobID: string,
  context?: string,
): Record<string, unknown> {
  return {
    ...(context !== undefined && { context }),
    jobID: job.jobID || jobID,
    title: job.title || null,
    labels: job.labels,
    pid: job.pid,
    exitCode: exitCodeOf(job) ?? null,
    exited: job.exited,
    state: stateOf(job).toUpperCase(),
    signal: job.signal || null,
    oomKilled: job.oomKilled,
    name: job.name,
    args: job.args,
    owner: job.owner,
    startedAtMs: job.startedAtMs,
    endedAtMs: job.endedAtMs || null,
    limits: onlyKnown(job.limits),
    usage: onlyKnown(job.usage),
    outputBytes: job.outputBytes,
    outputFirstOffset: job.outputFirstOffset,
    reason: job.reason || null,
    user: job.user || null,
    workingDirectory: job.workingDirectory || null,
    timeoutMs: job.timeoutMs || null,
    timedOut: job.timedOut,
    isolation: onlyKnown(job.isolation),
    startedAt: toTime(job.startedAtMs),
    endedAt: toTime(job.endedAtMs),
  };
}

/** RFC 3339, in UTC. */
function toTime(timeMs: number): string | null {
  return timeMs === 0 ? null : new Date(timeMs).toISOString();
}

/** A state in a word. */
export function shortState(job: QueryResponse__Output): string {
  const state = stateOf(job);
  if (job.oomKilled) return "oom";
  if (job.timedOut && job.exited) return "timeout";
  return state;
}

/** The command as a shell would take it. */
export function describeCommand({ name, args }: QueryResponse__Output): string {
  return [name, ...args].map(quoteWord).join(" ");
}

/** `3s`, `12m`, `5h`, `2d`: the largest unit of which there is one. */
export function describeDuration(durationMs: number): string {
  const units: [string, number][] = [["d", 86_400_000], ["h", 3_600_000], ["m", 60_000]];
  for (const [unit, unitMs] of units) {
    if (durationMs >= unitMs) return `${Math.floor(durationMs / unitMs)}${unit}`;
  }
  return `${Math.max(0, Math.floor(durationMs / 1000))}s`;
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
    ["Isolation", describeIsolation(job)],
    ["State", `${stateOf(job)}${job.timedOut ? " (its time was up)" : ""}`],
    ["Pid", String(job.pid)],
    ["Exit code", describeExit(job)],
    ["Reason", oneLine(job.reason) || undefined],
    ["Owner", oneLine(job.owner) || undefined],
    ["Started", job.startedAtMs ? new Date(job.startedAtMs).toISOString() : undefined],
    ["Ended", describeEnd(job)],
    ["Timeout", job.timeoutMs ? seconds(job.timeoutMs * 1000) : undefined],
    ["Output", describeOutput(job)],
    ...describeResources(job.limits, job.usage),
  ];
  return facts
    .filter(([, fact]) => fact !== undefined)
    .map(([label, fact]) => `${`${label}:`.padEnd(13)}${fact}`)
    .join("\n");
}

function describeLabels(labels: Readonly<Record<string, string>>): string | undefined {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${oneLine(value)}`);
  return pairs.length === 0 ? undefined : pairs.join(", ");
}

function describeIsolation({ isolation }: QueryResponse__Output): string | undefined {
  return joinFacts([
    isolation?.privateTmp ? "private /tmp" : undefined,
    isolation?.noNetwork ? "no network" : undefined,
    isolation?.ownProcesses ? "own processes" : undefined,
  ]);
}

/** The fields of a message that are there: proto-loader leaves out optional ones or sets null. */
function onlyKnown(message: object | null): Record<string, unknown> | null {
  if (message === null) return null;
  return Object.fromEntries(
    Object.entries(message).filter(([, value]) => value !== null),
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
        fact("used", usage?.cpuUsec, seconds),
        fact("throttled", usage?.cpuThrottledUsec, seconds),
      ]),
    ],
    [
      "Memory",
      joinFacts([
        fact("limit", limits?.memoryBytes, binaryBytes),
        fact("now", usage?.memoryBytes, binaryBytes),
        fact("peak", usage?.memoryPeakBytes, binaryBytes),
      ]),
    ],
    [
      "Disk read",
      joinFacts([
        fact("limit", limits?.readBytesPerSecond, (bytes) => `${binaryBytes(bytes)}/s`),
        fact("done", usage?.readBytes, binaryBytes),
      ]),
    ],
    [
      "Disk write",
      joinFacts([
        fact("limit", limits?.writeBytesPerSecond, (bytes) => `${binaryBytes(bytes)}/s`),
        fact("done", usage?.writtenBytes, binaryBytes),
      ]),
    ],
    [
      "Processes",
      joinFacts([
        fact("limit", limits?.processes, String),
        fact("now", usage?.processes, String),
      ]),
    ],
  ];
}

function fact(
  label: string,
  value: number | null | undefined,
  format: (value: number) => string,
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

/**
 * `268435456` as `256 MiB`.
 *
 * @param options Whether two digits are enough, as where there is little room.
 */
export function binaryBytes(bytes: number, { isShort = false } = {}): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${Number(value.toFixed(isShort && value >= 10 ? 0 : 1))} ${units[unit]}`;
}

/**
 * What a terminal does not print but obeys, or may: control and format characters (which turn the
 * direction of writing), and separators of lines.
 */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u;

/** A word as a shell would take it back; what does not print is shown as escapes. */
function quoteWord(word: string): string {
  if (/^[\w@%+=:,./-]+$/.test(word)) return word;
  if (UNPRINTABLE.test(word)) return `$${singleQuoteEscaped(word)}`;
  return `'${word.replaceAll("'", `'\\''`)}'`;
}

/** The inside of bash's `$'…'`. */
function singleQuoteEscaped(word: string): string {
  const inside = word
    .replaceAll("\\", "\\\\")
    .replaceAll("'", "\\'")
    .replace(
      new RegExp(UNPRINTABLE, "gu"),
      (character) => {
        const short = { "\n": "\\n", "\t": "\\t", "\r": "\\r" }[character];
        if (short !== undefined) return short;
        const code = (character.codePointAt(0) ?? 0).toString(16);
        return code.length > 4 ? `\\U${code.padStart(8, "0")}` : `\\u${code.padStart(4, "0")}`;
      },
    );
  return `'${inside}'`;
}
