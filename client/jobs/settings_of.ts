/**
 * What a start like that of a job on record asks for: the one place that says which fields of a start are
 * asked for again. Pure.
 */
import type { JobSpec, QueueSpec } from "./job_spec.ts";
import type { JobLimits__Output, QueryResponse__Output } from "../../proto/contract.ts";

/** What a start does not have from another: a new key, and what servers keep nowhere. */
type NotRepeated = "idempotencyKey" | "env" | "stdin" | "openStdin";

/** What a job has waited for has come to pass. */
type NotWaitedFor = "beginAtMs" | "after";

/** Every other field, so that a new one does not compile until it is here. */
type Everything<Fields> = { readonly [Name in keyof Required<Fields>]: Fields[Name] };

/** What a job's start has asked for; undefined: the server's choice. */
export type Settings = Everything<Omit<JobSpec, NotRepeated | "queue" | "limits">> & {
  readonly limits: Partial<JobLimits__Output>;
  readonly queue: Everything<Omit<QueueSpec, NotWaitedFor>>;
};

/**
 * Reads the settings of a job.
 *
 * @param defaultUser The user that jobs run as unless a start names another; undefined: it is not known.
 */
export function settingsOf(
  job: QueryResponse__Output,
  defaultUser: string | undefined,
): Settings {
  const { clusterRequest: cluster } = job;
  // A number is a uid of the server's own choice.
  const isAsked = job.user !== defaultUser && !/^\d+$/.test(job.user);
  // A server that does not tell what was asked for tells what holds.
  const limits = Object.entries(job.askedLimits ?? job.limits ?? {});
  return {
    title: job.title,
    labels: job.labels,
    workingDirectory: job.workingDirectory,
    user: isAsked ? job.user : undefined,
    umask: isTold(job) ? job.umask : undefined,
    timeoutMs: job.timeoutMs,
    stopSignal: job.stopSignal,
    graceMs: job.gracePeriodMs ?? undefined,
    openFiles: job.openFiles || undefined,
    limits: Object.fromEntries(
      limits.filter(([, value]) => value !== null && !(Array.isArray(value) && value.length === 0)),
    ),
    isolation: job.isolation ?? undefined,
    separateStderr: job.separateStderr,
    queue: {
      queue: job.queue,
      partition: job.partition,
      nice: job.nice ?? undefined,
      account: cluster?.account,
      qos: cluster?.qos,
      cpus: cluster?.cpus || undefined,
      gpus: cluster?.gpus,
      constraint: cluster?.constraint,
    },
  };
}

/** Whether the server tells how the job was started: older ones do not. */
export function isTold({ stopSignal }: QueryResponse__Output): boolean {
  return stopSignal !== "";
}

/**
 * Whether the server tells what the job has asked a cluster for, where it is over one: older ones do not.
 *
 * @param engine The server's, as Info has it.
 */
export function isClusterTold({ clusterRequest }: QueryResponse__Output, engine: string): boolean {
  return engine === "" || clusterRequest !== null;
}
