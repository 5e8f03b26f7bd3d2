/** Ends that launch records tell, believed only when the kernel says that no process is left. */
import type { Placement } from "../cgroup/types.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import { isVacated, whenVacated } from "./group_files.ts";
import { readLaunchRecord } from "./job_files.ts";

/**
 * Waits until no process of a job is left, whose launch record tells how it ended. For a true record
 * there is nothing to wait for.
 *
 * @param ending What the record tells.
 */
export async function whenConfirmed(
  { jobId, placement, folder }: { jobId: string; placement: Placement; folder: string },
  ending: Ending,
): Promise<Ending> {
  if (await isVacated(placement).catch(() => false)) return ending;
  log.warn("a launch record tells that a job has ended, and processes of it are left: it goes on", {
    job: jobId,
  });
  await whenVacated(placement);
  return readLaunchRecord(folder)?.ending ?? ending;
}
