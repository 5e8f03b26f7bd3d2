/** The log directory: made where it is missing, and checked that it is safe to write to. */
import { join, relative } from "node:path";
import { LOG_DIR } from "./build_info.ts";
import { messageOf } from "../errors.ts";

/** The server runs as root; the owner of a folder can change it at any time. */
const ROOT_ID = 0;

/** Write permission for the group and for others. */
const OTHERS_MAY_WRITE = 0o022;

/**
 * Makes the folder, for root alone, and checks each folder from the build's log directory down to it:
 * no symbolic link may lead elsewhere, because the permission to write there must not become one to
 * write anywhere, and no other user may put a link there later.
 *
 * @param folder The build's log directory, or a folder below it.
 * @returns The folder's real path.
 * @throws {Error} One line that says what to do.
 */
export async function openLogFolder(folder: string): Promise<string> {
  let level = LOG_DIR;
  await openLevel(level);
  if (await Deno.realPath(LOG_DIR) !== LOG_DIR) throw linkError(LOG_DIR);
  for (const name of relative(LOG_DIR, folder).split("/").filter((text) => text !== "")) {
    level = join(level, name);
    await openLevel(level);
  }
  return level;
}

/** Makes a folder where there is none, and checks it before anything is made below it. */
async function openLevel(folder: string): Promise<void> {
  try {
    await Deno.mkdir(folder, { recursive: folder === LOG_DIR, mode: 0o700 });
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
  if (uid !== ROOT_ID) {
    throw new Error(
      `another user owns the log directory ${folder}; run chown root ${folder}`,
    );
  }
  if (mode !== null && (mode & OTHERS_MAY_WRITE) !== 0) {
    throw new Error(`others may write to the log directory ${folder}; run chmod 700 ${folder}`);
  }
}

function linkError(folder: string): Error {
  return new Error(
    `the log directory ${folder} is reached through a symbolic link; use the folder itself`,
  );
}
