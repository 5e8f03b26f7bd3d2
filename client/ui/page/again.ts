/** What the form that starts a job holds to start one like another. Pure. */
import { writtenBytes, writtenDuration, writtenRate } from "../../../common/written.ts";
import type { SWITCHES, TextField } from "../protocol.ts";
import { settingsOf } from "../../jobs/settings_of.ts";
import type { Job } from "./requests.ts";
import { joinWords } from "./words.ts";

/** The fields of a form before anything is typed. */
export interface Prefill {
  readonly words: readonly string[];
  /** The same as a command line. */
  readonly command: string;
  readonly texts: { readonly [Name in TextField]?: string | undefined };
  readonly switches: { readonly [Name in typeof SWITCHES[number]]?: boolean };
}

/** What can be the same as of another job; `env` and `stdin` are kept nowhere, and times are over. */
type Texts = Required<Omit<Prefill["texts"], "env" | "stdin" | "begin" | "after">>;

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
  const settings = settingsOf(job, jobUser);
  const { isolation, limits, queue, timeoutMs = 0 } = settings;
  return {
    words,
    command: joinWords(words),
    texts: {
      name: settings.title,
      labels: pairs(settings.labels),
      cwd: settings.workingDirectory,
      user: settings.user,
      umask: settings.umask === USUAL_UMASK
        ? ""
        : text(settings.umask, (mask) => mask.toString(8).padStart(3, "0")),
      nice: text(queue.nice, String),
      nofile: text(settings.openFiles, String),
      timeout: timeoutMs === 0 ? "" : writtenDuration(timeoutMs),
      grace: text(settings.graceMs, writtenDuration),
      stopSignal: settings.stopSignal,
      ...limitTexts(limits),
      queue: queue.queue,
      partition: queue.partition,
      account: queue.account,
      qos: queue.qos,
      cpus: text(queue.cpus, String),
      gpus: queue.gpus,
      constraint: queue.constraint,
    } satisfies Texts,
    switches: {
      privateTmp: isolation?.privateTmp ?? false,
      noNetwork: isolation?.noNetwork ?? false,
      ownProcesses: isolation?.ownProcesses ?? false,
      separateStderr: settings.separateStderr ?? false,
    },
  };
}

/** The limits as a command line has them. */
function limitTexts(limits: Partial<NonNullable<Job["limits"]>>) {
  return {
    // A hundredth of a percent is below what the kernel counts.
    cpu: joined(
      text(limits.cpuCores, (cores) => `${Number((cores * 100).toFixed(2))}%`),
      text(limits.allowedCpus, (list) => `cpus=${list}`),
    ),
    memory: joined(
      text(limits.memoryBytes, writtenBytes),
      text(limits.memoryHighBytes, (bytes) => `high=${writtenBytes(bytes)}`),
    ),
    diskIo: [
      ratesText(limits),
      ...(limits.disks ?? []).map((disk) => `${disk.disk} ${ratesText(disk)}`),
    ].filter((part) => part !== "").join("; "),
    processes: text(limits.processes, String),
  };
}

/** The rates for each disk, or of one. */
function ratesText(rates: Omit<NonNullable<Job["limits"]>["disks"][number], "disk">): string {
  return joined(
    text(rates.readBytesPerSecond, (bytes) => `read=${writtenRate(bytes)}`),
    text(rates.writeBytesPerSecond, (bytes) => `write=${writtenRate(bytes)}`),
    text(rates.readOperationsPerSecond, (count) => `read-iops=${count}`),
    text(rates.writeOperationsPerSecond, (count) => `write-iops=${count}`),
  );
}

function text<Value>(value: Value | undefined, write: (value: Value) => string): string {
  return value === undefined ? "" : write(value);
}

function joined(...parts: readonly string[]): string {
  return parts.filter((part) => part !== "").join(" ");
}

function pairs(fields: Readonly<Record<string, string>> = {}): string {
  return Object.entries(fields).map(([key, value]) => `${key}=${value}`).join("\n");
}
