/** Existing files are found before a key is made, which takes seconds, and are not replaced by accident. */
import { CertsError } from "./errors.ts";
import { existingOf } from "./files.ts";

/**
 * Looks for files that are about to be written.
 *
 * @param paths the files
 * @param options `force`: they may be replaced
 * @returns whether any of them is there
 * @throws {CertsError} names those that are there, unless they may be replaced
 */
export async function refuseExisting(
  paths: readonly string[],
  options: { force: boolean },
): Promise<boolean> {
  const existing = await existingOf(paths);
  if (existing.length > 0 && !options.force) {
    throw new CertsError(
      "failure",
      `cannot write ${existing.join(" and ")}: already there; use --force to replace ` +
        `${existing.length === 1 ? "it" : "them"}`,
    );
  }
  return existing.length > 0;
}
