/** Tells whether a file has changed since it was read. */

/**
 * The runtime tells the time of the last change in seconds: a file that has changed less than this ago may
 * change again without looking otherwise.
 */
const SAME_TIME_MS = 1_050;

let looks = 0;

/**
 * Tells versions of a file apart, whether it is written in place or replaced by a rename. Tools such
 * as `cp -p` set the time of the last write, but none can set that of the last change.
 *
 * @returns A text that is another one for another version. To be asked for before the file is read; one
 * that has changed just now is another version at each look.
 * @throws As `Deno.stat` does.
 */
export async function versionOf(path: string): Promise<string> {
  const { mtime, ctime, size, ino } = await Deno.stat(path);
  const version = [mtime?.getTime(), ctime?.getTime(), size, ino].join(" ");
  const changedMs = Math.max(mtime?.getTime() ?? 0, ctime?.getTime() ?? 0);
  return Math.abs(Date.now() - changedMs) < SAME_TIME_MS ? `${version}, look ${++looks}` : version;
}
