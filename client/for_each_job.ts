import { ClientError } from "./errors.ts";
import { ExitStatus } from "./exit_status.ts";
import type { Terminal } from "./terminal.ts";

/**
 * Does something to several jobs at once. All are tried; each failure is said.
 *
 * @returns The exit status of the first failure in the order of the jobs; 0 where there is none.
 */
export async function forEachJob(
  ids: readonly string[],
  terminal: Terminal,
  action: (jobID: string) => Promise<void>,
): Promise<number> {
  const failures = new Set<string>();
  const statuses = await Promise.all(ids.map(async (jobID) => {
    try {
      await action(jobID);
      return ExitStatus.ok;
    } catch (error) {
      if (!(error instanceof ClientError)) throw error;
      // A server that is gone is one piece of news, not as many as there are jobs.
      if (!failures.has(error.message)) terminal.note(error.message);
      failures.add(error.message);
      return error.exitStatus;
    }
  }));
  return statuses.find((status) => status !== ExitStatus.ok) ?? ExitStatus.ok;
}
