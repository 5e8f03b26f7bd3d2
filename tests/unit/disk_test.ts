import { strict as assert } from "node:assert";
import { join } from "node:path";
import { requireDisk } from "../../lib/server/disk.ts";
import { Reserve } from "../../lib/store/reserve.ts";

Deno.test("requireDisk: a folder that takes writes, and one that is not there yet, are fine and left as they are", async () => {
  const folder = await Deno.makeTempDir();
  try {
    await requireDisk(folder);
    await requireDisk(join(folder, "missing"));
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  } finally {
    await Deno.remove(folder);
  }
});

Deno.test("requireDisk: why a disk refuses is told, and a full one is no error", async () => {
  const printing = (text: string) => ({ script: `echo '${text}'` });
  await assert.rejects(
    requireDisk("/x", printing("Read-only file system")),
    /the disk of the log directory \/x refuses to be written: Read-only file system; look at/,
  );
  await requireDisk("/x", printing("No space left on device"));
  await requireDisk("/x", printing("Disk quota exceeded"));
});

Deno.test("Reserve: takes its room once, gives it back, and takes it again", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "reserve");
    const reserve = new Reserve(path);
    const size = () => Deno.statSync(path).size;
    assert.equal(size(), 128 * 1024);
    const { mtime } = await Deno.stat(path);
    new Reserve(path);
    assert.deepEqual((await Deno.stat(path)).mtime, mtime, "written again");
    reserve.release();
    reserve.release();
    assert.throws(size, Deno.errors.NotFound);
    reserve.take();
    assert.equal(size(), 128 * 1024);
    new Reserve(join(folder, "missing", "reserve"));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test({
  name: "requireDisk: a disk that does not answer is told when its time is over",
  // The last one: the script that stands still ends after the test, which would be the next one's leak.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    const pipe = `${await Deno.makeTempDir()}/pipe`;
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    // The script stands still until the pipe has a writer, as it does on a frozen disk.
    const checking = requireDisk("/x", { timeoutMs: 20, script: `read -r line <'${pipe}'` });
    await assert.rejects(checking, /the disk of the log directory \/x does not answer/);
    await Deno.writeTextFile(pipe, "\n");
    await Deno.remove(join(pipe, ".."), { recursive: true });
  },
});
