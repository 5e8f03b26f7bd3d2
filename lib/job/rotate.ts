/**
 * Looks at the outputs of jobs that run: what is beyond the bound is cut off at its beginning, and when
 * they have grown is taken down.
 */
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { OutputLog } from "../logs.ts";
import type { TimeEntry } from "../logs/time_index.ts";
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

/** Outputs that are looked at, and times that are written, at once. */
const MAX_AT_ONCE = 16;

/** What was seen of one job's output. */
interface Look {
  readonly job: ActiveJob;
  readonly seen: TimeEntry;
}

/**
 * Cuts the output of those jobs that have written beyond the bound, and takes down which have grown.
 * Never rejects: what fails is logged, and done again with the next rotation.
 */
export async function rotate(jobs: Iterable<ActiveJob>, parts: RotationParts): Promise<void> {
  const looks: Look[] = [];
  await forEach(jobs, async (job) => {
    try {
      looks.push({ job, seen: await job.output.look() });
    } catch {
      // The file is gone, or cannot be read: its readers tell.
    }
  });
  const cuts = recordCuts(looks, parts);
  if (cuts.length > 0) await cutOff(cuts, parts);
  const news = looks.filter(({ job: { output }, seen }) => output.times.isNews(seen.bytes));
  await forEach(news, ({ job, seen }) => job.output.times.note(seen));
  await forEach(cuts, ({ job, offset }) => job.output.times.forget(offset));
}

async function cutOff(
  cuts: readonly { readonly job: ActiveJob; readonly offset: number }[],
  { active, store, folders, freeHeads }: RotationParts,
): Promise<void> {
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

/** Does something with each item, with some at once, in their order. */
async function forEach<Item>(
  items: Iterable<Item>,
  action: (item: Item) => Promise<void>,
): Promise<void> {
  const rest = items[Symbol.iterator]();
  const work = async () => {
    for (let next = rest.next(); next.done !== true; next = rest.next()) await action(next.value);
  };
  await Promise.all(Array.from({ length: MAX_AT_ONCE }, work));
}

/** Outputs of which it was told that they cannot be cut: rotation comes twice a second. */
const told = new WeakSet<OutputLog>();

/** The new beginnings of outputs, stored. */
function recordCuts(
  looks: readonly Look[],
  { store, maxOutputBytes }: RotationParts,
): { readonly job: ActiveJob; readonly offset: number }[] {
  const cuts: { job: ActiveJob; offset: number }[] = [];
  for (const { job, seen } of looks) {
    const { record: { id }, output } = job;
    const offset = cutOffset(seen.bytes, output.firstOffset, maxOutputBytes);
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
