/** What a job prints is kept: neither the job, nor another process, nor the disk takes it away unnoticed. */
// Attacks: the captured output, by the job itself.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestClient } from "../support/client.ts";
import { Mount } from "../support/mount.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const MIB = 1024 ** 2;

/** A part of an output as a reader was told it: bytes, or how many are missing. */
type Part = string | number;

Deno.test("captured output: no way of opening it again cuts anything off", async (t) => {
  await using server = await TestServer.start();
  const alice = server.client();
  const script = "echo one; echo two; echo three >/dev/stderr; echo four >/dev/stdout; " +
    "echo five >/proc/self/fd/1; sh -c 'echo six' 2>&1 >/dev/stderr";
  const whole = "one\ntwo\nthree\nfour\nfive\nsix\n";
  for (const user of ["root", "nobody"]) {
    await t.step(`as ${user}`, async () => {
      assert.equal(await alice.text(await alice.script(script, { user })), whole);
    });
    await t.step(`as ${user}, in namespaces of its own`, async () => {
      const id = await alice.script(script, {
        user,
        isolation: { privateTmp: true, ownProcesses: true },
      });
      assert.equal(await alice.text(id), whole);
    });
  }
});

Deno.test("captured output: a job can neither truncate, grow, rewrite nor read it", async (t) => {
  await using server = await TestServer.start();
  const alice = server.client();
  const attempts = {
    "ftruncate to nothing": "truncate(STDOUT, 0)",
    "ftruncate to 2^62": "truncate(STDOUT, 1 << 62)",
    "pwrite": "sysseek(STDOUT, 0, 0) && syswrite(STDOUT, 'X')",
    "mmap, by way of the size": "-s STDOUT",
  };
  for (const [name, code] of Object.entries(attempts)) {
    await t.step(name, async () => {
      const script = `echo before; perl -e '$| = 1; print((${code}) ? "done\\n" : "refused\\n")'`;
      for (const user of ["root", "nobody"]) {
        const id = await alice.script(script, { user });
        assert.equal(await alice.text(id), "before\nrefused\n");
      }
    });
  }
  await t.step("clearing O_APPEND", async () => {
    const script =
      `echo before; perl -MFcntl -e 'fcntl(STDOUT, F_SETFL, 0); syswrite(STDOUT, "after\\n")'`;
    assert.equal(
      await alice.text(await alice.script(script, { user: "nobody" })),
      "before\nafter\n",
    );
  });
  assert.equal((await alice.list({})).jobs.length, 9);
});

Deno.test("captured output: what a job reads cannot be written by it", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const stdin = new TextEncoder().encode("given\n");
  const id = await alice.script(
    "cat; cat /dev/stdin; echo more >/proc/self/fd/0; stat -L -c '%U %a' /proc/self/fd/0",
    { user: "nobody", stdin },
  );
  const text = await alice.text(id);
  assert.match(text, /^given\ngiven\n.*Permission denied\nroot 444\n$/);
});

Deno.test("captured output: what a full disk refused is a gap of the right length", async () => {
  await using mount = await Mount.make("tmpfs", "size=6m");
  await using server = await TestServer.start({ logDir: join(mount.folder, "log") });
  const alice = server.client();
  const ballast = join(mount.folder, "ballast");
  await Deno.writeFile(ballast, new Uint8Array(2 * MIB));
  const gate = join(server.folder, "gate");
  const id = await alice.shell(
    'head -c 7000001 /dev/zero | tr \'\\0\' a; echo; : >"$2"; while [ ! -e "$1" ]; do sleep 0.02; done; ' +
      "head -c 300000 /dev/zero | tr '\\0' b; exit 7",
    gate,
    join(server.folder, "full"),
  );
  await until("the disk to be full", () => exists(join(server.folder, "full")));
  await Deno.remove(ballast);
  await until("the gap to be on record", () => exists(join(server.logDir, "jobs", id, "gaps")));
  await Deno.writeTextFile(gate, "");
  assert.equal((await alice.wait(id)).exitCode, 7);
  const parts = await partsOf(alice, id);
  const [begin = "", gap = 0, rest = ""] = parts;
  assert(typeof begin === "string" && typeof gap === "number" && typeof rest === "string");
  assert.match(begin, /^a+$/);
  assert.equal(begin.length + gap + rest.length, 7_000_002 + 300_000);
  assert(rest.endsWith("b".repeat(300_000)), "what came after the gap was lost");
  assert.equal(parts.length, 3);
  await server.end("SIGKILL");
  await server.launch();
  assert.deepEqual(await partsOf(server.client(), id), parts, "another server tells another story");
});

Deno.test("captured output: what somebody cuts off is a gap, also while the job runs", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const gate = join(server.folder, "gate");
  const id = await alice.shell(
    'seq 1000; while [ ! -e "$1" ]; do sleep 0.02; done; echo after',
    gate,
  );
  await alice.untilOutput(id, /\n1000\n/);
  const { outputBytes } = await alice.query(id);
  await Deno.truncate(join(server.logDir, "jobs", id, "output"), 10);
  const reading = partsOf(alice, id);
  await until("the cut to be noticed", () => server.log.includes("cut off by somebody"));
  await Deno.writeTextFile(gate, "");
  const parts: Part[] = ["1\n2\n3\n4\n5\n", outputBytes - 10, "after\n"];
  assert.deepEqual(await reading, parts);
  assert.deepEqual(await partsOf(alice, id), parts);
  await Deno.truncate(join(server.logDir, "jobs", id, "output"), 2);
  assert.deepEqual(await partsOf(alice, id), ["1\n", outputBytes - 2 + "after\n".length]);
});

Deno.test("captured output: a process that has left the job's groups keeps neither its end nor its output", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const script = "for procs in /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs; do " +
    'echo "$$" >"$procs"; done 2>/dev/null; echo "$$"; exec sleep 60';
  const id = await alice.shell(`sh -c '${script}' & sleep 0.5; echo last; exit 3`);
  assert.equal((await alice.wait(id)).exitCode, 3);
  const text = await alice.text(id);
  assert.match(text, /^\d+\nlast\n$/);
  await run("kill", [text.split("\n")[0] ?? ""]);
});

Deno.test("captured output: it goes on, whole, while no server runs", async () => {
  await using server = await TestServer.start();
  let alice = server.client();
  const gate = join(server.folder, "gate");
  const id = await alice.shell(
    'echo begin; while [ ! -e "$1" ]; do sleep 0.02; done; seq 100000; exit 9',
    gate,
  );
  await alice.untilOutput(id, /begin/);
  await server.end("SIGKILL");
  await Deno.writeTextFile(gate, "");
  const whole = `begin\n${
    Array.from({ length: 100_000 }, (_, index) => `${index + 1}\n`).join("")
  }`;
  await until("all of it", async () => {
    return (await Deno.stat(join(server.logDir, "jobs", id, "output"))).size === whole.length;
  });
  await server.launch();
  alice = server.client();
  assert.equal((await alice.wait(id)).exitCode, 9);
  assert(await alice.text(id) === whole, "the output is not the job's");
});

/** Reads a job's output to its end. */
async function partsOf(client: TestClient, jobID: string): Promise<Part[]> {
  const decoder = new TextDecoder();
  const parts: Part[] = [];
  for await (const { output, gapBytes } of client.messages({ jobID })) {
    if (Number(gapBytes) > 0) parts.push(Number(gapBytes));
    if (output.length === 0) continue;
    const last = parts.at(-1);
    const text = decoder.decode(output);
    if (typeof last === "string") parts[parts.length - 1] = last + text;
    else parts.push(text);
  }
  return parts;
}

function exists(path: string): Promise<boolean> {
  return Deno.stat(path).then(() => true, () => false);
}
