/** Output is bounded, finished jobs are removed in time, and a full disk harms nobody. */
// Attacks: outputs and records, by full disks and late readers.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { assertStatus, type TestClient } from "../support/client.ts";
import { processesOf } from "../support/job_traces.ts";
import { cannotFreeze, Mount } from "../support/mount.ts";
import { TestServer } from "../support/server.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

const MIB = 1024 ** 2;

Deno.test("rotation: a job's output takes no more room than its bound", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "4M"] });
  const alice = server.client();
  const id = await alice.shell("head -c 200000000 /dev/zero | tr '\\0' x");
  await alice.wait(id);
  const { size, blocks } = await Deno.stat(outputFile(server, id));
  assert.equal(size, 200_000_000);
  assert((blocks ?? 0) * 512 <= 5 * MIB, `${blocks} blocks are left on disk`);
  const { outputBytes, outputFirstOffset } = await alice.query(id);
  assert.equal(outputBytes, size);
  assert(size - outputFirstOffset >= 4 * MIB, "less than the bound was kept");
});

Deno.test("rotation: a late reader is told what it missed, and gets no byte that was not written", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "1M"] });
  const alice = server.client();
  const id = await alice.shell("seq -f '%09.0f' 1 1000000"); // 10 bytes a line
  await alice.wait(id);
  const { outputFirstOffset } = await alice.query(id);
  for (const offset of [0, 5, outputFirstOffset - 1]) {
    const { gap, text } = await readAll(alice, { jobID: id, offset });
    assert.equal(gap, outputFirstOffset - offset);
    assert.equal(text, numberedLines(1, 1_000_000).slice(outputFirstOffset));
  }
  const { gap, text } = await readAll(alice, { jobID: id, offset: outputFirstOffset });
  assert.equal(gap, 0);
  assert.equal(text.length, 10_000_000 - outputFirstOffset);
  const tail = await readAll(alice, { jobID: id, tailLines: 1_000_000 });
  assert.equal(tail.text, text, "a tail begins where the output begins");
});

Deno.test("rotation: a follower that keeps up sees every byte across all cuts", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "1M"] });
  const alice = server.client();
  const script = 'n=0; while [ "$n" -lt 40 ]; do seq -f "%09.0f" $((n * 20000 + 1)) ' +
    "$((n * 20000 + 20000)); n=$((n + 1)); sleep 0.1; done";
  const id = await alice.shell(script);
  const { gap, text } = await readAll(alice, { jobID: id });
  assert.equal(gap, 0);
  assert(text === numberedLines(1, 800_000), "the follower's bytes are not the job's");
  const { outputFirstOffset } = await alice.query(id);
  assert(outputFirstOffset > 5 * MIB, "the output was not cut while it was followed");
});

Deno.test("rotation: a follower that is overtaken is told how much it missed", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "1M"] });
  const alice = server.client();
  const gate = join(server.folder, "gate");
  const script = 'echo begin; while [ ! -e "$1" ]; do sleep 0.02; done; seq -f "%09.0f" 1 5000000';
  const id = await alice.shell(script, gate);
  const expected = `begin\n${numberedLines(1, 5_000_000)}`;
  let received = 0;
  let gaps = 0;
  for await (const { output, offset, gapBytes } of alice.messages({ jobID: id })) {
    if (received === 0) await Deno.writeTextFile(gate, "");
    assert.equal(Number(offset), received + gaps + Number(gapBytes));
    gaps += Number(gapBytes);
    const text = new TextDecoder().decode(output);
    assert(text === expected.slice(received + gaps, received + gaps + text.length));
    received += output.length;
  }
  assert.equal(received + gaps, expected.length);
});

Deno.test("rotation: the beginning is known after kill -9 too", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "1M"] });
  let alice = server.client();
  const id = await alice.shell("seq -f '%09.0f' 1 500000; while :; do sleep 0.1; done");
  await until("a cut", async () => (await alice.query(id)).outputFirstOffset > 0);
  await until("the last line", async () => (await alice.query(id)).outputBytes === 5_000_000);
  await server.end("SIGKILL");
  await server.launch();
  alice = server.client();
  const { outputFirstOffset } = await alice.query(id);
  const { gap, text } = await readAll(alice, { jobID: id, noFollow: true });
  assert.equal(gap, outputFirstOffset);
  assert.equal(text, numberedLines(1, 500_000).slice(outputFirstOffset));
});

Deno.test("rotation: without its bound, everything is kept", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "max"] });
  const alice = server.client();
  const id = await alice.shell("head -c 20000000 /dev/zero");
  const { outputFirstOffset, outputBytes } = await alice.wait(id);
  assert.deepEqual([outputFirstOffset, outputBytes], [0, 20_000_000]);
});

Deno.test("rotation: a filesystem that cannot free a file's head is refused at the start", async () => {
  await using mount = await Mount.make("ramfs", "size=32m");
  const options = { logDir: join(mount.folder, "log") };
  await assert.rejects(
    TestServer.start(options),
    /cannot free the start of a file.*--max-output max/,
  );
  await using server = await TestServer.start({ ...options, flags: ["--max-output", "max"] });
  const id = await server.client().shell("echo hello");
  assert.equal(await server.client().text(id), "hello\n");
});

Deno.test("retention: the oldest finished jobs go beyond the count, running ones stay", async () => {
  await using server = await TestServer.start();
  let alice = server.client();
  const running = await alice.shell("while :; do sleep 0.1; done");
  const finished: string[] = [];
  for (let job = 0; job < 6; job++) {
    finished.push(await alice.shell("echo hello"));
    await alice.wait(finished[job] ?? "");
  }
  await server.end();
  await server.launch(["--retain-count", "2"]);
  alice = server.client();
  await until("the oldest to be removed", () => isUnknown(alice, finished[3] ?? ""));
  for (const id of finished.slice(0, 4)) assert(await isUnknown(alice, id));
  for (const id of finished.slice(4)) assert.equal(await alice.text(id), "hello\n");
  assert.equal((await alice.query(running)).exited, false);
  const folders = [...Deno.readDirSync(join(server.logDir, "jobs"))].map(({ name }) => name);
  assert.deepEqual(folders.sort(), [running, ...finished.slice(4)].sort());
});

Deno.test("retention: by age and by bytes", async () => {
  await using server = await TestServer.start();
  let alice = server.client();
  const large = await alice.shell("head -c 3000000 /dev/zero");
  await alice.wait(large);
  const small = await alice.shell("echo hello");
  await alice.wait(small);
  await server.end();
  await server.launch(["--retain-bytes", "1M"]);
  alice = server.client();
  await until("the large one to be removed", () => isUnknown(alice, large));
  assert.equal(await alice.text(small), "hello\n");
  await server.end();
  await server.launch(["--retain-age", "1ms"]);
  alice = server.client();
  await until("the old one to be removed", () => isUnknown(alice, small));
});

Deno.test("remove: forgets a finished job; refuses a running and an unknown one", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell("echo begin; while :; do sleep 0.1; done");
  await alice.untilOutput(id, /begin/);
  await assertStatus(alice.remove(id), status.FAILED_PRECONDITION, /it is running; stop it first/);
  await alice.stop(id);
  await assertStatus(server.client("bob").remove(id), status.PERMISSION_DENIED);
  await alice.remove(id);
  assert(await isUnknown(alice, id));
  await assertStatus(alice.remove(id), status.NOT_FOUND);
  await assertStatus(alice.output(id), status.NOT_FOUND);
  assert.deepEqual([...Deno.readDirSync(join(server.logDir, "jobs"))], []);
});

Deno.test("a full disk: jobs go on, Start says what to do, nothing else breaks", async () => {
  await using mount = await Mount.make("tmpfs", "size=4m");
  await using server = await TestServer.start({ logDir: join(mount.folder, "log") });
  let alice = server.client();
  const gate = join(server.folder, "gate");
  const small = await alice.shell("true");
  await alice.wait(small);
  const waiting = await alice.shell('while [ ! -e "$1" ]; do sleep 0.02; done; exit 143', gate);
  const sleeper = await alice.start("sleep", "1000");
  const filler = await alice.shell("head -c 8000000 /dev/zero");
  assert.equal((await alice.wait(filler)).exitCode, 0, "the disk's state became the job's");
  const { text, gap } = await readAll(alice, { jobID: filler });
  assert(text.length > MIB && text.length < 4 * MIB, `${text.length} bytes fit`);
  assert.equal(text.length + gap, 8_000_000);

  await assertStatus(
    alice.shell("true"),
    status.RESOURCE_EXHAUSTED,
    /disk.*full.*worker-client remove/,
  );
  await alice.stop(sleeper, 0);
  await until("the line of the Stop", async () => {
    const trail = await Deno.readTextFile(join(server.logDir, "audit", "changes.jsonl"));
    return trail.includes(`"method":"/JobService/Stop"`) && !trail.includes("dropped");
  });
  await Deno.writeTextFile(gate, "");
  assert.equal((await alice.wait(waiting)).exitCode, 143);
  assert.equal((await alice.query(filler)).exitCode, 0);

  await server.end("SIGKILL");
  await server.launch();
  alice = server.client();
  assert.equal((await alice.query(waiting)).exitCode, 143, "an exit status was lost");
  assert.equal((await alice.query(filler)).exitCode, 0);
  assert.equal((await readAll(alice, { jobID: filler })).gap, gap);
  await assertStatus(alice.shell("true"), status.RESOURCE_EXHAUSTED);
  await alice.remove(small);
  await assertStatus(alice.query(small), status.NOT_FOUND);
  await alice.remove(filler);
  const id = await alice.shell("echo room");
  assert.equal(await alice.text(id), "room\n");
});

testUnless(await cannotFreeze(), {
  name: "a frozen disk: jobs are stopped, calls are answered, and what changes records is refused",
  fn: async () => {
    await using mount = await Mount.ext4();
    await using server = await TestServer.start({ logDir: join(mount.folder, "log") });
    const alice = server.client();
    const finished = await alice.shell("echo hello");
    await alice.wait(finished);
    const running = await alice.start("sleep", "1000");
    let stopped: Promise<unknown>;
    {
      await using _frozen = await mount.freeze();
      await until("the server to notice", () => /does not answer/.test(server.log));
      await assertStatus(alice.start("true"), status.UNAVAILABLE, /frozen or stuck/);
      await assertStatus(alice.remove(finished), status.UNAVAILABLE, /frozen or stuck/);
      assert.equal(await alice.text(finished), "hello\n");
      assert.equal((await alice.query(running)).exited, false);
      stopped = alice.stop(running, 0);
      // Its groups stay until its launcher can write how it ended.
      await until("its end", async () => (await processesOf(running)).length === 0);
      assert.equal((await alice.query(running)).state, "JOB_STATE_STOPPING");
    }
    await stopped;
    assert.equal((await alice.query(running)).signal, 9);
    assert.equal(await alice.text(await alice.shell("echo again")), "again\n");
  },
});

interface Reading {
  gap: number;
  text: string;
}

async function readAll(
  client: TestClient,
  request: Parameters<TestClient["messages"]>[0],
): Promise<Reading> {
  const decoder = new TextDecoder();
  const reading: Reading = { gap: 0, text: "" };
  for await (const { output, gapBytes } of client.messages(request)) {
    reading.gap += Number(gapBytes);
    reading.text += decoder.decode(output, { stream: true });
  }
  return reading;
}

/** Lines of nine digits and a newline. */
function numberedLines(from: number, to: number): string {
  return Array.from(
    { length: to - from + 1 },
    (_, index) => `${String(from + index).padStart(9, "0")}\n`,
  ).join("");
}

function outputFile(server: TestServer, id: string): string {
  return join(server.logDir, "jobs", id, "output");
}

async function isUnknown(client: TestClient, id: string): Promise<boolean> {
  try {
    await client.query(id);
    return false;
  } catch (error) {
    if ((error as { code?: number }).code === status.NOT_FOUND) return true;
    throw error;
  }
}
