/** The server is killed, and nothing is lost. */
// Attacks: jobs and records, by kills and cuts.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { describeDamage, runStorm } from "../../soak/storm/storm.ts";
import { assertStatus } from "../support/client.ts";
import { groupsLeft } from "../support/groups_left.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** Storms beside each other, each with a server of its own: a storm mostly waits. */
const STORMS = 2;

/** How many processes each storm kills: more than a third of them are servers, the others clients. */
const KILLS = 100;

Deno.test("kill -9: running jobs go on and are adopted with everything that was known", async () => {
  await using server = await TestServer.start({ limits: { cpu: "50%", memory: "64M" } });
  let alice = server.client();
  const gate = join(server.folder, "gate");
  const script = 'echo begin; while [ ! -e "$1" ]; do sleep 0.05; done; echo end; exit 7';
  const id = await alice.shell(script, gate);
  await alice.untilOutput(id, /begin/);
  const before = await alice.query(id);

  await server.end("SIGKILL");
  await server.launch();
  alice = server.client();
  const after = await alice.query(id);
  assert.equal(after.state, "JOB_STATE_RUNNING");
  assert.equal(after.pid, before.pid);
  assert.deepEqual(after.limits, before.limits);
  assert.equal(after.owner, "alice");
  assert.equal(after.startedAtMs, before.startedAtMs);

  const following = alice.text(id);
  await Deno.writeTextFile(gate, "");
  assert.equal(await following, "begin\nend\n");
  const { exitCode, exited, signal } = await alice.query(id);
  assert.deepEqual([exitCode, exited, signal], [7, true, 0]);
  assert.equal((await server.end()).code, 0, "a server whose adopted jobs have ended ends well");
});

Deno.test("kill -9: what ended while no server ran is told truly", async () => {
  await using server = await TestServer.start({ limits: { memory: "32M" } });
  let alice = server.client();
  const gate = join(server.folder, "gate");
  const waiting = 'while [ ! -e "$1" ]; do sleep 0.02; done; ';
  const hungry = "x=0123456789; while :; do x=$x$x; done";
  const ids = {
    code: await alice.shell(`${waiting} echo late; exit 143`, gate),
    signal: await alice.shell(`${waiting} kill -TERM $$`, gate),
    oom: await alice.shell(waiting + hungry, gate),
  };
  const pids = await Promise.all(Object.values(ids).map(async (id) => (await alice.query(id)).pid));
  await server.end("SIGKILL");
  await Deno.writeTextFile(gate, "");
  await until("the jobs to be gone", () => pids.every((pid) => !isAlive(pid)));
  await until("the groups to be gone", async () => await groupsLeft(server) === 0);
  await server.launch();
  alice = server.client();

  const code = await alice.query(ids.code);
  assert.deepEqual([code.exitCode, code.signal, code.oomKilled], [143, 0, false]);
  assert.equal(await alice.text(ids.code), "late\n");
  const signal = await alice.query(ids.signal);
  assert.deepEqual([signal.exitCode, signal.signal, signal.oomKilled], [143, 15, false]);
  const oom = await alice.query(ids.oom);
  assert.deepEqual([oom.exitCode, oom.signal, oom.oomKilled], [137, 9, true]);
});

Deno.test("kill -9: an adopted job can be stopped, with its children", async () => {
  await using server = await TestServer.start();
  const id = await server.client().shell(
    "trap '' TERM; setsid sh -c 'trap \"\" TERM; while :; do sleep 1; done' & " +
      "echo begin; while :; do sleep 1; done",
  );
  await server.client().untilOutput(id, /begin/);
  await server.end("SIGKILL");
  await server.launch();
  const alice = server.client();
  await alice.stop(id, 100);
  const { exited, signal } = await alice.query(id);
  assert.deepEqual([exited, signal], [true, 9]);
  assert.equal(await groupsLeft(server), 0);
});

Deno.test("kill -9 amid a stop: the next server ends the job when its grace period is over", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell("trap 'echo term' TERM; echo begin; while :; do sleep 0.05; done");
  await alice.untilOutput(id, /begin/);
  // INTERNAL where this test's client had something to write when the connection broke.
  const interrupted = assert.rejects(
    alice.stop(id, 1500),
    ({ code }) => code === status.UNAVAILABLE || code === status.INTERNAL,
  );
  await alice.untilOutput(id, /term/);
  await server.end("SIGKILL");
  await interrupted;
  await server.launch();
  const { exitCode, signal } = await server.client().wait(id);
  assert.deepEqual([exitCode, signal], [137, 9]);
});

Deno.test("a killed launcher: the job is LOST when it ends, never a success", async () => {
  for (const restart of [false, true]) {
    await using server = await TestServer.start();
    let alice = server.client();
    const gate = join(server.folder, "gate");
    const id = await alice.shell('echo begin; while [ ! -e "$1" ]; do sleep 0.05; done', gate);
    await alice.untilOutput(id, /begin/);
    const { pid } = await alice.query(id);
    const launcher = Number((await Deno.readTextFile(`/proc/${pid}/stat`)).split(" ")[3]);
    if (restart) await server.end("SIGKILL");
    Deno.kill(launcher, "SIGKILL");
    if (restart) await server.launch();
    alice = server.client();
    assert.equal((await alice.query(id)).exited, false);
    await Deno.writeTextFile(gate, "");
    const { state, exitCode, exited, reason } = await alice.wait(id);
    assert.deepEqual([state, exitCode, exited], ["JOB_STATE_LOST", -1, true]);
    assert.match(reason, /launcher was killed/);
    assert.equal(await alice.text(id), "begin\n");
    await assertStatus(alice.stop(id), status.FAILED_PRECONDITION, /is lost/);
  }
});

Deno.test("a reboot: jobs that ran are LOST with their output, and no other process is taken for them", async () => {
  await using server = await TestServer.start();
  const id = await server.client().shell("echo begin; while :; do sleep 0.1; done");
  await server.client().untilOutput(id, /begin/);
  const { pid } = await server.client().query(id);
  await server.end("SIGKILL");
  // The launch record of another boot: the process with its number, start time and all, is somebody else's.
  const launch = join(server.logDir, "jobs", id, "launch");
  const text = await Deno.readTextFile(launch);
  const otherBoot = text.replace(/^(launcher \d+ \d+) \S+/, `$1 ${crypto.randomUUID()}`);
  assert.notEqual(otherBoot, text);
  await Deno.writeTextFile(launch, otherBoot);
  await server.launch();
  const alice = server.client();
  const { state, exitCode, reason } = await alice.query(id);
  assert.deepEqual([state, exitCode], ["JOB_STATE_LOST", -1]);
  assert.match(reason, /host went down/);
  assert.equal(await alice.text(id), "begin\n");
  await assertStatus(alice.stop(id), status.FAILED_PRECONDITION);
  assert(isAlive(pid), "a process that is not the job's was ended");
});

Deno.test({
  name: "a storm of kills and cuts: every job, exit status and byte is accounted for",
  // grpc-js leaves the timers of a connection that was cut to run out by themselves.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    // Each is waited for, so that no server is left when another storm fails.
    const seed = Math.floor(Math.random() * 2 ** 32);
    const storms = await Promise.allSettled(
      Array.from({ length: STORMS }, (_, index) => runStorm({ kills: KILLS, seed: seed + index })),
    );
    for (const storm of storms) {
      if (storm.status === "rejected") throw storm.reason;
      console.log(describeDamage(storm.value));
    }
  },
});

function isAlive(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    return false;
  }
}
