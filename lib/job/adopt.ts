/** Jobs that an earlier server left. */
import type { Adoption, Executor, Running } from "../executor.ts";
import { log } from "../log.ts";
import type { JobStore } from "../store.ts";
import type { Clock } from "./clock.ts";
import { type Endings, filesLost, toAdoptionRequest } from "./endings.ts";
import type { JobFolders } from "./folder.ts";
import { discardStart } from "./removal.ts";

/** What adoption works with. */
export interface AdoptionParts {
  readonly executor: Executor;
  readonly store: JobStore;
  readonly folders: JobFolders;
  readonly clock: Clock;
  readonly endings: Endings;
}

/**
 * Finds out what became of each job whose end is not on record: it becomes an active one, its end is
 * recorded, or, where its start came to nothing, it is removed.
 *
 * @returns Settles when the ends found are recorded.
 * @throws When the executor or the store fails.
 */
export async function adoptJobs(parts: AdoptionParts): Promise<void> {
  const { executor, store, folders, clock, endings } = parts;
  const records = store.active();
  const adoptions = await executor.adopt(
    records.map((record) => toAdoptionRequest(record, folders)),
  );
  const ended: Promise<void>[] = [];
  for (const record of records) {
    const adoption = adoptions.get(record.id) ?? { kind: "never-started" };
    if (adoption.kind === "running") {
      const { job } = endings.watch(record, adoption, record.createdAtMs);
      await endings.endProcesses(job, { terminate: true });
    } else if (adoption.kind === "never-started" && record.state.kind === "starting") {
      await discardStart(parts, record.id);
    } else {
      ended.push(endings.watch(record, asEnded(adoption, clock), record.createdAtMs).job.ended);
    }
  }
  // Together, since one wait for the disk stores them all.
  await Promise.all(ended);
  if (records.length > 0) log.info("adopted jobs of an earlier server", { jobs: records.length });
}

/** A job that has run and of which nothing is found is lost; its record is kept. */
function asEnded(adoption: Exclude<Adoption, { kind: "running" }>, clock: Clock): Running {
  return adoption.kind === "ended"
    ? { pid: adoption.pid, ended: Promise.resolve(adoption.ending) }
    : { pid: 0, ended: Promise.resolve(filesLost(clock.nowMs())) };
}
