/**
 * Records that are lost while their jobs are not: jobs.db was removed, or an older copy of it put back,
 * or a row is damaged. Each job's folder has its record as it was at the start, of which a new one is made.
 */
import { isJobId } from "../../common/job_id.ts";
import { messageOf } from "../errors.ts";
import type { Executor } from "../executor.ts";
import { log } from "../log.ts";
import { MIN_UID } from "../model/owner_uids.ts";
import type { JobRecord, JobState } from "../model/record.ts";
import type { JobStore } from "../store.ts";
import { hasSecretsKept } from "../store/held_secrets.ts";
import type { JobFolders } from "./folder.ts";

/** Folders that are named in the log, each with a line of its own; of the others the number is told. */
const MAX_NAMED = 20;

interface RecoveryParts {
  readonly executor: Executor;
  readonly store: JobStore;
  readonly folders: JobFolders;
}

/**
 * Puts jobs on record again that have a folder and no record, as running ones, or as waiting ones where
 * jobs wait: adoption then finds out what became of them. A folder that nothing can be made of is told, and kept.
 */
export async function recoverRecords({ executor, store, folders }: RecoveryParts): Promise<void> {
  let recovered = 0;
  let kept = 0;
  for await (const name of namesWithoutRecord({ store, folders })) {
    try {
      const record = await recordOf(name, folders, executor.capabilities);
      const uid = Number(record.settings?.user);
      // Not given back to the job's owner: the copy does not tell who was given it, and who only asked for it.
      if (Number.isSafeInteger(uid) && uid >= MIN_UID) store.withholdUid(uid);
      store.replace(record);
      recovered += 1;
    } catch (error) {
      kept += 1;
      if (kept > MAX_NAMED) continue;
      log.error(
        "a folder of a job has no record, and none can be made: it is kept; end by hand what runs in " +
          "the job's control groups, then move the folder away",
        { folder: name.slice(0, 64), problem: problemOf(error) },
      );
    }
  }
  if (kept > MAX_NAMED) log.error("more folders have no record", { folders: kept - MAX_NAMED });
  if (recovered > 0) {
    log.warn("records of jobs were lost, and are made again from the jobs' folders", {
      jobs: recovered,
    });
  }
}

/** The names of folders that have no record, or the damaged one of a job that may run. */
async function* namesWithoutRecord(
  { store, folders }: Pick<RecoveryParts, "store" | "folders">,
): AsyncGenerator<string> {
  const damaged = new Set(store.damagedActiveIds());
  for await (const names of folders.names()) {
    yield* store.withoutRecord(names);
    yield* names.filter((name) => damaged.has(name));
  }
}

async function recordOf(
  name: string,
  folders: JobFolders,
  { queues }: { readonly queues: boolean },
): Promise<JobRecord> {
  if (!isJobId(name)) throw new Error("its name is not a job's id");
  const copy = await folders.readRecord(name);
  const attempt = await folders.lastAttempt(name);
  const record = attempt === 1 ? copy : { ...copy, attempt };
  // Its launcher knows when it began, and adoption its process id.
  const state: JobState = queues || await hasSecretsKept(folders.pathOf(name))
    ? { kind: "pending" }
    : { kind: "running", pid: 0, startedAtMs: record.createdAtMs };
  return { ...record, state, ...await firstOffsetsOf(record, folders) };
}

async function firstOffsetsOf(
  { id, settings }: Pick<JobRecord, "id" | "settings">,
  folders: JobFolders,
): Promise<Pick<JobRecord, "firstOffset" | "stderrFirstOffset">> {
  const firstOffset = await folders.findFirstOffset(folders.outputPathOf(id));
  if (!settings?.separateStderr) return { firstOffset };
  const stderrFirstOffset = await folders.findFirstOffset(folders.errorsPathOf(id));
  return { firstOffset, stderrFirstOffset };
}

function problemOf(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "it has no copy of the record";
  if (error instanceof SyntaxError) return "its copy of the record is damaged";
  return messageOf(error).slice(0, 200);
}
