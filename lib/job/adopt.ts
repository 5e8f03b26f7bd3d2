/** Jobs that an earlier server left. */
import type { Adoption, Executor, Tracked } from "../executor.ts";
import { Turns } from "../../common/turns.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import { isHeld, type JobRecord } from "../model/record.ts";
import type { JobStore } from "../store.ts";
import { dropSecrets } from "../store/held_secrets.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import type { Clock } from "../../common/clock.ts";
import { type Endings, nothingFound } from "./endings.ts";
import type { JobFolders } from "./folder.ts";
import type { HeldJobs } from "./held_jobs.ts";
import { recoverRecords } from "./recovery.ts";
import { toAdoptionRequest } from "./refs.ts";
import { discardStart } from "./removal.ts";

/** Jobs that are sent their stop signal at once: each takes a process. */
const MAX_STOPS_AT_ONCE = 8;

/** A stop signal that takes longer is stuck, and the next one is sent. */
const MAX_STOP_MS = 1000;

/** How long the server waits, before it is ready, for the disk and for stop signals. They go on then. */
const SETTLE_TIMEOUT_MS = 10_000;

/** Control groups of unknown jobs that the log names. */
const MAX_NAMED = 10;

/** What adoption works with. */
export interface AdoptionParts {
  readonly executor: Executor;
  readonly store: JobStore;
  readonly folders: JobFolders;
  readonly clock: Clock;
  readonly active: ActiveJobs;
  readonly endings: Endings;
  /** Those that wait on this host. */
  readonly held: HeldJobs;
}

/**
 * Finds out what became of each job whose end is not on record: it becomes an active one, its end is
 * recorded, or, where its start came to nothing, it is removed.
 *
 * @returns Settles when the ends found are recorded, or the disk has been waited for long enough.
 * @throws When the executor or the store fails.
 */
export async function adoptJobs(parts: AdoptionParts): Promise<void> {
  const { executor, store, folders, clock, endings } = parts;
  await recoverRecords(parts);
  const all = store.active();
  const records = all.filter(({ state }) => !isHeld(state));
  const adoptions = await executor.adopt(
    records.map((record) => toAdoptionRequest(record, folders)),
  );
  const waiting = all.filter(({ state }) => isHeld(state));
  const turns = new Turns(MAX_STOPS_AT_ONCE, MAX_STOP_MS);
  const settling: Promise<void>[] = [];
  for (const record of records) {
    const adoption = adoptions.get(record.id) ?? { kind: "never-started" };
    if (adoption.kind === "never-started" && record.state.kind === "starting") {
      await discardStart(parts, record.id);
      continue;
    }
    if (adoption.kind === "never-started" && returnsToHost(record, executor)) {
      waiting.push(takenBack(record, store));
      continue;
    }
    if (record.settings?.queue !== undefined) {
      settling.push(dropSecrets(folders.pathOf(record.id)));
    }
    const job = endings.watch(record, trackedOf(adoption, record, clock), record.createdAtMs);
    if (adoption.kind !== "tracked") settling.push(job.ended);
    else if (record.state.kind === "stopping") settling.push(goOnStopping(job, endings, turns));
    if (adoption.kind === "tracked") parts.held.adopted(record);
  }
  holdAgain(waiting, parts);
  // Together, since one wait for the disk stores them all.
  await settled(settling, clock);
  await tellUntracked(parts);
  if (all.length > 0) log.info("adopted jobs of an earlier server", { jobs: all.length });
}

/** Whether a job waits for this host, where a server ended while it gave it to the executor. */
function returnsToHost({ state }: JobRecord, { capabilities }: Executor): boolean {
  return state.kind === "pending" && !capabilities.queues;
}

/**
 * The record of such a job as one that waits again. Its launch was withdrawn, and that stays: the next one
 * has a folder of its own. What it waited for had come, as far as records tell.
 */
function takenBack(record: JobRecord, store: JobStore): JobRecord {
  const { settings, attempt = 1 } = record;
  const openAfter = (settings?.queue?.after ?? []).filter((id) => {
    const state = store.get(id)?.state;
    return state !== undefined && !(state.kind === "exited" && state.exitCode === 0);
  });
  return { ...record, attempt: attempt + 1, state: { kind: "pending", openAfter } };
}

/** Lets jobs wait on, in the order in which they were started. */
function holdAgain(records: readonly JobRecord[], parts: AdoptionParts): void {
  const { active, endings, held } = parts;
  const inOrder = [...records].sort((one, other) => one.createdAtMs - other.createdAtMs);
  for (const record of inOrder) {
    const { id, state, attempt } = record;
    if (!isHeld(state)) continue;
    endings.watch(record, held.hold(record, state.openAfter), record.createdAtMs);
    if (attempt !== undefined) void active.change(id, state);
  }
  for (const { id } of inOrder) held.enter(id);
}

/** Where records and folders of jobs were removed together, their processes are all that is left. */
async function tellUntracked({ executor, active }: AdoptionParts): Promise<void> {
  try {
    const untracked = (await executor.populated()).filter((id) => active.get(id) === undefined);
    if (untracked.length === 0) return;
    log.warn(
      "control groups have processes of jobs that this server does not know: of another server on this " +
        "host, or of jobs whose records and folders were removed; those nobody knows are to be ended by hand",
      { jobs: untracked.length, groups: untracked.slice(0, MAX_NAMED).join(" ") },
    );
  } catch (error) {
    log.warn("cannot look for processes that no job has", { error: messageOf(error) });
  }
}

async function goOnStopping(job: ActiveJob, endings: Endings, turns: Turns): Promise<void> {
  using _turn = await turns.take();
  await endings.goOnStopping(job);
}

async function settled(settling: readonly Promise<void>[], clock: Clock): Promise<void> {
  const { promise: late, resolve } = Promise.withResolvers<void>();
  const cancel = clock.after(SETTLE_TIMEOUT_MS, () => {
    log.warn("ready before the ends of all adopted jobs are on the disk: it is slow, or stuck");
    resolve();
  });
  await Promise.race([Promise.all(settling), late]);
  cancel();
}

/** What is known of a job that has ended is told as of one that ends now. */
function trackedOf(adoption: Adoption, record: JobRecord, clock: Clock): Tracked {
  if (adoption.kind === "tracked") return adoption;
  const { begun, ending } = adoption.kind === "ended"
    ? adoption
    : { begun: undefined, ending: nothingFound(record, clock.nowMs()) };
  return {
    whenBegun: begun === undefined ? new Promise(() => {}) : Promise.resolve(begun),
    ended: Promise.resolve(ending),
  };
}
