/** The operator's file of queues. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parseQueues, QueueFile, QUEUES_FILE, readQueues } from "../../lib/limits/queue_file.ts";
import { CapturedLog } from "../support/captured_log.ts";

/** A limits folder with the file. */
class Folder implements AsyncDisposable {
  readonly path = Deno.makeTempDirSync({ prefix: "job-worker-queues-" });

  write(text: string): void {
    Deno.writeTextFileSync(join(this.path, QUEUES_FILE), text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.path, { recursive: true });
  }
}

Deno.test("parseQueues: a queue on each line, with comments and blank lines", () => {
  const text = "# what runs here\n\nbuilds 2\n  night.ly-1\t0 # paused\r\nx 100000";
  assert.deepEqual([...parseQueues(text)], [["builds", 2], ["night.ly-1", 0], ["x", 100_000]]);
  assert.deepEqual([...parseQueues("")], []);
});

for (
  const [text, message] of [
    ["ok 1\nbuilds", /line 2 "builds": expected NAME PARALLELISM/],
    ["builds two", /line 1 .*how many jobs of the queue run at once: 0 to 100000/],
    ["builds -1", /expected NAME PARALLELISM/],
    ["builds 1.5", /expected NAME PARALLELISM/],
    ["builds 100001", /expected NAME PARALLELISM/],
    ["builds 2 3", /expected NAME PARALLELISM/],
    ["two words 2", /expected NAME PARALLELISM/],
    ["-x 2", /expected a name of up to 64 letters/],
    [`${"x".repeat(65)} 2`, /expected a name of up to 64 letters/],
    ["a 1\n\na 2", /line 3 "a 2": the queue has a line already/],
    [Array.from({ length: 101 }, (_, at) => `q${at} 1`).join("\n"), /line 101 .*more than 100/],
  ] as const
) {
  Deno.test(`parseQueues: ${JSON.stringify(text.slice(0, 20))} is refused with its line`, () => {
    assert.throws(() => parseQueues(text), (error) => {
      return error instanceof RangeError && message.test(error.message);
    });
  });
}

Deno.test("readQueues: no file is no queue; what is no file, or too long, is an error", async () => {
  await using folder = new Folder();
  assert.equal((await readQueues(folder.path)).size, 0);
  folder.write(`# ${"x".repeat(65_000)}\n`);
  assert.equal((await readQueues(folder.path)).size, 0);
  folder.write(`# ${"x".repeat(66_000)}\n`);
  await assert.rejects(
    readQueues(folder.path),
    /^Error: queues.txt: it is longer than 65535 bytes/,
  );
  await Deno.remove(join(folder.path, QUEUES_FILE));
  await Deno.mkdir(join(folder.path, QUEUES_FILE));
  await assert.rejects(readQueues(folder.path), /^Error: queues.txt: it is not a regular file/);
});

Deno.test("QueueFile: a change holds at once; an invalid file changes nothing, and is told once", async () => {
  await using folder = new Folder();
  using log = new CapturedLog();
  const file = new QueueFile(folder.path);
  const now = async () => [...await file.current()];
  assert.deepEqual(await now(), []);
  folder.write("builds 2\n");
  assert.deepEqual(await now(), [["builds", 2]]);
  folder.write("builds three\n");
  for (let times = 0; times < 3; times++) assert.deepEqual(await now(), [["builds", 2]]);
  assert.match(file.problem ?? "", /queues.txt: line 1 "builds three"/);
  assert.equal(log.messages("error").length, 1);
  folder.write("builds 33\n");
  assert.deepEqual(await now(), [["builds", 33]]);
  assert.equal(file.problem, undefined);
  await Deno.remove(join(folder.path, QUEUES_FILE));
  assert.deepEqual(await now(), []);
});

Deno.test("QueueFile: who asks while the file is read is told what is in it", async () => {
  await using folder = new Folder();
  folder.write("builds 2\n");
  const file = new QueueFile(folder.path);
  const [one, other] = await Promise.all([file.current(), file.current()]);
  assert.deepEqual([[...one], [...other]], [[["builds", 2]], [["builds", 2]]]);
});
