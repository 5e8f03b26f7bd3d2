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

/** One of a job's outputs. */
interface Part {
  readonly job: ActiveJob;
  readonly output: OutputLog;
}

/** What was seen of it. */
interface Look extends Part {
  readonly seen: TimeEntry;
}

/** What of it is to be cut off. */
interface PartCut extends Part {
  /** Where the rest begins. */
  readonly offset: number;
}

/**
 * Cuts the output of those jobs that have written beyond the bound, and takes down which have grown.
 * Never rejects: what fails is logged, and done again with the next rotation.
 */
export async function rotate(jobs: Iterable<ActiveJob>, parts: RotationParts): Promise<void> {
  const looks: Look[] = [];
  await forEach(partsOf(jobs), async (part) => {
    try {
      looks.push({ ...part, seen: await part.output.look() });
    } catch {
      // The file is gone, or cannot be read: its readers tell.
    }
  });
  const cuts = recordCuts(looks, parts);
  if (cuts.length > 0) await cutOff(cuts, parts);
  const news = looks.filter(({ output, seen }) => output.times.isNews(seen.bytes));
  await forEach(news, ({ output, seen }) => output.times.note(seen));
  await forEach(cuts, ({ output, offset }) => output.times.forget(offset));
}

function* partsOf(jobs: Iterable<ActiveJob>): Generator<Part> {
  for (const job of jobs) {
    yield { job, output: job.output };
    if (job.errors !== undefined) yield { job, output: job.errors };
  }
}

async function cutOff(
  cuts: readonly PartCut[],
  { active, store, folders, freeHeads }: RotationParts,
): Promise<void> {
  try {
    // On record before the first byte is freed: freed bytes read as zeros, and must not be shown.
    await store.synced();
    for (const { job, output, offset } of cuts) {
      if (output === job.output) active.setFirstOffset(job, offset);
      else output.firstOffset = offset;
    }
    await freeHeads(cuts.map(({ job: { record: { id }, errors }, output, offset }) => ({
      file: output === errors ? folders.errorsPathOf(id) : folders.outputPathOf(id),
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
  { active, store, maxOutputBytes }: RotationParts,
): PartCut[] {
  const cuts: PartCut[] = [];
  for (const { job, output, seen } of looks) {
    const { id } = job.record;
    const offset = cutOffset(seen.bytes, output.firstOffset, maxOutputBytes);
    if (offset === undefined) continue;
    try {
      if (output !== job.errors) store.setFirstOffset(id, offset);
      else if (!active.storeStderrOffset(job, offset)) continue;
      cuts.push({ job, output, offset });
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
