import { strict as assert } from "node:assert";
import { join } from "node:path";
import { cutOffset, freeHeads, requireHolePunching } from "../../lib/logs/rotation.ts";

Deno.test("cutOffset: nothing is cut until an eighth of the bound is too much", () => {
  assert.equal(cutOffset(0, 0, 65_536), undefined);
  assert.equal(cutOffset(65_536, 0, 65_536), undefined);
  assert.equal(cutOffset(65_536 + 8192, 0, 65_536), undefined);
  assert.equal(cutOffset(1_000_000, 1_000_000 - 65_536, 65_536), undefined);
  assert.equal(cutOffset(1e15, 0, Infinity), undefined);
  assert.equal(cutOffset(65_536 + 8193, 0, 65_536), 8192);
  assert.equal(cutOffset(100_000 + 65_536 + 8193, 100_000, 65_536), 106_496);
});

Deno.test("cutOffset: whole blocks go, and never less than the bound stays", () => {
  for (const size of [65_536 + 8193, 100_000, 1_234_567, 10 ** 12 + 1]) {
    const offset = cutOffset(size, 0, 65_536);
    assert(offset !== undefined);
    assert.equal(offset % 4096, 0);
    assert(size - offset >= 65_536 && size - offset < 65_536 + 4096, `${size} ${offset}`);
  }
});

async function withFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-rotation-" });
  try {
    await body(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("freeHeads: the start reads as zeros and takes no disk space, the rest and the size stay", async () => {
  await withFolder(async (folder) => {
    const files = [join(folder, "a b"), join(folder, "-c")];
    for (const file of files) await Deno.writeFile(file, new Uint8Array(64 * 1024).fill(7));
    await freeHeads(files.map((file, index) => ({ file, length: (index + 1) * 16 * 1024 })));
    for (const [index, file] of files.entries()) {
      const bytes = await Deno.readFile(file);
      assert.equal(bytes.length, 64 * 1024);
      assert.equal(bytes.findIndex((byte) => byte !== 0), (index + 1) * 16 * 1024);
      assert.equal(bytes.lastIndexOf(0), (index + 1) * 16 * 1024 - 1);
      const { blocks } = await Deno.stat(file);
      assert(blocks !== null && blocks * 512 <= 64 * 1024 - (index + 1) * 16 * 1024, `${blocks}`);
    }
  });
});

Deno.test("freeHeads: a file that cannot be cut keeps no other from it", async () => {
  await withFolder(async (folder) => {
    const file = join(folder, "output");
    await Deno.writeFile(file, new Uint8Array(8192).fill(7));
    await freeHeads([{ file: join(folder, "absent"), length: 4096 }, { file, length: 4096 }]);
    assert.equal((await Deno.readFile(file)).findIndex((byte) => byte !== 0), 4096);
    await freeHeads([]);
  });
});

Deno.test("requireHolePunching: leaves nothing behind; a folder that is not there is an error", async () => {
  await withFolder(async (folder) => {
    await requireHolePunching(folder);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    await assert.rejects(requireHolePunching(join(folder, "absent")), Deno.errors.NotFound);
  });
});
