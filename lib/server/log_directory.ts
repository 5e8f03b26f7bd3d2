/** The log directory: made where it is missing, and checked that it is safe to write to. */
import { join, relative } from "node:path";
import { isChangeable, isOpen } from "../../common/file_modes.ts";
import { LOG_DIR } from "./build_info.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** The owner of a folder can change it at any time. */
const ROOT_ID = 0;

/** Only root may look into the folder: commands and output hold secrets. */
const PRIVATE_MODE = 0o700;

/** Users may go through the folder to what is theirs, and not list what is there. */
const ENTERED_MODE = 0o711;

/** The log directory, safe to write to. */
export interface LogFolder {
  /** Its real path. */
  readonly path: string;
  /** Of the folders from the build's log directory down to it, those that others can read. */
  readonly readable: readonly string[];
}

/**
 * Makes the folder, for root alone, and checks each folder from the build's log directory down to it:
 * no symbolic link may lead elsewhere, because the permission to write there must not become one to
 * write anywhere, and no other user may put a link there later.
 *
 * @param folder The build's log directory, or a folder below it.
 * @param ownUid The server's own user, who may own folders too; root unless given.
 * @throws {Error} One line that says what to do.
 */
export async function openLogFolder(folder: string, ownUid = ROOT_ID): Promise<LogFolder> {
  let path = LOG_DIR;
  const isReadable = new Map([[path, await openLevel(path, ownUid)]]);
  if (await Deno.realPath(LOG_DIR) !== LOG_DIR) throw linkError(LOG_DIR);
  for (const name of relative(LOG_DIR, folder).split("/").filter((text) => text !== "")) {
    path = join(path, name);
    isReadable.set(path, await openLevel(path, ownUid));
  }
  return { path, readable: [...isReadable.keys()].filter((level) => isReadable.get(level)) };
}

/**
 * Checks the folder that a cluster's nodes share. It is not made: where its file system is not mounted, jobs
 * would be kept beside it, out of the nodes' sight.
 *
 * @param folder A folder below the build's log directory.
 * @param options `ownUid`: the server's own user. `isEntered`: whether jobs of other users have their files
 * below it.
 * @throws {Error} One line that says what to do.
 */
export async function openSharedFolder(
  folder: string,
  { ownUid, isEntered }: { readonly ownUid: number; readonly isEntered: boolean },
): Promise<void> {
  try {
    await Deno.lstat(folder);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new Error(
      `there is no shared folder ${folder}: mount the site's shared file system there, and make the folder on ` +
        "it; the server does not make it, since below a mount point that is empty no node would see it",
    );
  }
  const { path, readable } = await openLogFolder(folder, ownUid);
  await closeLogFolder({
    path,
    readable: readable.filter((level) => !isEntered || level !== path),
  });
  // Never closed in between: jobs that run go through it.
  if (isEntered) await Deno.chmod(path, ENTERED_MODE);
}

/** Takes from others what they can read, as earlier servers and tools may have left it. */
export async function closeLogFolder({ readable }: LogFolder): Promise<void> {
  for (const folder of readable) {
    await Deno.chmod(folder, PRIVATE_MODE);
    log.warn("others could look into the log directory; now only root can", { folder });
  }
}

/**
 * Makes a folder where there is none, and checks it before anything is made below it.
 *
 * @returns Whether others can read it.
 */
async function openLevel(folder: string, ownUid: number): Promise<boolean> {
  try {
    await Deno.mkdir(folder, { recursive: folder === LOG_DIR, mode: PRIVATE_MODE });
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) {
      throw new Error(`cannot make the log directory ${folder}: ${messageOf(error)}; run as root`);
    }
  }
  const { isSymlink, isDirectory, mode, uid } = await Deno.lstat(folder);
  if (isSymlink) throw linkError(folder);
  if (!isDirectory) {
    throw new Error(`the log directory ${folder} is not a folder; move it away`);
  }
  if (uid !== ROOT_ID && uid !== ownUid) {
    throw new Error(
      `another user owns the log directory ${folder}; run chown root ${folder}`,
    );
  }
  // Also where it is sticky: what others put there would be taken for the server's.
  if (isChangeable({ mode, isDirectory: false })) {
    throw new Error(`others may write to the log directory ${folder}; run chmod 700 ${folder}`);
  }
  return isOpen({ mode });
}

function linkError(folder: string): Error {
  return new Error(
    `the log directory ${folder} is reached through a symbolic link; use the folder itself`,
  );
}
