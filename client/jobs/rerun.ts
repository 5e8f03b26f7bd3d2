/** A start like that of a job which is on record. Pure. */
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { JobSpec } from "./start.ts";

/** What is known besides the job. */
export interface RerunContext {
  /** As a command line names the job. */
  readonly name: string;
  /** The user that jobs run as unless a start names another. */
  readonly defaultUser: string;
  /** Whether it is started without the variables and the input that it had. */
  readonly withoutSecrets: boolean;
}

/**
 * The settings of a job, with what is given now in their place.
 *
 * @throws {ClientError} It had variables or an input, which nobody keeps, and none are given; or the
 * server does not tell how it was started.
 */
export function specLike(
  job: QueryResponse__Output,
  given: JobSpec,
  { name, defaultUser, withoutSecrets }: RerunContext,
): JobSpec {
  if (job.stopSignal === "") {
    throw new ClientError(
      `Cannot start ${name} again: its server does not tell how it was started. Upgrade it.`,
      ExitStatus.failed,
    );
  }
  const hasEnv = Object.keys(given.env ?? {}).length > 0;
  if (job.hasSecrets && !withoutSecrets && !hasEnv && given.stdin === undefined) {
    throw new ClientError(
      `Cannot start ${name} again as it was: it had variables or an input, which are kept nowhere. ` +
        "Give them by --env, --env-file and --stdin, or add --without-secrets.",
      ExitStatus.usage,
    );
  }
  if (job.openStdin && !withoutSecrets && given.stdin === undefined) {
    throw new ClientError(
      `Cannot start ${name} again as it was: it was sent its input while it ran, which is kept nowhere. ` +
        "Give it by --stdin, or add --without-secrets.",
      ExitStatus.usage,
    );
  }
  const { isolation, askedLimits } = job;
  // A number is a uid of the server's own choice.
  const isAsked = job.user !== defaultUser && !/^\d+$/.test(job.user);
  const limits = askedLimits === null ? {} : Object.fromEntries(
    Object.entries(askedLimits).filter(([, value]) => value !== null),
  );
  const hasLabels = Object.keys(given.labels ?? {}).length > 0;
  return {
    ...given,
    title: given.title ?? job.title,
    labels: hasLabels ? given.labels : job.labels,
    workingDirectory: given.workingDirectory ?? job.workingDirectory,
    user: given.user ?? (isAsked ? job.user : undefined),
    umask: given.umask ?? job.umask,
    timeoutMs: given.timeoutMs ?? job.timeoutMs,
    stopSignal: given.stopSignal ?? job.stopSignal,
    graceMs: given.graceMs ?? job.gracePeriodMs ?? undefined,
    openFiles: given.openFiles ?? (job.openFiles || undefined),
    limits: { ...limits, ...given.limits },
    separateStderr: given.separateStderr ?? job.separateStderr,
    isolation: given.isolation ?? isolation ?? undefined,
    queue: {
      ...given.queue,
      queue: given.queue?.queue ?? job.queue,
      partition: given.queue?.partition ?? job.partition,
      nice: given.queue?.nice ?? job.nice ?? undefined,
    },
  };
}
