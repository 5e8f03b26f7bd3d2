/** Files of jobs' folders: how they are opened, and what is in their place where a job has replaced them. */
// Attacks: a job puts a pipe, a device or a link to another file in the place of what the server reads and writes.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobFolders } from "../../lib/job/folder.ts";
import { OutputLog } from "../../lib/logs.ts";
import { Gaps } from "../../lib/logs/gaps.ts";
import { GrowthSignal } from "../../lib/logs/growth.ts";
import { findKeptPart } from "../../lib/logs/kept_part.ts";
import { OutputTimes } from "../../lib/logs/output_times.ts";
import { freeHeads } from "../../lib/logs/rotation.ts";
import { ENTRY_BYTES } from "../../lib/logs/time_index.ts";
import {
  appendRegular,
  ForgedFileError,
  openRegular,
  readRegularText,
  statRegularSync,
} from "../../lib/regular_file.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { recordOf } from "../support/job_host.ts";
import { run } from "../support/run.ts";
import { inTime, until } from "../support/wait.ts";

const NEVER = new AbortController().signal;

/** What another owner's file has: half of an entry of times, and a block that could be freed. */
const PRECIOUS = "7 7\n".repeat(4096) + "7".repeat(ENTRY_BYTES / 2);

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-regular-" });
  try {
    await work(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("RegularFile: reads from any offset, all that was asked for, or up to the end", () =>
  inFolder(async (folder) => {
    const text = "x".repeat(3_000_000) + "0123456789";
    const path = join(folder, "file");
    await Deno.writeTextFile(path, text);
    await using file = await openRegular(path);
    assert.equal(await file.size(), text.length);
    const textOf = async (offset: number, length: number) =>
      new TextDecoder().decode(await file.readFully(offset, length));
    assert.equal(await textOf(text.length - 3, 100), "789");
    assert.equal(await textOf(text.length - 10, 4), "0123");
    assert.equal((await file.readFully(0, text.length)).length, text.length);
    assert.equal(await textOf(text.length, 1), "");
    assert.equal(await textOf(Number.MAX_SAFE_INTEGER, 5), "");
    assert.equal(await textOf(5, 0), "");
  }));

Deno.test("appendRegular: makes the file where there is none, and adds to the one that is there", () =>
  inFolder(async (folder) => {
    const path = join(folder, "file");
    for (const text of ["one", "two"]) {
      await appendRegular(path, new TextEncoder().encode(text), 0o600);
    }
    assert.equal(await Deno.readTextFile(path), "onetwo");
    assert.equal((await Deno.stat(path)).mode! & 0o777, 0o600);
  }));

Deno.test("openRegular: a file that is missing is not found, and made by nobody", () =>
  inFolder(async (folder) => {
    const path = join(folder, "absent");
    for (const purpose of ["read", "append", "change"] as const) {
      await assert.rejects(openRegular(path, purpose), Deno.errors.NotFound);
    }
    assert.throws(() => statRegularSync(path), Deno.errors.NotFound);
    await assert.rejects(readRegularText(path, 9), Deno.errors.NotFound);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
  }));

/** Does something between the look at a file's name and its opening, until it is disposed of. */
class BetweenHook implements Disposable {
  readonly #lstat = Deno.lstat;

  constructor(action: () => Promise<void>) {
    Deno.lstat = async (path) => {
      const info = await this.#lstat(path);
      await action();
      return info;
    };
  }

  [Symbol.dispose](): void {
    Deno.lstat = this.#lstat;
  }
}

Deno.test("openRegular: a file that the server replaces meanwhile is the new one; one that never stays is none", () =>
  inFolder(async (folder) => {
    const path = join(folder, "file");
    await Deno.writeTextFile(path, "old");
    let left = 1;
    using _hook = new BetweenHook(async () => {
      if (left-- <= 0) return;
      await Deno.writeTextFile(`${path}.new`, "new");
      await Deno.rename(`${path}.new`, path);
    });
    assert.equal(await readRegularText(path, 5), "new");
    left = Infinity;
    await assert.rejects(
      readRegularText(path, 5),
      new ForgedFileError("a file that was just replaced"),
    );
  }));

Deno.test("openRegular: a link that comes between the look and the opening is not followed", () =>
  inFolder(async (folder) => {
    const path = join(folder, "file");
    await Deno.writeTextFile(path, "own");
    await Deno.writeTextFile(`${path}.victim`, PRECIOUS);
    await Deno.symlink(`${path}.victim`, `${path}.link`);
    using _hook = new BetweenHook(() => Deno.rename(`${path}.link`, path).catch(() => {}));
    await assert.rejects(
      appendRegular(path, new Uint8Array(5), 0o600),
      new ForgedFileError("a symbolic link"),
    );
    assert.equal(await Deno.readTextFile(`${path}.victim`), PRECIOUS);
  }));

Deno.test("readRegularText: more than it may have is not read", () =>
  inFolder(async (folder) => {
    const path = join(folder, "file");
    await Deno.writeTextFile(path, "12345");
    assert.equal(await readRegularText(path, 5), "12345");
    await assert.rejects(
      readRegularText(path, 4),
      new ForgedFileError("a file of more than 4 bytes"),
    );
  }));

/** What a job has put in a file's place. */
interface Trap {
  readonly what: string;
  /** @param victim Another owner's file. */
  set(path: string, victim: string): Promise<void>;
}

const TRAPS: readonly Trap[] = [
  {
    what: "a pipe that nobody uses",
    async set(path) {
      assert.equal((await run("mkfifo", [path])).code, 0);
    },
  },
  { what: "a link to another file", set: (path, victim) => Deno.symlink(victim, path) },
  { what: "a link to no file", set: (path, victim) => Deno.symlink(`${victim}.new`, path) },
  { what: "a link to a device", set: (path) => Deno.symlink("/dev/zero", path) },
  { what: "a folder", set: (path) => Deno.mkdir(path) },
];

/** Everything that opens a file of a job's folder: `output`, `gaps`, `times`, `job`. */
const USES: readonly (readonly [name: string, use: (folder: string) => Promise<unknown>])[] = [
  ["reads an output", async (folder) => {
    await assert.rejects(
      Array.fromAsync(outputIn(folder).read({ follow: false }, NEVER)),
      ForgedFileError,
    );
  }],
  ["tells an output's size", (folder) => {
    assert.deepEqual(outputIn(folder).size(), { bytes: 0, diskBytes: 0 });
    return Promise.resolve();
  }],
  ["looks at an output", async (folder) => {
    await assert.rejects(outputIn(folder).look(), ForgedFileError);
  }],
  ["waits for an output's disk", async (folder) => {
    await assert.rejects(outputIn(folder).sync(), ForgedFileError);
  }],
  ["finds the kept part of an output", async (folder) => {
    await assert.rejects(findKeptPart(join(folder, "output")), ForgedFileError);
  }],
  ["frees the start of an output", async (folder) => {
    using log = new CapturedLog();
    await freeHeads([{ file: join(folder, "output"), length: 8192 }]);
    assert.equal(log.messages("error").length, 1);
  }],
  ["waits for the growth of an output", async (folder) => {
    const growth = new GrowthSignal(join(folder, "output"), "polling");
    const end = new AbortController();
    const waiting = growth.beyond(0, end.signal);
    const { lstat } = Deno;
    let looks = 0;
    Deno.lstat = (path) => {
      looks++;
      return lstat(path);
    };
    // A look is over when another one has begun.
    await until("a whole look", () => looks > 1).finally(() => Deno.lstat = lstat);
    end.abort();
    await waiting;
    growth.finish();
  }],
  ["reads gaps", async (folder) => {
    await assert.rejects(new Gaps(join(folder, "gaps")).refresh(), ForgedFileError);
  }],
  ["adds a gap", async (folder) => {
    using log = new CapturedLog();
    await new Gaps(join(folder, "gaps")).add({ begin: 5, end: 7 });
    assert.equal(log.messages("error").length, 1);
  }],
  ["notes a time", async (folder) => {
    using log = new CapturedLog();
    await new OutputTimes(join(folder, "times")).note({ bytes: 5, timeMs: 5 });
    assert.equal(log.messages("warn").length, 1);
  }],
  ["forgets times", async (folder) => {
    using _log = new CapturedLog();
    await new OutputTimes(join(folder, "times")).forget(5);
  }],
  ["reads times", async (folder) => {
    await assert.rejects(new OutputTimes(join(folder, "times")).load({ bytes: 5, timeMs: 5 }));
  }],
  ["reads the copy of a record", async (folder) => {
    const folders = new JobFolders(join(folder, "..", ".."), "polling");
    await assert.rejects(folders.readRecord("id"), ForgedFileError);
  }],
];

function outputIn(folder: string): OutputLog {
  return new OutputLog(join(folder, "output"), {
    firstOffset: 0,
    finished: true,
    gapsPath: join(folder, "gaps"),
    timesPath: join(folder, "times"),
    news: "polling",
  });
}

for (const { what, set } of TRAPS) {
  for (const [name, use] of USES) {
    Deno.test(`a server that ${name}: ${what} in its place holds nobody up, and stays as it is`, () =>
      inFolder(async (parent) => {
        const folder = join(parent, "jobs", "id");
        const victim = join(parent, "victim");
        await Deno.mkdir(folder, { recursive: true });
        await Deno.writeTextFile(victim, PRECIOUS);
        const before = await Deno.stat(victim);
        for (const file of ["output", "gaps", "times", "job"]) {
          await set(join(folder, file), victim);
        }
        await inTime("the server", use(folder), 10_000);
        assert.equal(await Deno.readTextFile(victim), PRECIOUS);
        assert.equal((await Deno.stat(victim)).blocks, before.blocks, "a part of it was freed");
        assert.deepEqual([...Deno.readDirSync(parent)].map(({ name }) => name).sort(), [
          "jobs",
          "victim",
        ]);
      }));
  }
}

Deno.test("freeHeads: a link that comes right before the start of a file is freed leads to no other file", () =>
  inFolder(async (folder) => {
    const [path, second, victim] = ["output", "second", "victim"].map((name) => join(folder, name));
    assert(path && second && victim);
    const text = "x".repeat(64 * 1024);
    for (const file of [path, second, victim]) await Deno.writeTextFile(file, text);
    await Deno.symlink(victim, `${path}.link`);
    const { lstat } = Deno;
    Deno.lstat = async (file) => {
      if (file === second) await Deno.rename(`${path}.link`, path);
      return await lstat(file);
    };
    try {
      await freeHeads([{ file: path, length: 16_384 }, { file: second, length: 16_384 }]);
    } finally {
      Deno.lstat = lstat;
    }
    assert.equal(await Deno.readTextFile(victim), text);
    assert((await Deno.readTextFile(second)).startsWith("\0"), "the start was not freed");
  }));

Deno.test("JobFolders.make: what a job puts into a new folder at once is not written to", () =>
  inFolder(async (parent) => {
    const victim = join(parent, "victim");
    await Deno.writeTextFile(victim, PRECIOUS);
    const folders = new JobFolders(parent, "polling");
    await folders.prepare();
    const { mkdirSync } = Deno;
    Deno.mkdirSync = (path, options) => {
      mkdirSync(path, options);
      Deno.symlinkSync(victim, join(String(path), "job"));
    };
    try {
      assert.throws(() => folders.make(recordOf({ kind: "starting" })), Deno.errors.AlreadyExists);
    } finally {
      Deno.mkdirSync = mkdirSync;
    }
    assert.equal(await Deno.readTextFile(victim), PRECIOUS);
  }));
