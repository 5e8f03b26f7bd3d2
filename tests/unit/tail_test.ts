/** Where the last lines of an output begin. */
import { strict as assert } from "node:assert";
import { offsetOfLastLines } from "../../lib/logs/tail.ts";
import { openRegular, type RegularFile } from "../../lib/regular_file.ts";

/** Opens a file with this text for the time of a test. */
async function withFile(text: string, body: (file: RegularFile) => Promise<void>): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "job-worker-tail-" });
  try {
    await Deno.writeTextFile(path, text);
    await using file = await openRegular(path);
    await body(file);
  } finally {
    await Deno.remove(path);
  }
}

Deno.test("offsetOfLastLines: looks at nothing before the beginning, and nothing behind the end", async () => {
  await withFile("a\nbb\nccc\ndddd\n", async (file) => {
    const cases: [count: number, begin: number, end: number, expected: number][] = [
      [1, 0, 14, 9],
      [2, 0, 14, 5],
      [9, 0, 14, 0],
      [9, 5, 14, 5],
      [9, 6, 14, 6],
      [1, 6, 14, 9],
      [1, 0, 9, 5],
      [1, 0, 8, 5],
      [2, 3, 9, 3],
      [1, 14, 14, 14],
      [0, 0, 9, 9],
    ];
    for (const [count, begin, end, expected] of cases) {
      const offset = await offsetOfLastLines(file, count, { begin, end });
      assert.equal(offset, expected, `${count} lines of ${begin} to ${end}`);
    }
  });
});

Deno.test("offsetOfLastLines: searches no more than its bound, and begins with a whole line there", async () => {
  const text = "first\nsecond\nthird\n";
  const range = { begin: 0, end: text.length };
  await withFile(text, async (file) => {
    const offsets = [];
    for (const maxBytes of [text.length, text.length - 1, 10, 6, 5]) {
      offsets.push(await offsetOfLastLines(file, 9, range, { maxBytes }));
    }
    // All of it; behind `first`; behind `second`, twice; inside of `third`, since no line begins there.
    assert.deepEqual(offsets, [0, 6, 13, 13, 14]);
    assert.equal(await offsetOfLastLines(file, 2, range, { maxBytes: 15 }), 6);
  });
});

Deno.test("offsetOfLastLines: a search whose caller has gone reads no further", async () => {
  const caller = new AbortController();
  let reads = 0;
  const file = {
    readFully(_offset: number, length: number) {
      if (++reads === 2) caller.abort();
      return Promise.resolve(new Uint8Array(length));
    },
  };
  await offsetOfLastLines(file, 1, { begin: 0, end: 1e8 }, { signal: caller.signal });
  assert.equal(reads, 2);
});
