/** Output of several jobs among each other: whole lines, each with its job in front. */
import { strict as assert } from "node:assert";
import { MAX_LINE_BYTES, PrefixedSink } from "../../client/screen/prefixed_sink.ts";

/** Sinks of two jobs over one output. */
function place() {
  const written: string[] = [];
  const notes: string[] = [];
  const out = {
    write: (bytes: Uint8Array) => void written.push(new TextDecoder().decode(bytes)),
    note: (text: string) => void notes.push(text),
  };
  const sink = (name: string) => new PrefixedSink(out, { name, prefix: `${name} | ` });
  return { written, notes, web: sink("web"), api: sink("api") };
}

const bytes = (text: string) => new TextEncoder().encode(text);

Deno.test("PrefixedSink: lines are written when they are whole, however they come", () => {
  const { written, web, api } = place();
  web.write(bytes("one\ntw"));
  api.write(bytes("a\n\nb"));
  web.write(bytes("o\n"));
  api.write(bytes("c\n"));
  assert.deepEqual(written, ["web | one\n", "api | a\napi | \n", "web | two\n", "api | bc\n"]);
});

Deno.test("PrefixedSink: what is held does not change with the buffer that it came in", () => {
  const { written, web } = place();
  const buffer = bytes("begin");
  web.write(buffer);
  buffer.fill(120);
  web.write(bytes(" end\n"));
  assert.deepEqual(written, ["web | begin end\n"]);
});

Deno.test("PrefixedSink: a line that is begun is ended where the output ends, and only there", () => {
  const { written, notes, web } = place();
  web.write(bytes("$ "));
  assert.deepEqual(written, []);
  web.endLine();
  web.endLine();
  web.note("5 bytes are missing here");
  assert.deepEqual(written, ["web | $ \n"]);
  assert.deepEqual(notes, ["web: 5 bytes are missing here"]);
});

Deno.test("PrefixedSink: a line without an end is written in pieces, and holds no more memory", () => {
  const { written, web } = place();
  const length = 2 * MAX_LINE_BYTES + 5;
  for (let left = length; left > 0; left -= 1000) {
    web.write(bytes("x".repeat(Math.min(left, 1000))));
  }
  assert.deepEqual(written.map((line) => line.length), Array(2).fill(MAX_LINE_BYTES + 7));
  web.write(bytes("\n"));
  assert.equal(written.join("").replaceAll("web | ", "").replaceAll("\n", "").length, length);
  assert.equal(written.at(-1), "web | xxxxx\n");
  // One that ends where a piece does is not followed by an empty one.
  written.length = 0;
  web.write(bytes(`${"y".repeat(MAX_LINE_BYTES)}\nz\n`));
  web.write(bytes("y".repeat(MAX_LINE_BYTES)));
  web.write(bytes("\nz\n"));
  const lengths = written.join("").split("\n").map((line) => line.length);
  assert.deepEqual(lengths, [MAX_LINE_BYTES + 6, 7, MAX_LINE_BYTES + 6, 7, 0]);
});
