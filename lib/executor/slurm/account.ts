/** The Unix users that jobs run as, as the server's host knows them: nodes have the same. */
import { JobError } from "../../errors.ts";
import { type RunCommand, wordsOf } from "./commands.ts";
import type { AccountIds } from "./place.ts";

/** A line of passwd(5). */
const ENTRY = /^[^:]+:[^:]*:(\d{1,10}):(\d{1,10}):/;

/** Said by getent(1) where there is no such user. */
const NOT_FOUND = 2;

/**
 * Looks a user up.
 *
 * @throws {JobError} "precondition" for one that is not there, or is root; "unavailable" where that cannot be told.
 */
export async function accountOf(name: string, run: RunCommand): Promise<AccountIds> {
  const answer = await run("getent", ["passwd", "--", name]);
  if (answer.status === NOT_FOUND) {
    throw refusal(`the server's host has no user ${name}, whom its user map names`);
  }
  const [, uid, gid] = ENTRY.exec(answer.text) ?? [];
  if (answer.status !== 0 || uid === undefined || gid === undefined) {
    throw new JobError(
      "unavailable",
      `Cannot start the job: the server cannot look up the user ${name} now; try again later`,
      { cause: new Error(`getent: ${wordsOf(answer)}`) },
    );
  }
  if (Number(uid) === 0) {
    throw refusal(`${name} is root, which no job of a server with a user map runs as`);
  }
  return { uid: Number(uid), gid: Number(gid) };
}

function refusal(problem: string): JobError {
  return new JobError(
    "precondition",
    `Cannot start the job: ${problem}; tell the server's operator`,
  );
}
