/** Jobs whose launcher was killed. */
import type { Placement } from "../cgroup/types.ts";
import type { Ending } from "../model/ending.ts";
import { removeGroups, whenEmpty } from "./group_files.ts";
import { readLaunchRecord } from "./job_files.ts";

/** Waits for the end of a job whose launcher was killed, and could not record the exit status. */
export async function whenOrphanEnds(
  { placement, folder }: { placement: Placement; folder: string },
): Promise<Ending> {
  await whenEmpty(placement);
  await removeGroups(placement.groups);
  return readLaunchRecord(folder)?.ending ?? {
    kind: "lost",
    reason: "the job's launcher was killed, and the job's exit status with it",
    endedAtMs: Date.now(),
  };
}
