/** The processes that start jobs: used again after short jobs, and never a way from one to the next. */
// Attacks: launchers, by the jobs before.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { StartRequest } from "../../proto/contract.ts";
import { findGroups } from "../../tools/test/leftovers.ts";
import { type TestClient } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { assertGone, endOf } from "../support/job_traces.ts";

/** The process that started a job, from the job's launch record. */
async function launcherOf(server: TestServer, jobId: string): Promise<number> {
  const launch = await Deno.readTextFile(join(server.logDir, "jobs", jobId, "launch"));
  const pid = /^launcher (\d+) /.exec(launch)?.[1];
  assert(pid !== undefined, `no launcher in ${JSON.stringify(launch.trim())}`);
  return Number(pid);
}

/** Runs a short job to its end; its launcher, and what it printed. */
async function runShort(
  server: TestServer,
  client: TestClient,
  request: StartRequest,
): Promise<{ launcher: number; text: string }> {
  const id = await client.startWith(request);
  await endOf(client, id);
  return { launcher: await launcherOf(server, id), text: await client.text(id) };
}

const SHOW = 'pwd; umask; ulimit -n; env | sort | grep -v ^JOB_ID=; ls /proc/self/fd; echo "$#"';

/** The processes in a server's group of launchers. */
async function launchersOf(server: TestServer): Promise<number[]> {
  const [parent] = await findGroups(new RegExp(`^${server.cgroupParent}$`));
  const groups = parent === undefined ? [] : await findGroups(/^launchers$/);
  const texts = await Promise.all(
    groups.filter((group) => group.includes(`/${server.cgroupParent}/`))
      .map((group) => Deno.readTextFile(join(group, "cgroup.procs")).catch(() => "")),
  );
  return texts.join("").trim().split("\n").filter((line) => line !== "").map(Number);
}

async function isAlive(pid: number): Promise<boolean> {
  return await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
}

Deno.test("launchers: one that has seen a short job's end takes the next", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const show = { name: "sh", args: ["-c", SHOW] };
  const first = await runShort(server, alice, show);
  const second = await runShort(server, alice, show);
  assert.equal(second.launcher, first.launcher);
  assert.equal(second.text, first.text, "a job finds something that the one before it has left");
});

Deno.test("launchers: each job is told its own id, and nothing of the one before", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  for (let turn = 0; turn < 3; turn++) {
    const id = await alice.shell('echo "$JOB_ID $#"; exit "$1"', String(turn));
    const { exitCode } = await endOf(alice, id);
    assert.equal(exitCode, turn);
    assert.equal(await alice.text(id), `${id} 1\n`);
  }
});

Deno.test("launchers: what a job has of its own reaches no other job", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const show = { name: "sh", args: ["-c", SHOW] };
  const before = await runShort(server, alice, show);
  const own = await runShort(server, alice, {
    ...show,
    env: { SECRET: "of the first", PATH: "/bin:/usr/bin" },
    workingDirectory: "/tmp",
    umask: 0o77,
    stdin: new TextEncoder().encode("input"),
  });
  assert.match(own.text, /SECRET=of the first/);
  assert.notEqual(own.launcher, before.launcher);
  const after = await runShort(server, alice, show);
  assert.equal(after.text, before.text);
  assert.notEqual(after.launcher, own.launcher);
  await until("the job's own launcher to end", async () => !await isAlive(own.launcher));
});

Deno.test("launchers: quotes, newlines and dollars stay in the arguments that they came in", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const args = ["'; exit 3; '", "a\nb", "$(touch /tmp/x) `id` \\", '"', "'\\''", "", "--", "é\t"];
  for (let turn = 0; turn < 2; turn++) {
    const id = await alice.startWith({ name: "printf", args: ["<%s>", ...args] });
    await endOf(alice, id);
    assert.equal(await alice.text(id), args.map((text) => `<${text}>`).join(""));
  }
});

Deno.test("launchers: a signal that ended a job is told of that job only", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const killed = await endOf(alice, await alice.shell("kill -TERM $$"));
  assert.deepEqual([killed.exitCode, killed.signal], [143, 15]);
  const ended = await endOf(alice, await alice.shell("exit 143"));
  assert.deepEqual([ended.exitCode, ended.signal], [143, 0]);
  // A shell makes what it runs in the background deaf to SIGINT; no job shall be.
  const deaf = await endOf(alice, await alice.shell("kill -INT $$; echo deaf"));
  assert.equal(deaf.exitCode, 130);
});

Deno.test("launchers: one that is killed between two jobs is not missed", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const { launcher } = await runShort(server, alice, { name: "true" });
  Deno.kill(launcher, "SIGKILL");
  await until("the launcher to end", async () => !await isAlive(launcher));
  const next = await runShort(server, alice, { name: "echo", args: ["next"] });
  assert.equal(next.text, "next\n");
  assert.notEqual(next.launcher, launcher);
});

Deno.test("launchers: one that is killed amid its second job takes the exit status along", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const { launcher } = await runShort(server, alice, { name: "true" });
  const gate = join(server.folder, "gate");
  const id = await alice.shell('echo begin; while [ ! -e "$1" ]; do sleep 0.05; done', gate);
  await alice.untilOutput(id, /begin/);
  assert.equal(await launcherOf(server, id), launcher);
  Deno.kill(launcher, "SIGKILL");
  await Deno.writeTextFile(gate, "");
  const { state, reason } = await alice.wait(id);
  assert.equal(state, "JOB_STATE_LOST");
  assert.match(reason, /launcher was killed/);
});

Deno.test("launchers: a program that is not there costs the next job nothing", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  for (let turn = 0; turn < 3; turn++) {
    await assert.rejects(alice.start("no-such-program"), /no such program/);
    const { text } = await runShort(server, alice, { name: "echo", args: [`${turn}`] });
    assert.equal(text, `${turn}\n`);
  }
});

Deno.test("launchers: a job that goes on keeps no pipe to the server open", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  await runShort(server, alice, { name: "true" });
  const before = (await server.resources()).descriptors;
  const ids = await Promise.all(Array.from({ length: 20 }, () => alice.start("sleep", "1000")));
  await until(
    "the launchers to be let go",
    // By one descriptor each the runtime learns of the processes' ends.
    async () => (await server.resources()).descriptors <= before + ids.length,
  );
  for (const id of ids) {
    assert.equal((await alice.query(id)).exited, false);
    await alice.stop(id, 0);
    await assertGone(id);
  }
});

Deno.test("launchers: those without a job end with the server, however it ends", async () => {
  await using server = await TestServer.start();
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    const alice = server.client();
    await Promise.all(
      Array.from({ length: 5 }, async () => await alice.wait(await alice.start("true"))),
    );
    assert((await launchersOf(server)).length > 0, "there are none to look at");
    await server.end(signal);
    await until("the launchers to end", async () => (await launchersOf(server)).length === 0);
    await server.launch();
  }
});

Deno.test("launchers: groups that a job has made go with it, also under a launcher that goes on", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const [parent] = (await findGroups(new RegExp(`^${server.cgroupParent}$`)))
    .filter((group) => group.includes("/memory/") || group.includes("/unified/"));
  assert(parent !== undefined);
  for (let turn = 0; turn < 2; turn++) {
    const id = await alice.shell('mkdir -p "$1/$JOB_ID/inner/most" && echo made', parent);
    await endOf(alice, id);
    assert.equal(await alice.text(id), "made\n");
  }
});
