/** The folder of a job's input as a launcher leaves it, without a feeder. */
import { join } from "node:path";
import { InputFolder } from "../../lib/input/folder.ts";

/** @returns The folder, and what a feeder does to it. */
export async function makeInputFolder(jobFolder: string) {
  const folder = new InputFolder(jobFolder);
  await folder.make();
  const path = (name: string) => join(jobFolder, "stdin", name);
  await Deno.writeTextFile(path("bell"), "");
  return {
    folder,
    /** Empties a segment, as the feeder does when the next one is there. */
    feed: (begin: number) => Deno.truncate(path(String(begin))),
    /** The job has closed its standard input. */
    leave: () => Deno.writeTextFile(path("unread"), ""),
    read: (begin: number) => Deno.readTextFile(path(String(begin))),
    names: () => [...Deno.readDirSync(join(jobFolder, "stdin"))].map(({ name }) => name).sort(),
    /** Whether the feeder was told that something is new, since the last call. */
    wasRung: async () => {
      const { size } = await Deno.stat(path("bell"));
      await Deno.truncate(path("bell"));
      return size > 0;
    },
  };
}
