import { strict as assert } from "node:assert";
import { join } from "node:path";
import { OutputLog } from "../../lib/logs.ts";
import { Gaps, parseGaps } from "../../lib/logs/gaps.ts";
import { RegularFile } from "../../lib/regular_file.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { ReadHook } from "../support/read_hook.ts";
import { inTime, until } from "../support/wait.ts";

const NEVER = new AbortController().signal;
const CHUNK_DEADLINE_MS = 2000;

/** Runs a test with a folder of its own. */
function test(name: string, body: (folder: string) => Promise<void>): void {
  Deno.test(name, async () => {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-gaps-" });
    try {
      await body(folder);
    } finally {
      // A log looks at its file for the last time a moment after its end.
      await new Promise((resolve) => setTimeout(resolve, 20));
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** A part of an output as a reader is told it: text, or how many bytes are missing. */
type Part = string | number;

async function partsOf(log: OutputLog, follow = false): Promise<Part[]> {
  const parts: Part[] = [];
  const chunks = log.read({ follow }, NEVER);
  let end = 0;
  for (;;) {
    const { done, value } = await inTime("the next chunk", chunks.next(), CHUNK_DEADLINE_MS);
    if (done === true) return parts;
    const { offset, bytes, gapBytes } = value;
    assert.equal(offset, end + gapBytes, "a chunk does not follow the one before");
    end = offset + bytes.length;
    if (gapBytes > 0) parts.push(gapBytes);
    if (bytes.length > 0) parts.push(new TextDecoder().decode(bytes));
  }
}

interface Files {
  output: string;
  gaps?: string;
}

/** An output with its gaps. */
async function logOf(
  folder: string,
  files: Files,
  options: { finished?: boolean; firstOffset?: number; totalBytes?: number } = {},
): Promise<OutputLog> {
  await Deno.writeTextFile(join(folder, "output"), files.output);
  if (files.gaps !== undefined) await Deno.writeTextFile(join(folder, "gaps"), files.gaps);
  return new OutputLog(join(folder, "output"), {
    firstOffset: 0,
    finished: true,
    gapsPath: join(folder, "gaps"),
    timesPath: join(folder, "times"),
    ...options,
  });
}

Deno.test("parseGaps: whole lines of two numbers, in order", () => {
  assert.deepEqual(parseGaps("20 5\n3 4\n"), [{ begin: 3, end: 7 }, { begin: 20, end: 25 }]);
  for (const text of ["", "3 4", "3\n", "3 x\n", "-3 4\n", "3 4 5\n", " 3 4\n"]) {
    assert.deepEqual(parseGaps(text), [], JSON.stringify(text));
  }
  assert.deepEqual(parseGaps("99999999999999999999 1\n7 1\n"), [{ begin: 7, end: 8 }]);
});

test("Gaps.skip: over gaps that touch or overlap, and not from between them", async (folder) => {
  const gaps = new Gaps(join(folder, "gaps"));
  await Deno.writeTextFile(join(folder, "gaps"), "10 5\n15 5\n18 12\n40 1\n");
  assert.equal(gaps.skip(10), 10, "nothing is known before it is read");
  assert.equal(await gaps.refresh(), true);
  assert.equal(await gaps.refresh(), false, "it has not changed");
  assert.deepEqual([9, 10, 14, 17, 29, 30, 40, 41].map((at) => gaps.skip(at)), [
    9,
    30,
    30,
    30,
    30,
    30,
    41,
    41,
  ]);
  assert.deepEqual([0, 10, 30, 40].map((at) => gaps.nextAfter(at)), [10, 15, 40, Infinity]);
});

test("Gaps.refresh: no file is no gap; one that cannot be read is an error", async (folder) => {
  assert.equal(await new Gaps(join(folder, "gaps")).refresh(), false);
  await assert.rejects(new Gaps(folder).refresh(), "it is a folder");
});

test("Gaps.add: is known at once, and to the next server", async (folder) => {
  const gaps = new Gaps(join(folder, "gaps"));
  await gaps.add({ begin: 5, end: 9 });
  assert.equal(gaps.skip(5), 9);
  assert.equal(await gaps.refresh(), false);
  const next = new Gaps(join(folder, "gaps"));
  assert.equal(await next.refresh(), true);
  assert.equal(next.skip(6), 9);
});

test("Gaps.add: on a disk that refuses, this server knows, and says so", async (folder) => {
  using log = new CapturedLog();
  const gaps = new Gaps(join(folder, "missing", "gaps"));
  await gaps.add({ begin: 5, end: 9 });
  assert.equal(gaps.skip(5), 9);
  assert.deepEqual(log.messages("error"), ["cannot record a gap in a job's output"]);
});

test("OutputLog.read: a gap is told with its length in the place of zeros", async (folder) => {
  const log = await logOf(folder, { output: "begin\0\0\0\0end", gaps: "5 4\n" });
  assert.deepEqual(await partsOf(log), ["begin", 4, "end"]);
  assert.deepEqual(await partsOf(log), ["begin", 4, "end"], "known from the first reader");
});

test("OutputLog.read: zeros that the job wrote are its output", async (folder) => {
  assert.deepEqual(await partsOf(await logOf(folder, { output: "a\0\0b" })), ["a\0\0b"]);
  const log = await logOf(folder, { output: "a\0\0b\0c", gaps: "4 1\n" });
  assert.deepEqual(await partsOf(log), ["a\0\0b", 1, "c"]);
});

test("OutputLog.read: gaps at both ends, and behind what was rotated away", async (folder) => {
  const files = { output: "\0\0middle\0\0", gaps: "0 2\n8 2\n" };
  assert.deepEqual(await partsOf(await logOf(folder, files)), [2, "middle", 2]);
  const log = await logOf(folder, files, { firstOffset: 1 });
  assert.deepEqual(await partsOf(log), [2, "middle", 2]);
});

test("OutputLog.read: what is missing at the very end is told", async (folder) => {
  const log = await logOf(folder, { output: "begin" }, { totalBytes: 12 });
  assert.deepEqual(await partsOf(log), ["begin", 7]);
  assert.deepEqual(await partsOf(log, true), ["begin", 7]);
  assert.equal(log.size().bytes, 12);
  assert.deepEqual(await partsOf(await logOf(folder, { output: "" }, { totalBytes: 3 })), [3]);
  assert.deepEqual(await partsOf(await logOf(folder, { output: "all" }, { totalBytes: 3 })), [
    "all",
  ]);
});

test("OutputLog.finish: a reader that waits is told what is missing at the end", async (folder) => {
  const log = await logOf(folder, { output: "begin" }, { finished: false });
  const reading = partsOf(log, true);
  log.finish(9);
  assert.deepEqual(await reading, ["begin", 4]);
});

test("OutputLog: a file that shrank while its job runs is a gap, once", async (folder) => {
  using captured = new CapturedLog();
  const log = await logOf(folder, { output: "begin and more\n" }, { finished: false });
  assert.equal(log.size().bytes, 15);
  await Deno.truncate(join(folder, "output"), 5);
  assert.equal(log.size().bytes, 15, "the stream's end is where it was");
  assert.equal(log.size().bytes, 15);
  assert.deepEqual(captured.messages("warn"), ["a job's output was cut off by somebody"]);
  assert.deepEqual(await partsOf(log), ["begin", 10]);
  // The launcher goes on where it was.
  using file = await Deno.open(join(folder, "output"), { write: true });
  await file.seek(15, Deno.SeekMode.Start);
  await file.write(new TextEncoder().encode("after\n"));
  assert.deepEqual(await partsOf(log), ["begin", 10, "after\n"]);
});

test("OutputLog.read: a follower is told of a cut behind what it has read, also of a silent job", async (folder) => {
  using _log = new CapturedLog();
  const file = join(folder, "output");
  const log = await logOf(folder, { output: "begin\n" }, { finished: false });
  let isCut = false;
  using _hook = new ReadHook({
    before: () => {
      if (isCut) return;
      isCut = true;
      Deno.writeTextFileSync(file, "more\n", { append: true });
      assert.equal(log.size().bytes, 11);
      Deno.truncateSync(file, 6);
    },
  });
  const chunks = log.read({ follow: true }, NEVER);
  const next = async () => (await inTime("the next chunk", chunks.next(), CHUNK_DEADLINE_MS)).value;
  assert.equal((await next())?.bytes.length, 6);
  const gap = await next();
  assert.deepEqual([gap?.offset, gap?.gapBytes], [11, 5]);
  log.finish(11);
  assert.equal((await chunks.next()).done, true);
});

test("OutputLog.read: a follower that has read what is cut off then is not told of it", async (folder) => {
  using _log = new CapturedLog();
  const log = await logOf(folder, { output: "begin\n" }, { finished: false });
  const chunks = log.read({ follow: true }, NEVER);
  assert.equal((await chunks.next()).value?.bytes.length, 6);
  await Deno.truncate(join(folder, "output"), 0);
  const next = chunks.next();
  using file = await Deno.open(join(folder, "output"), { write: true });
  await file.seek(6, Deno.SeekMode.Start);
  await file.write(new TextEncoder().encode("after\n"));
  log.finish(12);
  const { value } = await inTime("the next chunk", next, CHUNK_DEADLINE_MS);
  assert.deepEqual([value?.offset, value?.gapBytes], [6, 0]);
  assert.equal((await chunks.next()).done, true);
});

test("OutputLog.read: a size that was looked up before a later one is no cut", async (folder) => {
  using captured = new CapturedLog();
  const log = await logOf(folder, { output: "begin\n" }, { finished: false });
  const { status } = RegularFile.prototype;
  let text = "begin\n";
  RegularFile.prototype.status = async function () {
    const early = await status.call(this);
    await Deno.writeTextFile(join(folder, "output"), "more\n", { append: true });
    text += "more\n";
    assert.equal(log.size().bytes, text.length);
    return early;
  };
  const parts = await partsOf(log).finally(() => RegularFile.prototype.status = status);
  assert.deepEqual(parts, [text]);
  assert.notEqual(text, "begin\n");
  assert.deepEqual(captured.entries, []);
});

test("Gaps: of a file that a job's user fills, a bounded part is read, once", async (folder) => {
  const path = join(folder, "gaps");
  const lines = Array.from({ length: 100_000 }, (_, index) => `${2 * index} 1\n`).join("");
  await Deno.writeTextFile(path, lines);
  const gaps = new Gaps(path);
  assert.equal(await gaps.refresh(), true);
  assert.equal(gaps.skip(0), 1);
  assert.equal(gaps.nextAfter(150_000), Infinity);
  await Deno.writeTextFile(path, "200000 1\n", { append: true });
  assert.equal(await gaps.refresh(), false);
});

test("OutputLog: an output that is cut again and again makes a bounded number of gaps, and lines of the log", async (folder) => {
  using log = new CapturedLog();
  const output = await logOf(folder, { output: "" }, { finished: false });
  const path = join(folder, "output");
  for (let time = 1; time <= 1100; time++) {
    Deno.truncateSync(path, 2 * time);
    output.size();
    Deno.truncateSync(path, 2 * time - 1);
    output.size();
  }
  assert.equal(log.messages("warn").length, 1000);
  await until("the gaps to be written", async () => {
    const text = await Deno.readTextFile(join(folder, "gaps")).catch(() => "");
    return parseGaps(text).length === 1000;
  });
});
