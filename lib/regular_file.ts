/**
 * Opens files that a job may have replaced: where jobs run as the server's own user (a cluster's service account),
 * they can put a link to a file of the server's host in a file's place, a pipe that nobody writes to, or a device.
 * So a file is opened without waiting and never created through a name that is there; what was opened counts if it
 * is a regular file and the one that has the name: the runtime follows links before it opens a file, whatever
 * O_NOFOLLOW says, where a program has not all permissions (measured). Another name of the same file (a hard link)
 * is no other file, and cannot lead out of the file system that jobs share.
 *
 * On one host a job's folder is root's, mode 0700. Only a job that runs as root can change what is in it, and it can
 * stop the server as well: the files of launchers (lib/executor/job_files.ts, lib/shim) are opened there as they are.
 */
import { constants, promises, type Stats } from "node:fs";
import { JobError, messageOf } from "./errors.ts";

/** A pipe would wait for its other end. */
const SAFELY = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Reads so many bytes by several reads; fewer only where one brings nothing. */
export async function readFully(
  file: Pick<RegularFile, "read">,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let filled = 0;
  while (filled < length) {
    const count = await file.read(bytes.subarray(filled), offset + filled);
    if (count === 0) break;
    filled += count;
  }
  return bytes.subarray(0, filled);
}

/** What a file is opened for. */
const FLAGS = {
  read: constants.O_RDONLY,
  append: constants.O_WRONLY | constants.O_APPEND,
  change: constants.O_RDWR,
} as const;

/** How often a file is opened that is replaced meanwhile: the server itself replaces some. */
const MAX_TRIES = 3;

/** Something is in a file's place that neither a launcher nor a server has put there. */
export class ForgedFileError extends JobError {
  /** @param found What it is, such as "a symbolic link". */
  constructor(readonly found: string) {
    super(
      "precondition",
      `Cannot use a file of the job: something else is in the place of its file (${found}); the server's ` +
        "operator may look",
    );
  }
}

/** A regular file, open. */
export class RegularFile implements AsyncDisposable {
  readonly #file: promises.FileHandle;

  /** @param file Open, and certainly a regular file. */
  constructor(file: promises.FileHandle) {
    this.#file = file;
  }

  /** A path by which a program that the server runs opens this very file. */
  get path(): string {
    return `/proc/${Deno.pid}/fd/${this.#file.fd}`;
  }

  /** What the file system says of it now. */
  async status(): Promise<Stats> {
    return await this.#file.stat();
  }

  /** The size now, in bytes. */
  async size(): Promise<number> {
    return (await this.status()).size;
  }

  /**
   * Reads once, up to the length of the buffer.
   *
   * @returns How many bytes were read; 0 at the end of the file.
   */
  async read(buffer: Uint8Array, offset: number): Promise<number> {
    return (await this.#file.read(buffer, 0, buffer.length, offset)).bytesRead;
  }

  /** Reads so many bytes; fewer only where the file ends before them. */
  readFully(offset: number, length: number): Promise<Uint8Array> {
    return readFully(this, offset, length);
  }

  /** Writes at the end; the file was opened for that. */
  async append(bytes: Uint8Array): Promise<void> {
    for (let written = 0; written < bytes.length;) {
      written += (await this.#file.write(bytes, written)).bytesWritten;
    }
  }

  /** Cuts it off after so many bytes. */
  async truncate(bytes: number): Promise<void> {
    await this.#file.truncate(bytes);
  }

  /** Settles when what was written is on the disk (fdatasync(2)). */
  async sync(): Promise<void> {
    await this.#file.datasync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}

/**
 * Opens a file.
 *
 * @throws {ForgedFileError} When something else is in its place.
 * @throws {Deno.errors.NotFound} When there is none.
 */
export async function openRegular(
  path: string,
  purpose: keyof typeof FLAGS = "read",
): Promise<RegularFile> {
  for (let tries = 1;; tries++) {
    const named = await statRegular(path);
    const file = await openWith(path, FLAGS[purpose] | SAFELY);
    try {
      const opened = await file.stat();
      if (opened.isFile() && opened.ino === named.ino && opened.dev === named.dev) {
        return new RegularFile(file);
      }
    } catch (error) {
      await file.close();
      throw error;
    }
    await file.close();
    if (tries === MAX_TRIES) throw new ForgedFileError("a file that was just replaced");
  }
}

/**
 * What the file system says of a file.
 *
 * @throws {ForgedFileError} When something else is in its place.
 * @throws {Deno.errors.NotFound} When there is none.
 */
export async function statRegular(path: string): Promise<Deno.FileInfo> {
  return requireRegular(await Deno.lstat(path));
}

/** The same at once, for what the kernel knows without asking another host. */
export function statRegularSync(path: string): Deno.FileInfo {
  return requireRegular(Deno.lstatSync(path));
}

function requireRegular(named: Deno.FileInfo): Deno.FileInfo {
  if (named.isSymlink) throw new ForgedFileError("a symbolic link");
  if (!named.isFile) throw new ForgedFileError("no regular file");
  return named;
}

/**
 * Adds to the end of a file, which is made if there is none.
 *
 * @throws {ForgedFileError} When something else is in its place.
 */
export async function appendRegular(path: string, bytes: Uint8Array, mode: number): Promise<void> {
  await using file = await openRegular(path, "append").catch(async (error: unknown) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const created = constants.O_CREAT | constants.O_EXCL;
    return new RegularFile(await openWith(path, FLAGS.append | SAFELY | created, mode));
  });
  await file.append(bytes);
}

/**
 * Reads a whole file of text.
 *
 * @throws {ForgedFileError} When something else is in its place, or it is larger than so many bytes.
 * @throws {Deno.errors.NotFound} When there is none.
 */
export async function readRegularText(path: string, maxBytes: number): Promise<string> {
  await using file = await openRegular(path);
  const size = await file.size();
  if (size > maxBytes) throw tooLarge(maxBytes);
  return new TextDecoder().decode(await file.readFully(0, size));
}

/**
 * Demands of an open file that it has one name: then it was not reached by another one.
 *
 * @throws {ForgedFileError} When it has more.
 * @throws {Deno.errors.NotFound} When it has none any more: what is in its place now is to be looked at.
 */
export function requireOneName({ nlink }: Pick<Stats, "nlink">): void {
  if (nlink === 0) throw new Deno.errors.NotFound("It was removed while it was opened.");
  if (nlink !== 1) throw new ForgedFileError("a file with another name");
}

/** Said of a file that is larger than it can be. */
export function tooLarge(maxBytes: number): ForgedFileError {
  return new ForgedFileError(`a file of more than ${maxBytes} bytes`);
}

/**
 * Gives a file another content, at once: nobody ever reads half of it. No link can be there that leads the writing
 * elsewhere: it is made under a name that nobody knows beforehand.
 */
export async function replaceFile(
  path: string,
  content: string | Uint8Array,
  { mode }: { readonly mode: number },
): Promise<void> {
  const next = `${path}.${crypto.randomUUID()}`;
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  try {
    await Deno.writeFile(next, bytes, { createNew: true, mode });
    // Whatever the server's umask is.
    await Deno.chmod(next, mode);
    await Deno.rename(next, path);
  } catch (error) {
    await Deno.remove(next).catch(() => {});
    throw error;
  }
}

async function openWith(path: string, flags: number, mode?: number): Promise<promises.FileHandle> {
  try {
    return await promises.open(path, flags, mode);
  } catch (error) {
    const { code } = error as { readonly code?: string };
    // Links to what the kernel shows as files (/proc, /dev) are refused by the runtime.
    if (code === "ELOOP" || error instanceof Deno.errors.NotCapable) {
      throw new ForgedFileError("a symbolic link");
    }
    // Of a socket, or a pipe that nobody reads.
    if (code === "ENXIO") throw new ForgedFileError("no regular file");
    if (code === "ENOENT") throw new Deno.errors.NotFound(messageOf(error));
    throw error;
  }
}
