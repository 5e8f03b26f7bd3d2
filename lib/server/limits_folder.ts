/** The folder of the limit files, which must exist when the server starts. */

/** @throws {Error} One line that says what to do. */
export async function requireLimitsFolder(folder: string): Promise<void> {
  const info = await Deno.stat(folder).catch(() => undefined);
  if (info?.isDirectory === true) return;
  const problem = info === undefined ? "does not exist" : "is not a folder";
  throw new Error(
    `the limits folder ${folder} ${problem}; say where it is with --limits-dir, or make it with ` +
      `the files cpu_limit.txt, memory_limit.txt and disk_io_limit.txt ("max" in each: no limit)`,
  );
}
