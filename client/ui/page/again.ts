/** What the form that starts a job holds to start one like another. Pure. */
import { BINARY_UNITS_BYTES, DURATION_UNITS_MS, RATE_UNITS_BYTES } from "../../../common/units.ts";
import type { SWITCHES, TextField } from "../protocol.ts";
import type { Job } from "./requests.ts";
import { joinWords } from "./words.ts";

/** The fields of a form before anything is typed. */
export interface Prefill {
  readonly words: readonly string[];
  /** The same as a command line. */
  readonly command: string;
  readonly texts: { readonly [Name in TextField]?: string };
  readonly switches: { readonly [Name in typeof SWITCHES[number]]?: boolean };
}

/** What a job has unless its start names another. */
const USUAL_UMASK = 0o022;

export const EMPTY_FORM: Prefill = { words: [], command: "", texts: {}, switches: {} };

/**
 * The form for a job like this one: what its start asked for, where the server tells that. It keeps
 * neither variables nor standard input.
 *
 * @param jobUser The user that jobs run as unless a start names another.
 */
export function formLike(job: Job, jobUser: string | undefined): Prefill {
  const words = [job.name, ...job.args];
  const { isolation } = job;
  // A server that does not tell what was asked for tells what holds.
  const limits = job.askedLimits ?? job.limits;
  const text = <Value>(value: Value | null | undefined, write: (value: Value) => string) =>
    value === null || value === undefined ? "" : write(value);
  return {
    words,
    command: joinWords(words),
    texts: {
      name: job.title,
      labels: Object.entries(job.labels).map(([key, value]) => `${key}=${value}`).join("\n"),
      cwd: job.workingDirectory,
      // A number is a uid of the server's own choice.
      user: job.user === jobUser || /^\d+$/.test(job.user) ? "" : job.user,
      timeout: job.timeoutMs === 0 ? "" : inUnits(job.timeoutMs, DURATION_UNITS_MS),
      // A hundredth of a percent is below what the kernel counts.
      cpu: [
        text(limits?.cpuCores, (cores) => `${Number((cores * 100).toFixed(2))}%`),
        text(limits?.allowedCpus, (list) => `cpus=${list}`),
      ].filter((part) => part !== "").join(" "),
      memory: [
        text(limits?.memoryBytes, (bytes) => inUnits(bytes, BINARY_UNITS_BYTES)),
        text(limits?.memoryHighBytes, (bytes) => `high=${inUnits(bytes, BINARY_UNITS_BYTES)}`),
      ].filter((part) => part !== "").join(" "),
      diskIo: [
        text(limits?.readBytesPerSecond, (bytes) => `read=${rateText(bytes)}`),
        text(limits?.writeBytesPerSecond, (bytes) => `write=${rateText(bytes)}`),
        text(limits?.readOperationsPerSecond, (count) => `read-iops=${count}`),
        text(limits?.writeOperationsPerSecond, (count) => `write-iops=${count}`),
      ].filter((part) => part !== "").join(" "),
      processes: text(limits?.processes, String),
      partition: job.partition,
      grace: text(job.gracePeriodMs, (graceMs) => inUnits(graceMs, DURATION_UNITS_MS)),
      stopSignal: job.stopSignal,
      umask: job.umask === USUAL_UMASK || !isTold(job)
        ? ""
        : job.umask.toString(8).padStart(3, "0"),
    },
    switches: {
      privateTmp: isolation?.privateTmp ?? false,
      noNetwork: isolation?.noNetwork ?? false,
      ownProcesses: isolation?.ownProcesses ?? false,
    },
  };
}

/** Whether the server tells all that a start like the job's asks for: older ones do not. */
export function isTold({ stopSignal }: Job): boolean {
  return stopSignal !== "";
}

function rateText(bytes: number): string {
  const { B, KB, MB, GB } = RATE_UNITS_BYTES;
  return `${inUnits(bytes, { B, KB, MB, GB })}/s`;
}

/** A whole number in the largest unit that keeps it whole: exactly what it was. */
function inUnits(value: number, units: Readonly<Record<string, number | undefined>>): string {
  const fitting = Object.entries(units)
    .filter(([, size = NaN]) => value >= size && value % size === 0)
    .sort(([, one = 0], [, other = 0]) => other - one);
  const [name, size] = fitting[0] ?? ["", 1];
  return `${value / (size ?? 1)}${name}`;
}
