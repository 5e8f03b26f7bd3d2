import type { QueryResponse__Output } from "../../proto/contract.ts";
import type { Session } from "../connection/session.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { PlacedJob } from "../jobs/placed_job.ts";
import type { VerbCall } from "./servers.ts";

/** What one of the servers has answered. */
export interface Answer<T> {
  /** The server's context, where it has one. */
  readonly context: string | undefined;
  readonly value: T;
}

/**
 * Asks all servers that the command line chooses, at the same time. Of several, one that fails is
 * said in one line with its context's name, and hides nothing of the others.
 *
 * @returns What they have answered, in the order in which they are named, and the exit status of the
 * first one that failed.
 * @throws {ClientError} The only server has failed, or none is to be asked.
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

/** Puts what several servers have answered in one order: the newest job first. */
export function newestFirst<Entry extends { readonly job: QueryResponse__Output }>(
  answers: readonly Answer<readonly Entry[]>[],
): (Entry & PlacedJob)[] {
  const entries = answers.flatMap(({ context, value }) =>
    value.map((entry) => ({ ...entry, context }))
  );
  // One server's list is in order already, by more than the millisecond of the start.
  if (answers.length < 2) return entries;
  return entries.sort((one, other) => other.job.startedAtMs - one.job.startedAtMs);
}
