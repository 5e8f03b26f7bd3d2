/** Another user, namespaces and timeouts on pure cgroup v2, on kernels that users have. */
import { strict as assert } from "node:assert";
import { processesOf } from "../support/job_traces.ts";
import { guestTest, sharedServer } from "./guest.ts";

const ISOLATED = { privateTmp: true, noNetwork: true, ownProcesses: true };

guestTest("start: another user, in namespaces, with limits", async () => {
  const server = await sharedServer();
  const client = server.client();
  const id = await client.script(
    "id -un; grep -E '^(CapBnd|NoNewPrivs)' /proc/self/status; ls -A /tmp; " +
      "ls -d /proc/[0-9]* | wc -l; exit 9",
    { user: "nobody", isolation: ISOLATED, limits: { memoryBytes: 64 * 1024 ** 2, processes: 20 } },
  );
  const { exitCode, signal, limits } = await client.wait(id);
  assert.deepEqual([exitCode, signal, limits?.memoryBytes], [9, 0, 64 * 1024 ** 2]);
  const [user, bounding, privileges, count] = (await client.text(id)).trimEnd().split("\n");
  assert.deepEqual([user, bounding, privileges], [
    "nobody",
    "CapBnd:\t0000000000000000",
    "NoNewPrivs:\t1",
  ]);
  assert(Number(count) <= 6, `it sees ${count} processes`);
});

guestTest("stop: reaches the command in its namespace, and its status comes back", async () => {
  const server = await sharedServer();
  const client = server.client();
  const polite = await client.script(
    "trap 'exit 7' TERM; echo up; while :; do sleep 0.1; done",
    { isolation: ISOLATED },
  );
  await client.untilOutput(polite, /up/);
  await client.stop(polite, 60_000);
  assert.equal((await client.query(polite)).exitCode, 7);
  const stubborn = await client.script(
    "trap '' TERM; echo up; setsid sleep 600 & while :; do sleep 1; done",
    { isolation: ISOLATED, user: "nobody" },
  );
  await client.untilOutput(stubborn, /up/);
  await client.stop(stubborn, 0);
  assert.equal((await client.query(stubborn)).signal, 9);
  assert.deepEqual(await processesOf(stubborn), []);
});

guestTest("start: a timeout ends the job, with all that it has", async () => {
  const server = await sharedServer();
  const client = server.client();
  const id = await client.script("sleep 600 & sleep 600", {
    timeoutMs: 500,
    isolation: { ownProcesses: true },
  });
  const { timedOut, signal } = await client.wait(id);
  assert.deepEqual([timedOut, signal], [true, 15]);
  assert.deepEqual(await processesOf(id), []);
});
