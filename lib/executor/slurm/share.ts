/** The folder on the site's shared file system in which the jobs' folders are. */
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { withdraw } from "../job_files.ts";
import { ForgedFileError } from "../../regular_file.ts";
import { readNodeFile } from "./node_file.ts";
import { MAX_RECORD_BYTES } from "./node_record.ts";
import { scripts } from "../../shim/scripts.ts";
import { runScript, ScriptTimeoutError } from "../../shim/shell.ts";

/**
 * A file that is there while the share is mounted: below an empty mount point all jobs would seem to be gone,
 * and what cannot be seen must not be taken for what is not. It names the server whose jobs are there: two
 * servers would take each other's for jobs that lost their records.
 */
const MARK_FILE = "job-worker-share";

/** A file server that takes longer is away or stuck. */
const ANSWER_TIMEOUT_MS = 10_000;

/** Freed blocks are multiples of it. */
const BLOCK_BYTES = 4096;

/** The share. */
export class Share {
  readonly folder: string;
  /** Whether nothing was in it before this server. */
  readonly isNew: boolean;
  /** Whether the beginning of a file can be freed in it, so that output can be bounded. */
  readonly canFreeHeads: boolean;

  private constructor(
    folder: string,
    { isNew, canFreeHeads }: Pick<Share, "isNew" | "canFreeHeads">,
  ) {
    this.folder = folder;
    this.isNew = isNew;
    this.canFreeHeads = canFreeHeads;
  }

  /**
   * Checks the folder, and marks it.
   *
   * @param folder Its path, the same on each node.
   * @param owner Stands for the server, the same after each restart.
   * @throws {Error} One line that says what to do, also where the folder is another server's.
   */
  static async open(folder: string, owner: string): Promise<Share> {
    const { canFreeHeads } = await examineShare(folder);
    return new Share(folder, { isNew: await mark(folder, owner), canFreeHeads });
  }

  /** Takes back that it was ever used: the next server finds it as new as this one. */
  async forget(): Promise<void> {
    await Deno.remove(join(this.folder, MARK_FILE));
  }

  /**
   * Withdraws the start of a job, as on one host; but of a folder that is missing only where the share is there.
   *
   * @param folder The folder of what the node writes.
   * @returns False: a launcher was first.
   * @throws When that cannot be told now.
   */
  async withdraw(folder: string): Promise<boolean> {
    if (!await exists(folder)) await this.#requireMount();
    return await withdraw(folder, recordIn);
  }

  /** @throws {Error} When what is below the folder is not the share. */
  async #requireMount(): Promise<void> {
    if (await exists(join(this.folder, MARK_FILE))) return;
    throw new Error(notMounted(this.folder));
  }
}

/**
 * Checks that jobs' folders can be kept in a folder, and leaves nothing in it.
 *
 * @throws {Error} One line that says what to do.
 */
export async function examineShare(folder: string): Promise<{ canFreeHeads: boolean }> {
  // The engine puts numbers and names in the place of other characters.
  if (!/^\/[A-Za-z0-9_./-]+$/.test(folder)) {
    throw new Error(
      `the shared folder ${folder} has characters that Slurm changes in the names of files: use an ` +
        'absolute path of letters, digits, "_", "." and "-"',
    );
  }
  await requireAnswer(folder);
  await requireExclusiveCreation(folder);
  return { canFreeHeads: await freesHeads(folder) };
}

/** What is no launch record counts as that of a launcher: what has been there is not known. */
async function recordIn(path: string): Promise<string> {
  try {
    return (await readNodeFile(path, { maxBytes: MAX_RECORD_BYTES }))?.text ?? "";
  } catch (error) {
    if (error instanceof ForgedFileError) return "";
    throw error;
  }
}

/** Said where the jobs that are on record have no folders there, and no server was ever there. */
export function notMounted(folder: string): string {
  return `the shared folder ${folder} lacks the file ${MARK_FILE}, which each server keeps there: mount the ` +
    "shared file system; where it was made anew and its jobs are lost, make the file by hand";
}

async function requireAnswer(folder: string): Promise<void> {
  const printed = await runScript(scripts.writable, [folder], { timeoutMs: ANSWER_TIMEOUT_MS })
    .catch((error: unknown) => {
      if (!(error instanceof ScriptTimeoutError)) throw error;
      throw new Error(
        `the shared folder ${folder} does not answer: its file server is away or stuck`,
        { cause: error },
      );
    });
  if (printed.trim() !== "") {
    throw new Error(
      `the shared folder ${folder} refuses to be written: ${printed.trim()}; look at its mount and ` +
        "its permissions (a file server may map root to nobody: no_root_squash)",
    );
  }
  try {
    if ((await Deno.stat(folder)).isDirectory) return;
  } catch (error) {
    throw new Error(
      `there is no shared folder ${folder}: ${
        messageOf(error)
      }; mount the site's shared file system, at ` +
        "the same path on each node",
    );
  }
  throw new Error(`the shared folder ${folder} is not a folder`);
}

/** The launch record decides who runs a job by being created once. */
async function requireExclusiveCreation(folder: string): Promise<void> {
  const file = join(folder, `.exclusive-test-${crypto.randomUUID()}`);
  const create = async () => (await Deno.open(file, { write: true, createNew: true })).close();
  await create();
  try {
    await create();
  } catch (error) {
    if (error instanceof Deno.errors.AlreadyExists) return;
    throw error;
  } finally {
    await Deno.remove(file);
  }
  throw new Error(
    `the file system of ${folder} creates a file twice (O_EXCL), so that jobs could run twice: use NFS 3 or ` +
      "newer, Lustre, GPFS, CephFS or the like",
  );
}

async function freesHeads(folder: string): Promise<boolean> {
  const file = join(folder, `.hole-test-${crypto.randomUUID()}`);
  try {
    await Deno.writeFile(file, new Uint8Array(2 * BLOCK_BYTES).fill(1), { mode: 0o600 });
    return (await runScript(scripts.punch, [String(BLOCK_BYTES), file])).trim() === "";
  } finally {
    await Deno.remove(file).catch(() => {});
  }
}

/** @returns Whether there was no mark. @throws {Error} It is another server's. */
async function mark(folder: string, owner: string): Promise<boolean> {
  const file = join(folder, MARK_FILE);
  const made = join(folder, `.${MARK_FILE}-${crypto.randomUUID()}`);
  await Deno.writeTextFile(made, `${owner}\n`, { createNew: true, mode: 0o600 });
  try {
    // Of two servers that come at once, one is first, and its mark is whole.
    await Deno.link(made, file);
    return true;
  } catch (error) {
    if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    const found = await ownerIn(file);
    // An empty one is made by hand, by whoever knows that no other server uses the folder.
    if (found === "") await Deno.rename(made, file);
    else if (found !== owner) throw new Error(othersShare(folder));
    return false;
  } finally {
    await Deno.remove(made).catch(() => {});
  }
}

async function ownerIn(file: string): Promise<string> {
  try {
    return (await readNodeFile(file, { maxBytes: MAX_RECORD_BYTES }))?.text.trim() ?? "";
  } catch (error) {
    if (!(error instanceof ForgedFileError)) throw error;
    throw new Error(`${error.found} is in the place of ${file}: look who has put it there`);
  }
}

function othersShare(folder: string): string {
  return `the shared folder ${folder} has the jobs of another server: give each server a folder of its ` +
    `own; where that server is gone for good, empty the file ${
      join(folder, MARK_FILE)
    } to take over its jobs`;
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
