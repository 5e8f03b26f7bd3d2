import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { Session } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { PlacedJob } from "../jobs/placed_job.ts";
import type { VerbCall } from "./servers.ts";

/** The answer of one server. */
export interface Answer<T> {
  /** The server's context, where it has one. */
  readonly context: string | undefined;
  readonly value: T;
}

/**
 * Calls all servers that the command line chooses, at the same time. If one of several fails, the
 * failure is reported in one line with its context's name, and the answers of the others are kept.
 *
 * @returns The answers, in the order in which the servers are named, and the exit status of the first
 * failure.
 * @throws {ClientError} The only server has failed, or no server is chosen.
 */
export async function askAll<T>(
  { servers, terminal }: VerbCall,
  ask: (session: Session) => Promise<T>,
): Promise<{ answers: readonly Answer<T>[]; exitStatus: number }> {
  const { areSeveral } = servers;
  const results = await Promise.all(
    servers.chosen().map(async ({ context, open }) => {
      try {
        return { answer: { context, value: await ask(await open()) }, exitStatus: ExitStatus.ok };
      } catch (error) {
        if (!areSeveral || !(error instanceof ClientError)) throw error;
        terminal.note(`${context}: ${error.message}`);
        return { answer: undefined, exitStatus: error.exitStatus };
      }
    }),
  );
  return {
    answers: results.flatMap(({ answer }) => answer ?? []),
    exitStatus: results.find(({ exitStatus }) => exitStatus !== ExitStatus.ok)?.exitStatus ??
      ExitStatus.ok,
  };
}

/** Merges the answers of several servers: the newest job first. */
export function newestFirst<Entry extends { readonly job: QueryResponse__Output }>(
  answers: readonly Answer<readonly Entry[]>[],
): (Entry & PlacedJob)[] {
  const entries = answers.flatMap(({ context, value }) =>
    value.map((entry) => ({ ...entry, context }))
  );
  // One server's list is sorted already, more exactly than by milliseconds.
  if (answers.length < 2) return entries;
  return entries.sort((one, other) => beginOf(other.job) - beginOf(one.job));
}

/** When a job began, or was submitted to a queue. */
function beginOf({ startedAtMs, submittedAtMs }: QueryResponse__Output): number {
  return submittedAtMs || startedAtMs;
}
