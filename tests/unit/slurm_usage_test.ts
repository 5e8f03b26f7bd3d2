/** What running jobs of a cluster use: asked for by a file, counted by the listener, answered from memory. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parseUsageFile } from "../../lib/executor/slurm/usage_file.ts";
import type { SubmitRequest } from "../../lib/executor.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { shell } from "../../lib/shim/shell.ts";
import { AWAY, begun, FakeSlurm, submitted } from "../support/fake_slurm.ts";
import { run } from "../support/run.ts";
import { until } from "../support/wait.ts";

let counts = 0;

/** The job's node counts. */
async function count({ folder }: SubmitRequest, memoryBytes: number): Promise<void> {
  const text = `usage ${++counts}\ncounter memory.current\n${memoryBytes}\nend\n`;
  await Deno.writeTextFile(join(folder, "usage"), text);
}

async function memoryOf(slurm: FakeSlurm, request: SubmitRequest): Promise<number | undefined> {
  const [usage] = await slurm.executor.usages([request]);
  return usage?.memoryBytes;
}

function isThere(path: string): Promise<boolean> {
  return Deno.lstat(path).then(() => true, () => false);
}

const wakesOf = (slurm: FakeSlurm) =>
  slurm.callsOf("scancel").filter((call) => call.includes("--signal=URG"));

Deno.test("SlurmExecutor: what a job uses is counted from the first look on, and told with its time", async () => {
  await using slurm = await FakeSlurm.open();
  const { request } = await begun(slurm);
  await slurm.pass(5000);
  assert.deepEqual(wakesOf(slurm), [], "nobody has looked");
  assert.equal(await memoryOf(slurm, request), undefined);
  await slurm.until("the wake", () => wakesOf(slurm).length > 0);
  assert.deepEqual(wakesOf(slurm), [
    `scancel --full --signal=URG --name=${request.jobId} --user=0`,
  ]);
  assert(await isThere(join(request.folder, "watch")));
  await count(request, 4096);
  const usage = await slurm.until("the count", async () => {
    const [usage] = await slurm.executor.usages([request]);
    return usage?.memoryBytes !== undefined && usage;
  });
  const written = (await Deno.stat(join(request.folder, "usage"))).mtime?.getTime();
  assert.deepEqual(usage, { memoryBytes: 4096, asOfMs: written });
  await count(request, 8192);
  await slurm.until("the next one", async () => await memoryOf(slurm, request) === 8192);
  assert.equal(wakesOf(slurm).length, 1);
});

Deno.test("SlurmExecutor: an old count is no news, and without news nothing is told, and the node woken again", async () => {
  await using slurm = await FakeSlurm.open();
  const { request } = await begun(slurm);
  await count(request, 1);
  await memoryOf(slurm, request);
  await slurm.until("the wake", () => wakesOf(slurm).length === 1);
  assert.equal(await memoryOf(slurm, request), undefined);
  await count(request, 2);
  await slurm.until("the count", async () => await memoryOf(slurm, request) === 2);
  await slurm.pass(10_000);
  assert.equal(await memoryOf(slurm, request), 2);
  slurm.failures.set("scancel", AWAY);
  await slurm.pass(10_000);
  assert.equal(await memoryOf(slurm, request), undefined);
  slurm.failures.clear();
  await slurm.until("another wake", async () => {
    await memoryOf(slurm, request);
    return wakesOf(slurm).length > 2;
  });
});

Deno.test("SlurmExecutor: a job at which nobody looks any more is let alone, and one that waits is not asked", async () => {
  await using slurm = await FakeSlurm.open();
  const waiting = await submitted(slurm);
  const { request } = await begun(slurm);
  assert.deepEqual(await slurm.executor.usages([waiting.request, request]), [{}, {}]);
  await slurm.until("the wake", () => wakesOf(slurm).length === 1);
  await slurm.pass(60_000);
  const wakes = wakesOf(slurm).length;
  const watch = await Deno.readTextFile(join(request.folder, "watch"));
  await slurm.pass(120_000);
  assert.equal(wakesOf(slurm).length, wakes);
  assert.equal(await Deno.readTextFile(join(request.folder, "watch")), watch);
  assert.equal(await isThere(join(waiting.request.folder, "watch")), false);
});

Deno.test("SlurmExecutor: links and pipes that a job puts in the place of its count do no harm", async () => {
  await using slurm = await FakeSlurm.open();
  const { request } = await begun(slurm);
  const file = join(request.folder, "usage");
  const other = join(slurm.folder, "other");
  await Deno.writeTextFile(other, "untouched");
  await Deno.symlink(other, join(request.folder, "watch"));
  await run("mkfifo", [file]);
  await memoryOf(slurm, request);
  await slurm.pass(3000);
  // To write without waiting fails where nobody reads; a reader goes on.
  const { code } = await run("dd", [
    "if=/dev/null",
    `of=${file}`,
    "oflag=nonblock",
    "conv=notrunc",
  ]);
  assert.notEqual(code, 0, "the pipe is read");
  await Deno.remove(file);
  await count(request, 3);
  await slurm.until("the count", async () => await memoryOf(slurm, request) === 3);
  assert.equal(await Deno.readTextFile(other), "untouched");
});

Deno.test("parseUsageFile: half of a file is nothing, nor is another one", () => {
  const text = "usage 17\ncounter pids.current\n3\nend\n";
  assert.deepEqual(parseUsageFile(text, 5), {
    mark: "usage 17",
    usage: { processes: 3, asOfMs: 5 },
  });
  for (const bad of ["", "usage 17\n", "usage 17\ncounter pids.current\n3\nend", text.slice(1)]) {
    assert.equal(parseUsageFile(bad, 5), undefined, JSON.stringify(bad));
  }
});

Deno.test("count_usage: counts while it is renewed, and leaves nothing", async () => {
  const folder = await Deno.makeTempDir();
  const watch = join(folder, "watch");
  try {
    await Deno.writeTextFile(watch, "1\n");
    await Deno.writeTextFile(join(folder, "count"), "7\n");
    const functions = scripts.batch.slice(0, scripts.batch.lastIndexOf("set -uf"));
    const process = shell(
      `${functions}
newline='
'
IFS=$newline folder=$1 usage_pause=0.05 usage_rounds=10
find_groups() { counters="memory.current $folder/count"; }
# Where no group is the job's alone, its processes are counted.
find_main() { :; }
signal_step() { met=3; }
count_usage`,
      [folder],
      { PATH: "/usr/bin:/bin" },
    ).output();
    for (let renewal = 2; renewal < 5; renewal++) {
      const before = await Deno.readTextFile(join(folder, "usage")).catch(() => "");
      await Deno.writeTextFile(watch, `${renewal}\n`);
      await until("a count", async () => {
        const text = await Deno.readTextFile(join(folder, "usage")).catch(() => "");
        const usage = parseUsageFile(text, 0)?.usage;
        return text !== before && usage?.memoryBytes === 7 && usage.processes === 3;
      });
    }
    assert((await process).success);
    const files = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
    assert.deepEqual(files.sort(), ["count", "watch"]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
