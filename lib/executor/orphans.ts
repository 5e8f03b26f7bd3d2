/** Jobs whose launcher is gone, and has left no exit status. */
import type { Placement } from "../cgroup/types.ts";
import type { Ending } from "../model/ending.ts";
import { whenVacated } from "./group_files.ts";
import { readLaunchRecord, type StoredLaunchRecord } from "./job_files.ts";

/** Why a job is lost. */
export const LOST_BECAUSE = {
  hostWentDown: "the host went down while the job ran",
  filesDamaged: "the job's files were damaged or removed on the host",
  neverBegan: "the job's launcher ended before it had started the job",
  launcherKilled: "the job's launcher was killed, and the job's exit status with it",
  diskRefused: "the disk of the log directory refused the job's exit status",
  /** Of a launcher that an earlier server started nobody is told how it ended. */
  unknown: "the job's launcher was killed, or the disk refused the job's exit status",
} as const;

/**
 * Waits for the end of a job whose launcher is gone.
 *
 * @param reason Why there is no exit status, where the job's files do not tell.
 */
export async function whenOrphanEnds(
  { placement, folder }: { placement: Placement; folder: string },
  reason: string,
): Promise<Ending> {
  await whenVacated(placement);
  const record = readLaunchRecord(folder);
  return record?.ending ?? lostBecause(reasonOf(record) ?? reason);
}

/** The ending of a job that is lost, now. */
export function lostBecause(reason: string): Ending {
  return { kind: "lost", reason, endedAtMs: Date.now() };
}

function reasonOf(record: StoredLaunchRecord | undefined): string | undefined {
  if (record?.launcher === undefined) return LOST_BECAUSE.filesDamaged;
  return record.job === undefined ? LOST_BECAUSE.neverBegan : undefined;
}
