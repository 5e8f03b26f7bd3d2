/** Outputs in several files: where the beginning of one cannot be freed. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { OutputLog, type OutputOptions, type ReadRange } from "../../lib/logs.ts";
import { GrowthSignal } from "../../lib/logs/growth.ts";
import {
  findKeptSegments,
  freeSegments,
  segmentBytesFor,
  segmentsFolderOf,
  statSegments,
  statSegmentsSync,
  syncSegments,
} from "../../lib/logs/segments.ts";
import { ForgedFileError } from "../../lib/regular_file.ts";
import copyText from "../../lib/shim/copy.sh" with { type: "text" };
import { shell, stripComments } from "../../lib/shim/shell.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { run } from "../support/run.ts";
import { inTime, until } from "../support/wait.ts";

const NEVER = new AbortController().signal;

/** A folder with an output of three files, 0 to 4, 4 to 9, and from 9 on. */
class Output implements AsyncDisposable {
  readonly path: string;

  private constructor(readonly folder: string) {
    this.path = join(folder, "output");
  }

  static async make(): Promise<Output> {
    const output = new Output(await Deno.makeTempDir({ prefix: "job-worker-segments-" }));
    await Deno.mkdir(segmentsFolderOf(output.path));
    await Deno.writeTextFile(output.path, "abcd");
    await output.write(4, "efghi");
    await output.write(9, "jk");
    for (const other of ["04", "4x", "-7", "output"]) {
      await Deno.writeTextFile(join(segmentsFolderOf(output.path), other), "not output");
    }
    return output;
  }

  segment(begin: number): string {
    return join(segmentsFolderOf(this.path), String(begin));
  }

  async write(begin: number, text: string): Promise<void> {
    await Deno.writeTextFile(this.segment(begin), text, { append: true });
  }

  /** Where files begin, and `0` only where the first has anything. */
  async begins(): Promise<number[]> {
    const names = await Array.fromAsync(
      Deno.readDir(segmentsFolderOf(this.path)),
      ({ name }) => name,
    );
    const later = names.filter((name) => /^[1-9]\d*$/.test(name)).map(Number).sort((a, b) => a - b);
    return (await Deno.stat(this.path)).size > 0 ? [0, ...later] : later;
  }

  log(options: Partial<OutputOptions> = {}): OutputLog {
    return new OutputLog(this.path, {
      firstOffset: 0,
      finished: true,
      gapsPath: join(this.folder, "gaps"),
      timesPath: join(this.folder, "times"),
      news: "polling",
      visibleMs: 50,
      ...options,
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** What is read, with `[N]` where N bytes are missing. */
async function read(log: OutputLog, range: Partial<ReadRange> = {}): Promise<string> {
  let text = "";
  for await (const { bytes, gapBytes } of log.read({ follow: false, ...range }, NEVER)) {
    text += `${gapBytes > 0 ? `[${gapBytes}]` : ""}${Buffer.from(bytes)}`;
  }
  return text;
}

Deno.test("OutputLog: an output in several files reads as one, from every offset and from its end", async () => {
  await using output = await Output.make();
  const log = output.log();
  assert.equal(log.size().bytes, 11);
  assert.equal((await log.look()).bytes, 11);
  for (let offset = 0; offset <= 11; offset++) {
    assert.equal(await read(log, { offset }), "abcdefghijk".slice(offset), `from ${offset}`);
  }
  assert.equal(await read(log, { offset: 2, end: 6 }), "cdef");
  assert.equal(await read(log, { tailBytes: 5 }), "ghijk");
  assert.equal(await read(log, { tailLines: 1 }), "abcdefghijk");
  await log.sync();
});

Deno.test("OutputLog: a reader follows into files that come later, also behind a gap, and over a rotation", async () => {
  await using output = await Output.make();
  // What is on record as missing is not waited for.
  const log = output.log({ finished: false, visibleMs: Infinity });
  let text = "";
  const reading = (async () => {
    for await (
      const { bytes, gapBytes } of log.read({ follow: true, offset: 8 }, NEVER)
    ) text += `${gapBytes > 0 ? `[${gapBytes}]` : ""}${Buffer.from(bytes)}`;
  })();
  await until("the present end", () => text === "ijk");
  await output.write(9, "lm");
  await output.write(13, "no");
  await until("the next file", () => text === "ijklmno");
  log.firstOffset = 13;
  await freeSegments([{ file: output.path, length: 13 }]);
  await Deno.writeTextFile(join(output.folder, "gaps"), "15 5\n");
  await output.write(20, "p");
  await until("what is behind the gap", () => text === "ijklmno[5]p");
  log.finish(21);
  await inTime("the reader", reading);
  assert.equal(text, "ijklmno[5]p");
});

Deno.test("OutputLog: zeros of a file on a share are a gap where its record says so", async () => {
  await using output = await Output.make();
  await Deno.writeTextFile(output.path, "ab\0d");
  await Deno.writeTextFile(join(output.folder, "gaps"), "2 1\n");
  assert.equal(await read(output.log(), { end: 4 }), "ab[1]d");
});

Deno.test("OutputLog: what is no segment of the job's is told as missing, and never followed", async () => {
  const forgeries: Record<string, (path: string, elsewhere: string) => Promise<unknown>> = {
    "nothing": () => Promise.resolve(),
    "a link": (path, elsewhere) => Deno.symlink(elsewhere, path),
    "another name": (path, elsewhere) => Deno.link(elsewhere, path),
    "a pipe": (path) => run("mkfifo", [path]),
    "a folder": (path) => Deno.mkdir(path),
  };
  for (const [name, forge] of Object.entries(forgeries)) {
    await using output = await Output.make();
    const elsewhere = join(output.folder, "secret");
    await Deno.writeTextFile(elsewhere, "SECRET");
    await Deno.remove(output.segment(4));
    await forge(output.segment(4), elsewhere);
    assert.equal(await inTime(name, read(output.log())), "abcd[5]jk", name);
    if (name === "nothing") continue;
    await syncSegments(output.path);
    // At the end, too.
    await Deno.remove(output.segment(9));
    await forge(output.segment(9), elsewhere);
    const log = output.log({ totalBytes: 11 });
    assert.equal(log.size().bytes, 11);
    assert.equal(await inTime(name, read(log, { offset: 3 })), "d[5][2]", name);
    for (
      const stat of [await statSegments(output.path, { anew: true }), statSegmentsSync(output.path)]
    ) {
      assert.deepEqual([stat.size, stat.isForged], [9, true], name);
    }
    await freeSegments([{ file: output.path, length: 9 }]);
    assert.equal(await Deno.readTextFile(elsewhere), "SECRET");
  }
});

Deno.test("OutputLog: the folder of segments is neither followed nor read without bound", async () => {
  await using output = await Output.make();
  const elsewhere = join(output.folder, "elsewhere");
  await Deno.rename(segmentsFolderOf(output.path), elsewhere);
  await Deno.symlink(elsewhere, segmentsFolderOf(output.path));
  await assert.rejects(read(output.log()), ForgedFileError);
  await assert.rejects(statSegments(output.path), ForgedFileError);
  using _log = new CapturedLog();
  await freeSegments([{ file: output.path, length: 9 }]);
  assert.equal(await Deno.readTextFile(join(elsewhere, "4")), "efghi");
});

Deno.test("OutputLog: a segment that shrank is missing from there on, and one that is seen late is waited for", async () => {
  await using output = await Output.make();
  await Deno.truncate(output.segment(4), 2);
  assert.equal(await read(output.log()), "abcdef[3]jk");
  const reading = read(output.log({ visibleMs: Infinity }));
  const seen = setTimeout(() => Deno.writeTextFileSync(output.segment(4), "efghi"), 150);
  assert.equal(await inTime("the bytes", reading, 10_000), "abcdefghijk");
  clearTimeout(seen);
});

Deno.test("GrowthSignal: a later segment is growth", async () => {
  await using output = await Output.make();
  const growth = new GrowthSignal(output.path, "polling");
  await inTime("what is there", growth.beyond(10, NEVER));
  const waiting = growth.beyond(11, NEVER);
  await output.write(11, "x");
  await inTime("the next file", waiting);
  growth.finish();
});

Deno.test("freeSegments: whole files before the cut are removed, offsets stay, and the rest is found again", async () => {
  await using output = await Output.make();
  const { path } = output;
  await freeSegments([{ file: path, length: 3 }]);
  assert.deepEqual(await output.begins(), [0, 4, 9]);
  assert.equal(await findKeptSegments(path), 0);
  await freeSegments([{ file: path, length: 8 }]);
  assert.deepEqual(await output.begins(), [4, 9]);
  assert.equal(await findKeptSegments(path), 4);
  assert.equal(await read(output.log({ firstOffset: 8 })), "[8]ijk");
  await freeSegments([{ file: path, length: 9 }]);
  assert.deepEqual(await output.begins(), [9]);
  assert.equal(await findKeptSegments(path), 9);
  assert.equal((await statSegments(path)).size, 11);
  assert.equal(statSegmentsSync(path).size, 11);
  // The last one stays, whatever is asked.
  await freeSegments([{ file: path, length: 100 }]);
  assert.equal(await read(output.log({ firstOffset: 10 })), "[10]k");
});

Deno.test("freeSegments: an output that cannot be freed keeps no other from it", async () => {
  await using output = await Output.make();
  using log = new CapturedLog();
  await Deno.mkdir(join(output.folder, "other", "segments"), { recursive: true });
  await Deno.writeTextFile(join(output.folder, "other", "segments", "5"), "");
  const other = join(output.folder, "other", "output");
  await freeSegments([{ file: other, length: 9 }, { file: output.path, length: 9 }]);
  assert.equal(await findKeptSegments(output.path), 9);
  assert.match(log.texts.join(), /cannot free the start of an output/);
});

Deno.test("segmentBytesFor: a part of the bound, and none where all is kept", () => {
  assert.equal(segmentBytesFor(32 << 20), 2 << 20);
  assert.equal(segmentBytesFor(1), 128 * 1024);
  assert.equal(segmentBytesFor(Infinity), undefined);
});

/** Runs a script with the copier of a node's launcher, whose segments are 128 KiB; returns what is in the files. */
async function copied(output: Output, script: string): Promise<{ text: string; begins: number[] }> {
  await Deno.remove(segmentsFolderOf(output.path), { recursive: true });
  await Deno.mkdir(segmentsFolderOf(output.path));
  await Deno.writeTextFile(output.path, "");
  const { success } = await shell(
    `set -uf
folder=$1 segments=$1/segments segment_bytes=131072
own_program() { false; }
${stripComments(copyText)}
exec 9>"$1/record"
open_pipe "$1"
${script}`,
    [output.folder],
    { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" },
  ).output();
  assert(success);
  const begins = await output.begins();
  const parts = await Promise.all(
    begins.map((begin) => Deno.readTextFile(begin === 0 ? output.path : output.segment(begin))),
  );
  return { text: parts.join(""), begins };
}

/** A script whose job is another one. */
function withJob(job: string, setting = ":"): string {
  return `${setting}
copy_output "$1/output" "$1/gaps" unwritten &
copier=$!
exec 6<&-
{ ${job}; } >&7
exec 7>&-
end_copying "$copier"`;
}

/** The lines 1, 2, 3 and so on. */
function lines(count: number): string {
  return Array.from({ length: count }, (_, index) => `${index + 1}\n`).join("");
}

Deno.test("copy_output: goes on in another file after so many bytes, and loses none", async () => {
  await using output = await Output.make();
  const job = "seq 60000; sleep 0.1; seq 60001 120000; printf end";
  const { text, begins } = await copied(output, withJob(job));
  const wanted = `${lines(120_000)}end`;
  assert(text === wanted, `${text.length} bytes instead of ${wanted.length}`);
  assert.equal(await read(output.log()), wanted);
  const ends = [...begins.slice(1), wanted.length];
  const longest = Math.max(...begins.map((begin, index) => (ends[index] ?? 0) - begin));
  assert(longest < 2 * 131_072, `${longest} bytes in one file`);
  assert.equal(await Deno.readTextFile(join(output.folder, "record")), "");
});

Deno.test("copy_output: ends with all that is in the pipe, also where somebody keeps it open", async () => {
  await using output = await Output.make();
  // Each small write is a read of its own: there are many programs that copy, one after the other.
  const job = "sleep 1000 & holder=$!; i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); echo $i; done";
  const { text, begins } = await inTime(
    "the end",
    copied(output, `${withJob(job)}\nkill "$holder"`),
  );
  assert(text === lines(20_000), `${text.length} bytes`);
  assert.deepEqual(begins, [0]);
});

Deno.test("copy_output: where another file cannot be begun, the output goes on in the one before", async () => {
  await using output = await Output.make();
  const job = 'seq 1000; rmdir "$1/segments"; seq 1001 60000';
  const { text, begins } = await copied(output, `${withJob(job)}\nmkdir "$1/segments"`);
  assert.deepEqual(begins, [0]);
  assert(text === lines(60_000), `${text.length} bytes`);
});

Deno.test("copy_output: what the disk refuses is a gap, behind which another file begins at its offset", async () => {
  await using output = await Output.make();
  // A bound of 100 KiB for each file, of 512 bytes a unit, is the disk that refuses.
  const setting = "trap '' XFSZ; fallocate=true; ulimit -f 200";
  const job = "seq 30000; sleep 3; seq 30001 40000";
  const { begins } = await copied(output, withJob(job, setting));
  const whole = lines(40_000);
  const refused = 200 * 512;
  const end = whole.indexOf("\n30001\n") + 1;
  assert.deepEqual(begins, [0, end]);
  const gaps = await Deno.readTextFile(join(output.folder, "gaps"));
  assert.equal(gaps, `${refused} ${end - refused}\n`);
  const wanted = `${whole.slice(0, refused)}[${end - refused}]${whole.slice(end)}`;
  assert.equal(await read(output.log()), wanted);
});
