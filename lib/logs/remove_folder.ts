/** Removes a folder that others may have filled. */
import { runScript } from "../shim/shell.ts";

/** It goes down with a bounded number of open folders, and follows no link. */
const REMOVE = 'exec rm -rf -- "$1"';

/**
 * Removes a folder with all that is in it; one that is gone already is no error. The runtime's own removal opens
 * each folder within the one above: one in which a job has nested some ten thousand takes all descriptors of the
 * server, or its stack, which ends it.
 *
 * @throws When something in it cannot be removed, or it takes too long: it goes on then.
 */
export async function removeFolder(folder: string): Promise<void> {
  await runScript(REMOVE, [folder]);
}
