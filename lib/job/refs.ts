/** Jobs as their executor is told of them. Pure. */
import type { AdoptionRequest, JobRef, Phase } from "../executor.ts";
import { isRunning, type JobRecord, type JobState } from "../model/record.ts";
import { DEFAULT_SETTINGS } from "../model/settings.ts";
import type { JobFolders } from "./folder.ts";

/** A job on record, for its executor. */
export function refOf(
  record: JobRecord,
  folders: JobFolders,
): JobRef {
  const { id, handle, owner, settings = DEFAULT_SETTINGS } = record;
  return { jobId: id, handle, folder: folders.launchPathOf(record), owner, settings };
}

/** What the executor is asked about a job that it may no longer know of. */
export function toAdoptionRequest(record: JobRecord, folders: JobFolders): AdoptionRequest {
  const { command, createdAtMs, state } = record;
  return {
    ...refOf(record, folders),
    command,
    phase: phaseOf(state),
    submittedAtMs: createdAtMs,
  };
}

function phaseOf(state: JobState): Phase {
  if (state.kind === "starting") return "starting";
  return isRunning(state) ? "begun" : "pending";
}
