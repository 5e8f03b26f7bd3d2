import { strict as assert } from "node:assert";
import { PositionedFile } from "../../lib/logs/positioned_file.ts";
import { offsetOfLastLines } from "../../lib/logs/tail.ts";

/** Opens a file with this text for the time of a test. */
async function withFile(
  text: string,
  body: (file: PositionedFile, seeks: () => number) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ prefix: "job-worker-positioned-" });
  try {
    await Deno.writeTextFile(path, text);
    using opened = await Deno.open(path);
    let seeks = 0;
    const seek = opened.seek.bind(opened);
    opened.seek = (...args) => {
      seeks++;
      return seek(...args);
    };
    await body(new PositionedFile(opened), () => seeks);
  } finally {
    await Deno.remove(path);
  }
}

async function read(file: PositionedFile, offset: number, length: number): Promise<string> {
  const buffer = new Uint8Array(length);
  return new TextDecoder().decode(buffer.subarray(0, await file.read(buffer, offset)));
}

Deno.test("PositionedFile: reads from any offset, and seeks only where it must", async () => {
  await withFile("0123456789", async (file, seeks) => {
    assert.equal(await file.size(), 10);
    assert.equal(await read(file, 0, 3), "012");
    assert.equal(await read(file, 3, 3), "345");
    assert.equal(seeks(), 0);
    assert.equal(await read(file, 1, 2), "12");
    assert.equal(await read(file, 3, 20), "3456789");
    assert.equal(await read(file, 10, 5), "");
    assert.equal(seeks(), 1);
    assert.equal(await read(file, 0, 2), "01");
    assert.equal(await read(file, 5, 2), "56");
    assert.equal(seeks(), 3);
    assert.equal(await read(file, 100, 5), "");
    assert.equal(await read(file, 9, 5), "9");
  });
});

Deno.test("PositionedFile.readFully: all that was asked for, or up to the end", async () => {
  const text = "x".repeat(3_000_000) + "end";
  await withFile(text, async (file) => {
    assert.equal((await file.readFully(0, text.length)).length, text.length);
    assert.equal(new TextDecoder().decode(await file.readFully(text.length - 3, 100)), "end");
    assert.equal((await file.readFully(text.length, 1)).length, 0);
    assert.equal((await file.readFully(5, 0)).length, 0);
  });
});

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
  } as unknown as PositionedFile;
  await offsetOfLastLines(file, 1, { begin: 0, end: 1e8 }, { signal: caller.signal });
  assert.equal(reads, 2);
});
