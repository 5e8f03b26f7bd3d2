/** Users that starts name by a uid, and groups. */
import { JobError, quoted } from "../errors.ts";
import type { Executor } from "../executor.ts";
import type { JobRequest } from "../model/request.ts";
import { DEFAULT_SETTINGS, isUid, isUserName } from "../model/settings.ts";

/** See {@linkcode JobManager.withUserNamed}. */
export async function withUserNamed(
  request: JobRequest,
  executor: Pick<Executor, "capabilities" | "accountOf" | "groupOf">,
): Promise<JobRequest> {
  // Over a cluster all jobs have one user, and the start is refused by what it asks for.
  if (!executor.capabilities.users) return request;
  const { settings } = request;
  const user = await nameOf(settings.user, executor);
  const named = user === settings.user ? request : { ...request, settings: { ...settings, user } };
  return settings.group === undefined
    ? named
    : await withGroupNamed(named, settings.group, executor);
}

async function nameOf(user: string, executor: Pick<Executor, "accountOf">): Promise<string> {
  if (!isUid(user)) return user;
  const name = await executor.accountOf(Number(user));
  if (name !== undefined && isUserName(name)) return name;
  throw refusal(
    `${name === undefined ? "no user" : "a user whose name no job can have"} for uid ${user}`,
  );
}

async function withGroupNamed(
  request: JobRequest,
  group: string,
  executor: Pick<Executor, "groupOf">,
): Promise<JobRequest> {
  const { settings } = request;
  if (settings.user === DEFAULT_SETTINGS.user) {
    throw new JobError(
      "invalid",
      "Cannot start the job: a job of root has the rights of every group; leave the group out of --user",
    );
  }
  const found = await executor.groupOf(settings.user, group);
  if (found === undefined) throw refusal(`no group ${quoted(group)}`);
  if (!isUserName(found.name)) throw refusal(`a group whose name no job can have for gid ${group}`);
  return {
    ...request,
    settings: { ...settings, group: found.name },
    ...(found.hasUser && { isOfItsGroup: true }),
  };
}

function refusal(problem: string): JobError {
  return new JobError("invalid", `Cannot start the job: the server's host has ${problem}`);
}
