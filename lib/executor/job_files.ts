/** The files of a job's folder that its launcher and the server share. */
import { join } from "node:path";
import { isDiskFull, messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { Ending } from "../model/ending.ts";
import {
  endingOf,
  type LaunchRecord,
  parseLaunchRecord,
  type ProcessIdentity,
} from "./launch_record.ts";

/** The launch record. The process that creates it decides whether the job is launched. */
export const LAUNCH_RECORD_FILE = "launch";

/** What the job reads from its standard input, where it was given anything. */
export const INPUT_FILE = "input";

/** Exists while a server is stopping the job, and times the grace period in the launcher's place. */
const STOPPING_FILE = "stopping";

/**
 * How long a signal waits for the disk. Without the mark, the launcher times its own grace period for what
 * remains; without the launch record, a main process that has left its groups is not signalled.
 */
const DISK_TIMEOUT_MS = 200;

/** What a server writes into the launch record of a start that it withdraws. */
export const WITHDRAWN = "withdrawn\n";

/** A launch record, and the ending that it tells of. */
export interface StoredLaunchRecord extends LaunchRecord {
  ending?: Ending;
}

/**
 * Reads a job's launch record.
 *
 * @param folder The job's folder.
 * @returns undefined when there is none.
 */
export function readLaunchRecord(folder: string): StoredLaunchRecord | undefined {
  const path = join(folder, LAUNCH_RECORD_FILE);
  try {
    const record = parseLaunchRecord(Deno.readTextFileSync(path));
    if (record.exit === undefined) return record;
    // The end is the last thing that the launcher writes, so the file's time is the job's.
    return { ...record, ending: endingOf(record.exit, timeOf(Deno.statSync(path))) };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** When a file was written, in milliseconds; now, where its time is none that a Date can hold. */
function timeOf({ mtime }: Deno.FileInfo): number {
  const writtenAtMs = mtime?.getTime() ?? NaN;
  return writtenAtMs >= 0 ? writtenAtMs : Date.now();
}

/**
 * Withdraws a start by creating the launch record before a launcher does.
 *
 * @param folder The job's folder.
 * @param readRecord Reads the record that is there.
 * @returns False when a launcher was first.
 */
export async function withdraw(
  folder: string,
  readRecord: (path: string) => Promise<string> = Deno.readTextFile,
): Promise<boolean> {
  const path = join(folder, LAUNCH_RECORD_FILE);
  try {
    using file = await Deno.open(path, { write: true, createNew: true });
    // Not by its path: on a cluster the job's user may put a link there meanwhile.
    await writeWithdrawn(file);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return true;
    if (error instanceof Deno.errors.AlreadyExists) return await readRecord(path) === WITHDRAWN;
    throw error;
  }
}

async function writeWithdrawn(file: Deno.FsFile): Promise<void> {
  try {
    await file.write(new TextEncoder().encode(WITHDRAWN));
  } catch (error) {
    // The file's existence already keeps every launcher from starting the job.
    if (!isDiskFull(error)) throw error;
  }
}

/**
 * Tells the launcher that the server times the grace period and does the killing. Settles after a while
 * in any case: a stuck disk must not keep a stop signal back.
 */
export async function markStopping(folder: string): Promise<void> {
  await beforeLong(writeMark(folder));
}

/**
 * Reads which process is a job's main process. Settles after a while in any case.
 *
 * @param folder The job's folder.
 * @returns undefined where that cannot be told, also where the launcher is of an earlier version.
 */
export async function mainProcessOf(folder: string): Promise<ProcessIdentity | undefined> {
  const text = await beforeLong(
    // The host may have no descriptor left: the job's groups are signalled all the same.
    Deno.readTextFile(join(folder, LAUNCH_RECORD_FILE)).catch(() => ""),
  );
  const { pid, startTime } = parseLaunchRecord(text ?? "").job ?? {};
  return pid === undefined || startTime === undefined ? undefined : { pid, startTime };
}

/** @returns What is waited for; undefined where a stuck disk keeps it back. */
async function beforeLong<T>(work: Promise<T>): Promise<T | undefined> {
  const { promise: late, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => resolve(undefined), DISK_TIMEOUT_MS);
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function writeMark(folder: string): Promise<void> {
  try {
    await Deno.writeTextFile(join(folder, STOPPING_FILE), "");
  } catch (error) {
    // The disk may be full. The launcher then times its own grace period for what remains.
    log.warn("cannot mark a job as stopping", { error: messageOf(error) });
  }
}
