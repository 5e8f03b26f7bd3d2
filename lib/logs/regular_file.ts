/** Opens an output as the regular file that it was made as. */
import { JobError } from "../errors.ts";

/**
 * Opens a file for reading. On a cluster where jobs run as the server's own user, a job can put a link to a file of
 * the server's host in the place of its output (its key, say), or a pipe that nobody writes to.
 *
 * @throws {JobError} "precondition" when something else is in the file's place.
 * @throws {Deno.errors.NotFound} When the file is gone.
 */
export async function openRegular(path: string): Promise<Deno.FsFile> {
  const named = await Deno.lstat(path);
  if (!named.isFile) throw replaced();
  const file = await Deno.open(path);
  try {
    const { ino, dev } = await file.stat();
    // A link may have been put there meanwhile.
    if (ino !== named.ino || dev !== named.dev) throw replaced();
    return file;
  } catch (error) {
    file.close();
    throw error;
  }
}

function replaced(): JobError {
  return new JobError(
    "precondition",
    "Cannot read the job's output: something else is in the place of its file; the server's operator may look",
  );
}
