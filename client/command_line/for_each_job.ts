import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { type JobTarget, type VerbCall } from "./servers.ts";
import { splitPlacedID } from "../jobs/placed_job.ts";

/**
 * Applies an action to several jobs at once, each on its own server. All are tried; each failure is
 * reported.
 *
 * @param names As a command line names them.
 * @returns The exit status of the first failure in the order of the jobs; 0 where there is none.
 */
export async function forEachJob(
  names: readonly string[],
  { servers, terminal }: VerbCall,
  action: (target: JobTarget) => Promise<void>,
): Promise<number> {
  const failures = new Set<string>();
  const statuses = await Promise.all(names.map(async (name) => {
    try {
      await action(await servers.ofJob(name));
      return ExitStatus.ok;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      const message = placedMessage(name, error);
      // A server that cannot be reached is reported once, not for each of its jobs.
      if (!failures.has(message)) terminal.note(message);
      failures.add(message);
      return error.exitStatus;
    }
  }));
  return statuses.find((status) => status !== ExitStatus.ok) ?? ExitStatus.ok;
}

/** The message for a job's failure: with its context, where the command line names one. */
export function placedMessage(name: string, { message, exitStatus }: ClientError): string {
  const { context } = splitPlacedID(name);
  return context === undefined || exitStatus === ExitStatus.usage
    ? message
    : `${context}: ${message}`;
}
