/** The names in a folder that may be a very large one. */
import { PROGRAM_PATH, shell } from "../shim/shell.ts";

/** In the order of bytes, as the records are: so that those are looked up one beside the other. */
const LIST = 'LC_ALL=C exec ls -A -- "$1"';

/**
 * The names of all that is in a folder, some hundreds at a time, in the order of their bytes. The runtime's
 * own listing would take more than a kilobyte of memory for each, and never give it back.
 *
 * @throws When the folder cannot be read, or the host has no process left.
 */
export async function* folderNames(folder: string): AsyncGenerator<string[]> {
  await using list = shell(LIST, [folder], { PATH: PROGRAM_PATH }).spawn();
  let rest = "";
  for await (const text of list.stdout.pipeThrough(new TextDecoderStream())) {
    const names = `${rest}${text}`.split("\n");
    rest = names.pop() ?? "";
    yield names;
  }
  const { code } = await list.status;
  if (code !== 0) throw new Error(`cannot list the folder ${folder}: ls(1) ended with ${code}`);
}
