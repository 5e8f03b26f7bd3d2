/** Users that starts name by a uid. */
import { JobError } from "../errors.ts";
import type { Executor } from "../executor.ts";
import type { JobRequest } from "../model/request.ts";
import { isUid, isUserName } from "../model/settings.ts";

/** See {@linkcode JobManager.withUserNamed}. */
export async function withUserNamed(
  request: JobRequest,
  executor: Pick<Executor, "capabilities" | "accountOf">,
): Promise<JobRequest> {
  const { settings } = request;
  const { user } = settings;
  // Over a cluster all jobs have one user, and the start is refused by what it asks for.
  if (!isUid(user) || !executor.capabilities.users) return request;
  const name = await executor.accountOf(Number(user));
  if (name !== undefined && isUserName(name)) {
    return { ...request, settings: { ...settings, user: name } };
  }
  const problem = name === undefined ? "no user" : "a user whose name no job can have";
  throw new JobError(
    "invalid",
    `Cannot start the job: the server's host has ${problem} for uid ${user}`,
  );
}
