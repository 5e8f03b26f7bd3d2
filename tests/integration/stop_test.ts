/** Stop ends every process of a job, whatever they do about it. */
// Attacks: the stop of a job, by processes that resist.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { assertStatus } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { inTime, until } from "../support/wait.ts";
import { assertGone, lacksPerl, processesOf } from "../support/job_traces.ts";
import { testUnless } from "../support/skip.ts";

const STUBBORN = "trap '' TERM; echo begin; while :; do sleep 0.05; done";

Deno.test("Stop: a job that heeds SIGTERM ends by it, and what it writes then is kept", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const script = "trap 'echo last words; exit 9' TERM; echo begin; while :; do sleep 0.05; done";
  const id = await alice.shell(script);
  await alice.untilOutput(id, /begin/);
  await alice.stop(id);
  const { exited, exitCode, signal } = await alice.query(id);
  assert.deepEqual({ exited, exitCode, signal }, { exited: true, exitCode: 9, signal: 0 });
  assert.match(await alice.text(id), /last words\n$/);
  await assertGone(id);
});

Deno.test("Stop: a job without a handler is ended by SIGTERM itself", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.start("sleep", "1000");
  await alice.stop(id);
  const { exitCode, signal } = await alice.query(id);
  assert.deepEqual({ exitCode, signal }, { exitCode: 143, signal: 15 });
  await assertGone(id);
});

Deno.test("Stop: a stopped job (SIGSTOP) hears SIGTERM, and ends in its own way", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const script =
    "trap 'echo last words; exit 9' TERM; echo begin; kill -STOP $$; echo on; while :; do sleep 0.05; done";
  const id = await alice.shell(script);
  await alice.untilOutput(id, /begin/);
  const { pid } = await alice.query(id);
  await until(
    "the job is stopped",
    async () => / T /.test((await Deno.readTextFile(`/proc/${pid}/stat`)).replace(/.*\)/, "")),
  );
  await alice.stop(id);
  assert.equal((await alice.query(id)).exitCode, 9);
  assert.match(await alice.text(id), /last words\n$/);
});

Deno.test("Stop: a job that ignores SIGTERM is killed after the grace period, not before", async () => {
  await using server = await TestServer.start({ flags: ["--grace-period", "700ms"] });
  const alice = server.client();
  const id = await alice.shell(STUBBORN);
  await alice.untilOutput(id, /begin/);
  const begin = Date.now();
  await alice.stop(id);
  assert(Date.now() - begin >= 700, "the grace period was cut short");
  const { exitCode, signal, state } = await alice.query(id);
  assert.deepEqual([exitCode, signal, state], [137, 9, "JOB_STATE_EXITED"]);
  await assertGone(id);
});

Deno.test("Stop: a hundred processes that ignore SIGTERM, in sessions of their own, go with the job", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const child = "trap '' TERM; while :; do sleep 1; done";
  const script = `trap '' TERM; n=0; while [ $n -lt 50 ]; do setsid sh -c "${child}" & ` +
    `(setsid sh -c "${child}" &) ; n=$((n + 1)); done; echo begin; while :; do sleep 1; done`;
  const id = await alice.shell(script);
  await alice.untilOutput(id, /begin/);
  await until("a hundred processes", async () => (await processesOf(id)).length > 100);
  await alice.stop(id, 0);
  await assertGone(id);
  assert.equal((await alice.query(id)).signal, 9);
});

Deno.test("Stop: children that ignore SIGTERM keep the job until their grace period is over", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell(
    "setsid sh -c \"trap '' TERM; echo ready; while :; do sleep 0.05; done\" & " +
      "trap 'echo main ends; exit 3' TERM; while :; do sleep 0.05; done",
  );
  await alice.untilOutput(id, /ready/);
  const stopping = alice.stop(id, 1000);
  await alice.untilOutput(id, /main ends/);
  assert.equal((await alice.query(id)).exited, false, "a child is left, and the job has exited");
  await stopping;
  const { exitCode, signal } = await alice.query(id);
  assert.deepEqual([exitCode, signal], [3, 0]);
  await assertGone(id);
});

Deno.test("Stop, Signal: a main process that has left its groups, as by su -l, is reached, and SIGKILL ends what it has started", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  // As PAM does for a new session; the first group of each hierarchy always exists.
  const leave =
    'cut -d: -f2,3 /proc/self/cgroup | while IFS=: read -r names path; do case $path in *"$JOB_ID"*) ' +
    'for root in /sys/fs/cgroup /sys/fs/cgroup/unified "/sys/fs/cgroup/$names"; do ' +
    '[ ! -d "$root$path" ] || echo $$ >"$root/cgroup.procs"; done ;; esac; done; ' +
    'while read -r line; do case $line in *"$JOB_ID"*) exit 77 ;; esac; done </proc/self/cgroup; ';
  const loop = "echo begin; while :; do sleep 0.05; done";
  const heeds = await alice.shell(`${leave} trap 'echo last words; exit 9' TERM; ${loop}`);
  await alice.untilOutput(heeds, /begin/);
  await inTime("the end by SIGTERM", alice.stop(heeds), 5000);
  assert.equal((await alice.query(heeds)).exitCode, 9);
  assert.match(await alice.text(heeds), /last words\n$/);

  const stubborn = await alice.shell(
    `${leave} trap '' TERM; trap 'echo heard' USR1; sleep 1000 & echo child $! end; ${loop}`,
  );
  await alice.untilOutput(stubborn, /begin/);
  await alice.signal(stubborn, "USR1");
  await alice.untilOutput(stubborn, /heard/);
  await inTime("the end by SIGKILL", alice.stop(stubborn, 100), 5000);
  assert.equal((await alice.query(stubborn)).signal, 9);
  const child = Number(/child (\d+) end/.exec(await alice.text(stubborn))?.[1]);
  await until("the child to end", async () => {
    const stat = await Deno.readTextFile(`/proc/${child}/stat`).catch(() => "gone");
    return !/sleep\) [^Z]/.test(stat);
  });
});

Deno.test("Stop, Signal: the main process alone hears a signal, where that is asked for, also in a namespace of its own", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const process = (name: string) =>
    `trap 'echo ${name} USR1' USR1; trap 'echo ${name} TERM; exit 9' TERM; ` +
    `echo ${name} begins; while kill -0 $$; do sleep 0.05; done`;
  for (const ownProcesses of [false, true]) {
    const script = `(${process("child")}) & ${process("main")}`;
    const id = await alice.script(script, { isolation: { ownProcesses } });
    await alice.untilOutput(id, /(?=[^]*main begins)[^]*child begins/);
    await new Promise<void>((resolve, reject) =>
      alice.raw.Signal(
        { jobID: id, signal: "USR1", mainOnly: true },
        (error) => error ? reject(error) : resolve(),
      )
    );
    await alice.untilOutput(id, /main USR1/);
    await new Promise<void>((resolve, reject) =>
      alice.raw.Stop(
        { jobID: id, gracePeriodMs: 5000, mainOnly: true },
        (error) => error ? reject(error) : resolve(),
      )
    );
    assert.equal((await alice.query(id)).exitCode, 9, await alice.text(id));
    assert.match(await alice.text(id), /main TERM/);
    assert.doesNotMatch(await alice.text(id), /child (?:USR1|TERM)/);
    await assertGone(id);
  }
});

Deno.test("Stop: with a grace period of 0 nobody is asked", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell("trap 'echo asked' TERM; echo begin; while :; do sleep 0.05; done");
  await alice.untilOutput(id, /begin/);
  await alice.stop(id, 0);
  assert.equal((await alice.query(id)).signal, 9);
  assert.equal(await alice.text(id), "begin\n");
});

Deno.test("Stop: a second one while the job is stopping waits too, and may hasten the end", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell(STUBBORN);
  await alice.untilOutput(id, /begin/);
  const first = alice.stop(id, 600_000);
  await until("the job to be stopping", async () => {
    return (await alice.query(id)).state === "JOB_STATE_STOPPING";
  });
  const longer = alice.stop(id, 3_000_000);
  await alice.stop(id, 100);
  await Promise.all([first, longer]);
  assert.equal((await alice.query(id)).signal, 9);
  await assertGone(id);
});

Deno.test("Stop: twenty at once end the job once", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell("trap 'echo term' TERM; echo begin; while :; do sleep 0.05; done");
  await alice.untilOutput(id, /begin/);
  await Promise.all(Array.from({ length: 20 }, () => alice.stop(id, 500)));
  assert.equal((await alice.text(id)).match(/^term$/gm)?.length, 1, "SIGTERM was sent again");
  await assertGone(id);
});

Deno.test("Stop: a finished, an unknown and a malformed job is refused with the reason", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.start("true");
  await alice.wait(id);
  await assertStatus(
    alice.stop(id),
    status.FAILED_PRECONDITION,
    /Cannot stop job .* already exited/,
  );
  const ids = [
    crypto.randomUUID(),
    "",
    "..",
    "../x",
    `${id}/..`,
    `${id}\n`,
    "*",
    "x".repeat(10_000),
  ];
  for (const unknown of ids) {
    const { details } = await assertStatus(
      alice.stop(unknown),
      status.NOT_FOUND,
      /No job has the id/,
    );
    assert(details.length < 200, "the message repeats too much");
  }
});

Deno.test("Stop: a grace period above an hour is refused, and the job goes on", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.start("sleep", "1000");
  await assertStatus(alice.stop(id, 3_600_001), status.INVALID_ARGUMENT, /above an hour/);
  const { state } = await alice.query(id);
  assert.equal(state, "JOB_STATE_RUNNING");
  await alice.stop(id, 3_600_000);
});

Deno.test("Stop: a stopped process is ended, too", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell("echo begin; kill -STOP $$; echo never");
  await alice.untilOutput(id, /begin/);
  await alice.stop(id);
  assert.equal((await alice.query(id)).signal, 15);
  assert.equal(await alice.text(id), "begin\n");
  await assertGone(id);
});

testUnless(await lacksPerl(), {
  name: "Stop: a fork bomb stays within its bound, and is gone within a second",
  fn: async () => {
    await using server = await TestServer.start({ flags: ["--max-processes", "200"] });
    const alice = server.client();
    const stopsMs: number[] = [];
    // Several, since other tests take the processor, too: alone on two processors each takes 50 to 350 ms.
    for (const graceMs of [0, 0, 100]) {
      const bomb = '$SIG{TERM} = "IGNORE"; $| = 1; print "begin\n"; fork while 1';
      const id = await alice.start("perl", "-e", bomb);
      await alice.untilOutput(id, /begin/);
      await until("the bomb to be at its bound", async () => {
        return ((await alice.query(id)).usage?.processes ?? 0) >= 200;
      });
      // Others are served meanwhile.
      const other = await alice.shell("echo fine");
      assert.equal(await alice.text(other), "fine\n");
      assert.equal((await alice.query(id)).usage?.processes, 200);
      const beganMs = performance.now();
      await alice.stop(id, graceMs);
      stopsMs.push(performance.now() - beganMs - graceMs);
      await assertGone(id);
    }
    const [, median = Infinity] = stopsMs.toSorted((a, b) => a - b);
    assert(median < 1000, `the stops took ${stopsMs.map(Math.round).join(", ")} ms`);
  },
});

Deno.test("start: a job has limits, an OOM adjustment and processors of its own, whatever the server has", async () => {
  const prelude = "echo 300 >/proc/self/oom_score_adj; ulimit -Sc unlimited; renice -n 7 $$; " +
    "taskset -pc 0 $$";
  await using server = await TestServer.start({ prelude });
  const id = await server.client().shell("cat /proc/self/oom_score_adj; ulimit -Sc; nice; nproc");
  const allowed = 'taskset -c "$(cat /sys/devices/system/cpu/possible)" nproc';
  const { stdout: processors } = await run("sh", ["-c", allowed]);
  assert.equal(await server.client().text(id), `0\n0\n0\n${processors}`);
});

Deno.test("start: a server that is process 1 of a container warns that zombies stay", async () => {
  const prelude = 'exec unshare --pid --fork --kill-child --mount-proc "$0" "$@"';
  await using server = await TestServer.start({ prelude });
  const { log } = server;
  // unshare(1) does not pass SIGTERM on.
  await server.end("SIGKILL");
  assert.match(log, /process 1 of a container.*--init/);
});

Deno.test("start: by container_init.sh as process 1 no zombie stays, and signals reach the server", async () => {
  const init = new URL("../../deploy/container_init.sh", import.meta.url).pathname;
  const prelude = `exec unshare --pid --fork --kill-child --mount-proc ${init} "$0" "$@"`;
  await using server = await TestServer.start({ prelude });
  try {
    const alice = server.client();
    const textOf = async (script: string) => await alice.text(await alice.shell(script));
    const orphans = "i=0; while [ $i -lt 200 ]; do (sleep 0 &); i=$((i + 1)); done";
    const ignored = await textOf(`${orphans}; grep '^SigIgn:' /proc/self/status`);
    assert.match(ignored, /0\n$/, "the job ignores SIGINT or SIGQUIT");
    const zombies = "cat /proc/[0-9]*/stat | grep -c ') Z '; true";
    await until("no zombie", async () => await textOf(zombies) === "0\n");
    const servers = await textOf("cat /proc/[0-9]*/comm | grep -c worker-server");
    assert.equal(servers, "1\n", "the server is not in the namespace");
    await alice.shell("kill -s TERM 1");
    assert.equal((await server.ended()).code, 0);
    assert.match(server.log, /stopped; running jobs go on/);
    assert.doesNotMatch(server.log, /process 1 of a container/);
  } finally {
    // unshare(1) does not pass SIGTERM on.
    if (server.isRunning) await server.end("SIGKILL");
  }
});
