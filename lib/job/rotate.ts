/** Bounds the output of jobs that run: what is beyond the bound is cut off at its beginning. */
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { OutputLog } from "../logs.ts";
import { type Cut, cutOffset } from "../logs/rotation.ts";
import type { JobStore } from "../store.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import type { JobFolders } from "./folder.ts";

/** What rotation works with. */
export interface RotationParts {
  readonly active: ActiveJobs;
  readonly store: JobStore;
  readonly folders: JobFolders;
  /** Newest output kept of each job; Infinity: all. */
  readonly maxOutputBytes: number;
  /** Frees the heads of files; what cannot be freed is logged. */
  readonly freeHeads: (cuts: readonly Cut[]) => Promise<void>;
}

/**
 * Cuts the output of those jobs that have written beyond the bound. Never rejects: what fails is
 * logged, and done again with the next rotation.
 */
export async function rotate(jobs: Iterable<ActiveJob>, parts: RotationParts): Promise<void> {
  const cuts = recordCuts(jobs, parts);
  if (cuts.length === 0) return;
  const { active, store, folders, freeHeads } = parts;
  try {
    // On record before the first byte is freed: freed bytes read as zeros, and must not be shown.
    await store.synced();
    for (const { job, offset } of cuts) active.setFirstOffset(job, offset);
    await freeHeads(cuts.map(({ job: { record }, offset }) => ({
      file: folders.outputPathOf(record.id),
      length: offset,
    })));
  } catch (error) {
    log.error("cannot rotate output", { jobs: cuts.length, error: messageOf(error) });
  }
}

/** Outputs of which it was told that they cannot be cut: rotation comes twice a second. */
const told = new WeakSet<OutputLog>();

/** The new beginnings of outputs, stored. */
function recordCuts(
  jobs: Iterable<ActiveJob>,
  { store, maxOutputBytes }: RotationParts,
): { readonly job: ActiveJob; readonly offset: number }[] {
  const cuts: { job: ActiveJob; offset: number }[] = [];
  for (const job of jobs) {
    const { record: { id }, output } = job;
    const offset = cutOffset(sizeOf(output).bytes, output.firstOffset, maxOutputBytes);
    if (offset === undefined) continue;
    try {
      store.setFirstOffset(id, offset);
      cuts.push({ job, offset });
      told.delete(output);
    } catch (error) {
      if (told.has(output)) continue;
      told.add(output);
      log.error("cannot rotate output", { job: id, error: messageOf(error) });
    }
  }
  return cuts;
}

/** The size of an output; zeros where the file is gone or cannot be read. */
export function sizeOf(output: OutputLog): { bytes: number; diskBytes: number } {
  try {
    return output.size();
  } catch {
    return { bytes: 0, diskBytes: 0 };
  }
}
