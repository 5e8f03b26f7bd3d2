import assert from "node:assert/strict";
import { PLAIN, readLine } from "../../client/ui/page/ansi.ts";
import { OutputWindow, textOf } from "../../client/ui/page/output_window.ts";
import { encodeFrame, FrameReader, MAX_PAYLOAD_BYTES } from "../../client/ui/output_frames.ts";
import { MAX_WAITING_BYTES, OutputQueue } from "../../client/ui/output_queue.ts";
import { ByteFinder } from "../../client/ui/find_text.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

/** A window that the text has come into, in pieces of so many bytes. */
function windowOf(text: string, { step = Infinity, maxLines = 100, maxBytes = 10_000 } = {}) {
  const window = new OutputWindow({ maxLines, maxBytes });
  const all = bytes(text);
  const length = Math.min(step, all.length);
  for (let at = 0; at < all.length; at += length) window.append(all.subarray(at, at + length), at);
  return window;
}

const texts = (window: OutputWindow) => window.lines.map(textOf);

Deno.test("OutputWindow: lines, whatever the pieces", () => {
  const text = "one\n\nzwei é 日本\r\n\x1b[31mred\nstill\x1b[0m plain\nopen";
  const whole = windowOf(text);
  assert.deepEqual(texts(whole), ["one", "", "zwei é 日本", "red", "still plain", "open"]);
  for (const step of [1, 2, 3, 7]) {
    const cut = windowOf(text, { step });
    assert.deepEqual(cut.lines, whole.lines, `pieces of ${step}`);
    assert.equal(cut.end, bytes(text).length);
  }
});

Deno.test("OutputWindow: forgets from its beginning, and says where it begins", () => {
  const window = windowOf("1\n2\n3\n4\n5\n", { maxLines: 2 });
  assert.deepEqual(texts(window), ["4", "5"]);
  assert.deepEqual([window.begin, window.end], [6, 10]);
  const few = windowOf("aaaa\nbbbb\ncccc\n", { maxBytes: 10 });
  assert.deepEqual(texts(few), ["bbbb", "cccc"]);
});

Deno.test("OutputWindow: a line without end becomes several, between characters", () => {
  const window = windowOf("é".repeat(10_000), { step: 999, maxBytes: 100_000 });
  assert.equal(window.lines.length, 3);
  assert.equal(texts(window).join(""), "é".repeat(10_000));
});

Deno.test("OutputWindow: notes stand between lines, and what is missing parts lines", () => {
  const window = windowOf("a\nhalf");
  window.note("5 bytes are missing here: rotated away, or refused by the server's disk");
  window.append(bytes("b\n"), 11);
  assert.deepEqual(texts(window), [
    "a",
    "half",
    "5 bytes are missing here: rotated away, or refused by the server's disk",
    "b",
  ]);
  assert.deepEqual(window.lines.map(({ kind }) => kind), ["output", "output", "note", "output"]);
  window.append(bytes("half"), 13);
  window.append(bytes("other"), 100);
  assert.deepEqual(texts(window).slice(-2), ["half", "other"]);
});

Deno.test("OutputWindow: earlier lines go before, and the last ones go", () => {
  const window = new OutputWindow({ maxLines: 3, maxBytes: 1000 });
  window.append(bytes("3\n4\n5"), 4);
  window.prepend(windowOf("1\n2\n"));
  assert.deepEqual(texts(window), ["1", "2", "3"]);
  assert.deepEqual([window.begin, window.end], [0, 6]);
  window.append(bytes("4\n"), 6);
  assert.deepEqual(texts(window), ["2", "3", "4"]);
});

const LINES: readonly (readonly [what: string, line: string, pieces: unknown])[] = [
  ["colours", "\x1b[1;31mred\x1b[0m", [{ text: "red", look: { bold: true, foreground: 1 } }]],
  ["256 colours", "\x1b[38;5;196mx", [{ text: "x", look: { foreground: "#ff0000" } }]],
  ["true colours", "\x1b[48;2;1;2;300mx", [{ text: "x", look: { background: "#0102ff" } }]],
  ["an invalid colour", "\x1b[38;2;a;b;cmx", [{ text: "\x1b".replace("\x1b", "") + "x" }]],
  ["no markup", "<img src=x onerror=alert(1)>", [{
    text: "<img src=x onerror=alert(1)>",
    look: PLAIN,
  }]],
  ["a title and a link are dropped", "\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b", [
    { text: "a", look: PLAIN },
    { text: "b", look: PLAIN },
  ]],
  ["cursor movements are dropped", "a\x1b[2J\x1b[1;1Hb\x1b(Bc", [
    { text: "a", look: PLAIN },
    { text: "b", look: PLAIN },
    { text: "c", look: PLAIN },
  ]],
  ["what would turn the order is shown", "a\u202eb\u2066c", [
    { text: "a<U+202E>b<U+2066>c", look: PLAIN },
  ]],
  ["control characters are shown", "a\x00\x08\x7f\tb", [{ text: "a␀␈␡\tb", look: PLAIN }]],
  ["a progress bar shows its last state", "10%\r20%\r100%", [{ text: "100%", look: PLAIN }]],
];
for (const [what, line, expected] of LINES) {
  Deno.test(`readLine: ${what}`, () => {
    const { pieces } = readLine(line, PLAIN);
    if (what === "an invalid colour") {
      assert(!pieces.map(({ text }) => text).join("").includes("\x1b"));
    } else assert.deepEqual(pieces, expected);
  });
}

Deno.test("FrameReader: all kinds, in pieces that are cut anywhere", () => {
  const frames = [
    { kind: "bytes", offset: 2 ** 40, bytes: new Uint8Array([0, 255, 10]) },
    {
      kind: "note",
      text: "5 bytes are missing here: rotated away, or refused by the server's disk",
    },
    { kind: "bytes", offset: 0, bytes: new Uint8Array() },
    { kind: "error", text: "é" },
    { kind: "end" },
  ] as const;
  const all = frames.flatMap((frame) => [...encodeFrame(frame)]);
  for (const step of [1, 3, 1000]) {
    const reader = new FrameReader();
    const read = [];
    for (let at = 0; at < all.length; at += step) {
      read.push(...reader.read(new Uint8Array(all.slice(at, at + step))));
    }
    assert.deepEqual(read, frames);
  }
});

Deno.test("FrameReader: bytes that are not frames are refused", () => {
  assert.throws(() => new FrameReader().read(new Uint8Array([9, 0, 0, 0, 0])), /unknown kind/);
  const head = new Uint8Array(5);
  new DataView(head.buffer).setUint32(1, MAX_PAYLOAD_BYTES + 1);
  assert.throws(() => new FrameReader().read(head), /too long/);
});

Deno.test("OutputQueue: holds little, keeps the newest, and says what it has left out", async () => {
  const queue = new OutputQueue();
  const piece = new Uint8Array(MAX_WAITING_BYTES / 4).fill(97);
  queue.write(bytes("the oldest"), 0);
  queue.note("a note stays");
  for (let at = 0; at < 6; at += 1) queue.write(piece, 10 + at * piece.length);
  queue.end();
  const frames = new FrameReader().read(await queue.take());
  const said = frames.flatMap((frame) => "text" in frame ? [frame.text] : []);
  assert.deepEqual(said, [
    `${10 + 2 * piece.length} bytes left out: they arrived faster than they can be shown`,
    "a note stays",
  ]);
  const kept = frames.filter(({ kind }) => kind === "bytes");
  assert.equal(kept.length, 4);
  assert.equal(frames.at(-1)?.kind, "end");
  assert(queue.isEmpty);
});

Deno.test("OutputQueue: of a piece that is too large the end is kept", async () => {
  const queue = new OutputQueue();
  queue.write(new Uint8Array(MAX_WAITING_BYTES + 7), 100);
  const [note, frame] = new FrameReader().read(await queue.take());
  assert.equal(note?.kind, "note");
  assert.equal(frame?.kind === "bytes" && frame.offset, 107);
});

Deno.test("ByteFinder: finds across pieces, and not across a gap", () => {
  const finder = new ByteFinder("needle");
  assert.equal(finder.look(bytes("hay nee"), 0), undefined);
  assert.equal(finder.look(bytes("dle hay"), 7), 4);
  const other = new ByteFinder("needle");
  assert.equal(other.look(bytes("nee"), 0), undefined);
  other.reset();
  assert.equal(other.look(bytes("dle needle"), 100), 104);
});
