/**
 * SIGKILL leaves nothing of a job, on every kind of host: with cgroup.kill, with a freezer, with pids.max
 * alone, with none of them. What this host has too much is hidden: files from the scripts, hierarchies by
 * a mount namespace of the server.
 */
// Attacks: the end of a job, by forks and groups of its own.
import { strict as assert } from "node:assert";
import { scripts } from "../../lib/shim/scripts.ts";
import { runScript } from "../../lib/shim/shell.ts";
import { assertGone } from "../support/job_traces.ts";
import { TestServer } from "../support/server.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

const ROOT = "/sys/fs/cgroup";

/** Thirty processes of which each forks another one and ends, again and again. */
const CHAINS = "link() { link & }; n=0; while [ $n -lt 30 ]; do link & n=$((n + 1)); done; " +
  "exec sleep 1000";

/** Why a host that is not a hybrid one cannot show the others. */
async function isNoHybrid(): Promise<string | undefined> {
  for (const name of ["unified", "freezer", "pids", "memory", "cpu"]) {
    if (await Deno.stat(`${ROOT}/${name}/cgroup.procs`).catch(() => undefined) === undefined) {
      return `${ROOT}/${name} is not mounted`;
    }
  }
  return undefined;
}

const notHybrid = await isNoHybrid();

/** The processes of groups. */
async function processesIn(groups: readonly string[]): Promise<string[]> {
  const texts = await Promise.all(
    groups.map((group) => Deno.readTextFile(`${group}/cgroup.procs`)),
  );
  return texts.join("").split("\n").filter((line) => line !== "");
}

/** Runs chains of forks in new groups, and kills them with those files hidden. */
async function killChains(hierarchies: readonly string[], hidden: readonly string[]) {
  const name = `job-worker-test-${crypto.randomUUID()}`;
  const groups = hierarchies.map((hierarchy) => `${ROOT}/${hierarchy}/${name}`);
  for (const group of groups) await Deno.mkdir(group);
  const enter = groups.map((group) => `echo $$ >${group}/cgroup.procs; `).join("");
  const job = new Deno.Command("/bin/sh", {
    args: ["-c", `${enter}exec /bin/sh -c '${CHAINS}'`],
    stdin: "null",
    stderr: "null",
  }).spawn();
  try {
    await until("the chains", async () => (await processesIn(groups.slice(0, 1))).length > 20);
    const script = hidden.reduce((text, file) => text.replaceAll(file, "hidden"), scripts.signal);
    assert.equal(await runScript(script, ["KILL", ...groups]), "reached\n");
    await job.status;
    await until("the dead to be gone", async () => (await processesIn(groups)).length === 0);
  } finally {
    await runScript(scripts.signal, ["KILL", ...groups]);
    await job.status;
    await runScript(scripts.remove, groups);
  }
}

for (
  const [kind, hierarchies, hidden] of [
    ["cgroup v2 since Linux 5.14", ["unified"], []],
    ["cgroup v2 since Linux 5.2", ["unified"], ["cgroup.kill"]],
    ["older cgroup v2", ["unified", "pids"], ["cgroup.kill", "cgroup.freeze"]],
    ["cgroup v1 with a freezer", ["freezer", "memory"], []],
    ["cgroup v1 without one", ["memory", "pids"], []],
    ["cgroup v1 with neither freezer nor pids", ["memory"], []],
  ] as const
) {
  testUnless(notHybrid, {
    name: `kill: thirty chains of forks end at once on ${kind}`,
    fn: () => killChains(hierarchies, hidden),
  });
}

/** Starts a server that does not see these hierarchies. */
function serverWithout(...hierarchies: string[]): Promise<TestServer> {
  const folders = hierarchies.map((hierarchy) => `${ROOT}/${hierarchy}`).join(" ");
  const script = `umount ${folders}; exec "$0" "$@"`;
  return TestServer.start({ prelude: `exec unshare --mount bash -c '${script}' "$0" "$@"` });
}

for (
  const { without, tracker } of [
    { without: ["unified"], tracker: "freezer" },
    { without: ["unified", "freezer"], tracker: "cpu" },
  ]
) {
  testUnless(notHybrid, {
    name: `kill: what a job has put into groups of its own ends with it, without ${without}`,
    fn: async () => {
      await using server = await serverWithout(...without);
      const alice = server.client();
      const mine = (hierarchy: string) => `${ROOT}/${hierarchy}/${server.cgroupParent}/$JOB_ID`;
      // One process below the tracker's group; one that has left it, and is below another of the job's.
      const script = `mkdir ${mine(tracker)}/a ${mine(tracker)}/a/b ${mine("pids")}/c; ` +
        `sh -c "echo \\$\\$ >${mine(tracker)}/a/b/cgroup.procs; trap '' TERM; ` +
        `while :; do sleep 1; done" & ` +
        `sh -c "echo \\$\\$ >${ROOT}/${tracker}/cgroup.procs; ` +
        `echo \\$\\$ >${mine("pids")}/c/cgroup.procs; trap '' TERM; while :; do sleep 1; done" & ` +
        `sleep 0.3; echo ready; `;
      const stopped = await alice.shell(`${script} wait`);
      await alice.untilOutput(stopped, /ready/);
      await alice.stop(stopped, 200);
      await assertGone(stopped);
      const ended = await alice.script(`${script} exit 3`, { gracePeriodMs: 300 });
      await alice.untilOutput(ended, /ready/);
      const { exitCode, startedAtMs, endedAtMs } = await alice.wait(ended);
      assert.equal(exitCode, 3);
      assert(Number(endedAtMs) - Number(startedAtMs) >= 600, "the grace period was cut short");
      await assertGone(ended);
    },
  });
}
