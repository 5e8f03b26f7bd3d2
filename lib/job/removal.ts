/** What is removed of jobs: the folder with the output, and the record. */
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { JobEvent } from "../model/events.ts";
import type { JobStore } from "../store.ts";
import type { JobFolders } from "./folder.ts";

interface RemovalParts {
  readonly store: JobStore;
  readonly folders: JobFolders;
}

/**
 * Removes a job. The record goes last: where the server ends in between, the job can be removed again.
 *
 * @param events What the removal tells.
 * @throws At once where the disk does not answer.
 * @throws When the folder cannot be removed (the record is then kept), or the record not deleted.
 */
export async function removeJob(
  { store, folders }: RemovalParts,
  id: string,
  events: readonly JobEvent[] = [],
): Promise<void> {
  store.requireDisk();
  await folders.remove(id);
  store.delete(id, events);
}

/** Removes what a failed start has left. Never rejects: the next server removes what stays. */
export async function discardStart(parts: RemovalParts, id: string): Promise<void> {
  try {
    await removeJob(parts, id);
  } catch (error) {
    log.error("cannot clean up after a failed start", { job: id, error: messageOf(error) });
  }
}
