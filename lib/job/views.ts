/** Jobs as Query and List show them: the record, what is used now, how much was written. */
import type { Usage } from "../cgroup/types.ts";
import type { EngineStatus, Executor } from "../executor.ts";
import { heldBytesOf, InputFolder } from "../input/folder.ts";
import { hasEnded, isRunning, type JobRecord, recordedUsage } from "../model/record.ts";
import type { OutputLog } from "../logs.ts";
import type { JobFolders } from "./folder.ts";
import type { HeldJobs, Wait } from "./held_jobs.ts";
import type { Lookup } from "./lookup.ts";
import { refOf } from "./refs.ts";

/** A job as it is now. */
export interface JobView {
  readonly record: JobRecord;
  readonly usage: Readonly<Usage>;
  readonly outputBytes: number;
  /** What clients have sent it. */
  readonly inputBytes: number;
  /** 0 where the standard error is not kept apart. */
  readonly stderrBytes: number;
  /** What the engine said last; undefined: there is none, or nothing was heard of it. */
  readonly engine: EngineStatus | undefined;
  /** What a job waits for on this host; undefined: it does not. */
  readonly wait: Wait | undefined;
}

/**
 * The present views of jobs.
 *
 * @param options `withUsage`: whether the counters of running jobs are read, all at once.
 * @throws When the executor fails to read them.
 */
export async function viewJobs(
  records: readonly JobRecord[],
  { withUsage, lookup, folders, executor, held }: {
    readonly withUsage: boolean;
    readonly lookup: Lookup;
    readonly folders: JobFolders;
    readonly executor: Executor;
    readonly held: HeldJobs;
  },
): Promise<JobView[]> {
  const running = withUsage ? records.filter(({ state }) => isRunning(state)) : [];
  const usages = running.length === 0
    ? []
    : await executor.usages(running.map((record) => refOf(record, folders)));
  const usageOf = new Map(running.map(({ id }, index) => [id, usages[index] ?? {}]));
  const inputs = await Promise.all(records.map((record) => inputBytes(record, folders)));
  const statuses = executor.statuses(records.map(({ id }) => id));
  return records.map((record, index) => {
    // The job may have ended, or been removed, while its counters were read.
    const latest = hasEnded(record.state) ? record : lookup.find(record.id) ?? record;
    return {
      record: latest,
      usage: hasEnded(latest.state) ? recordedUsage(latest.state) : usageOf.get(record.id) ?? {},
      outputBytes: bytesOf(lookup.outputOf(latest)),
      stderrBytes: bytesOf(lookup.errorsOf(latest)),
      wait: held.waitOf(latest.id),
      inputBytes: inputs[index] ?? 0,
      engine: hasEnded(latest.state) ? latest.engine : statuses[index] ?? latest.engine,
    };
  });
}

/** Of a job whose removal has begun, the output is gone while the record is still there. */
function bytesOf(output: OutputLog | undefined): number {
  try {
    return output?.size().bytes ?? 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/** The same of the files of a job's input. */
async function inputBytes({ id, settings }: JobRecord, folders: JobFolders): Promise<number> {
  if (settings?.openStdin !== true) return 0;
  try {
    return heldBytesOf(await new InputFolder(folders.pathOf(id)).read());
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}
