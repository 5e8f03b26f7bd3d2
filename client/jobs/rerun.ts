/** A start like that of a job which is on record. Pure. */
import type { JobSpec } from "./job_spec.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { isTold, settingsOf } from "./settings_of.ts";

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
  if (!isTold(job)) {
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
  const hasInput = given.stdin !== undefined || given.openStdin === true;
  if (job.openStdin && !withoutSecrets && !hasInput) {
    throw new ClientError(
      `Cannot start ${name} again as it was: it was sent its input while it ran, which is kept nowhere. ` +
        "Give it by --stdin, send it once more (--open-stdin), or add --without-secrets.",
      ExitStatus.usage,
    );
  }
  const { queue, ...settings } = settingsOf(job, defaultUser);
  const hasLabels = Object.keys(given.labels ?? {}).length > 0;
  return {
    ...over(given, settings),
    idempotencyKey: given.idempotencyKey,
    ...(!hasLabels && { labels: settings.labels }),
    limits: { ...settings.limits, ...given.limits },
    queue: over({ ...given.queue }, queue),
  };
}

/** What is given, and where that is undefined, what is kept. */
function over<Given extends object, Kept extends object>(given: Given, kept: Kept): Given & Kept {
  const named = Object.entries(given).filter(([, value]) => value !== undefined);
  return { ...kept, ...Object.fromEntries(named) } as Given & Kept;
}
