/**
 * Where a job's files are, and whose they are. Where all jobs run as the server's own user, they are together in
 * the job's folder. Where each runs as a user of its own, the job's folder is root's: the user can neither move
 * nor replace what is in it. His are the files `output` and `gaps` and the folder of an output's later files, which
 * are made for him, and the folder `node` with all else that the launcher writes.
 */
import { join } from "node:path";
import type { Handle } from "../../model/record.ts";

/** A Unix user, by numbers. */
export interface AccountIds {
  readonly uid: number;
  readonly gid: number;
}

/** Where a node writes. */
export interface JobPlace {
  /** The folder of what the launcher creates. */
  readonly nodeFolder: string;
  /** The user that the job runs as; undefined: the server's own. */
  readonly uid?: number | undefined;
}

/** The folder that is the user's. */
const NODE_FOLDER = "node";

/** Its owner may write into it, and nobody else look. */
const PRIVATE_FOLDER_MODE = 0o700;

/** Users may go through the folder to what is theirs, and not list what is there. */
const ENTERED_FOLDER_MODE = 0o711;

const PRIVATE_FILE_MODE = 0o600;

/** What is on record of a job that runs as a user of its own. */
export const OF_ITS_USER: Handle = { isOfItsUser: true };

/** Whether a handle is of such a job. */
export function isOfItsUser({ isOfItsUser }: Handle): boolean {
  return isOfItsUser === true;
}

/** The place of a job that runs as the server's own user. */
export function ownPlace(folder: string): JobPlace {
  return { nodeFolder: folder };
}

/** The place of a job that runs as a user of its own. */
export function placeOf(folder: string, uid: number): JobPlace {
  return { nodeFolder: join(folder, NODE_FOLDER), uid };
}

/**
 * Finds the place of a job that an earlier server has made.
 *
 * @returns undefined: it had not come so far as to make it, so that no node was told of the job.
 */
export async function findPlace(folder: string, handle: Handle): Promise<JobPlace | undefined> {
  if (!isOfItsUser(handle)) return ownPlace(folder);
  try {
    // Only root can give a folder to somebody, or put another one in its place.
    const { uid } = await Deno.lstat(join(folder, NODE_FOLDER));
    return uid === null || uid === 0 ? undefined : placeOf(folder, uid);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** A file that a node is given. */
export interface GivenFile {
  readonly name: string;
  readonly mode: number;
  readonly content: string | Uint8Array;
}

/** Writes the files that the node is given into a folder that is the server's. */
export async function writeGiven(folder: string, files: readonly GivenFile[]): Promise<void> {
  for (const { name, mode, content } of files) {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(join(folder, name), bytes, { createNew: true, mode });
  }
}

/** Makes a folder for a job's user; undefined: the server's own. */
export async function makeFolder(path: string, account: AccountIds | undefined): Promise<void> {
  await Deno.mkdir(path, { mode: PRIVATE_FOLDER_MODE });
  if (account !== undefined) await Deno.chown(path, account.uid, account.gid);
}

/**
 * Makes the place of a job for its user, with the files that it is given. His own folder is given to him last:
 * until then nothing in it can be his.
 *
 * @param job `folder`: the job's own, `output` and `gaps`: files of it, of which the first exists.
 */
export async function makePlace(
  job: { readonly folder: string; readonly output: string; readonly gaps: string },
  files: readonly GivenFile[],
  { uid, gid }: AccountIds,
): Promise<void> {
  const { nodeFolder } = placeOf(job.folder, uid);
  await Deno.writeFile(job.gaps, new Uint8Array(), { createNew: true, mode: PRIVATE_FILE_MODE });
  for (const file of [job.output, job.gaps]) await Deno.chown(file, uid, gid);
  await Deno.mkdir(nodeFolder, { mode: PRIVATE_FOLDER_MODE });
  await writeGiven(nodeFolder, files);
  for (const { name } of files) await Deno.chown(join(nodeFolder, name), uid, gid);
  await Deno.chown(nodeFolder, uid, gid);
  await Deno.chmod(job.folder, ENTERED_FOLDER_MODE);
}

/** Lets users go through the folder of all jobs' folders. */
export async function letUsersIn(jobsFolder: string): Promise<void> {
  await Deno.chmod(jobsFolder, ENTERED_FOLDER_MODE);
}
