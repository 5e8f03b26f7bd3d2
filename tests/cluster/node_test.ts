/** What a job's launcher and listener do on a node, without our server: sbatch, and files. */
import { strict as assert } from "node:assert";
import { basename, join } from "node:path";
import { parseLaunchReport } from "../../lib/executor/launch_report.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { BatchJob, type BatchJobOptions, lineOf } from "../support/cluster/batch_job.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

const NOBODY = 65534;

const reason = await whyNoCluster();
let cluster: Cluster;
if (reason === undefined) {
  Deno.test.beforeAll(async () => {
    cluster = await Cluster.start();
    await cluster.node(1).run(["mount", "--bind", "/bin/bash", await Deno.realPath("/bin/sh")]);
  });
  Deno.test.afterAll(() => cluster[Symbol.asyncDispose]());
}

function test(name: string, fn: () => Promise<void>): void {
  testUnless(reason, { name: `node: ${name}`, fn });
}

let submitted = 0;

/** A job of a shell's script: by turns on a node with this host's shell, and on one with bash as its sh. */
function submit(
  script: string,
  { flags = [], ...options }: Omit<BatchJobOptions, "command"> = {},
): Promise<BatchJob> {
  const node = cluster.node(submitted++ % 2);
  return BatchJob.submit(cluster, {
    command: ["/bin/sh", "-c", script],
    flags: [`--nodelist=${node.name}`, ...flags],
    ...options,
  });
}

/** Processes on this host whose command line has a text. */
async function processesWith(text: string): Promise<number> {
  const { stdout } = await run("pgrep", ["--full", "--count", "--", text]);
  return Number(stdout);
}

test("a job has its variables, input, folder and umask, and leaves nothing but its files", async () => {
  const job = await submit('echo "$WORD,${MAIL-},$HOME,$(pwd),$(umask),$(cat)"; exit 3', {
    environment: { WORD: "it's\na $word" },
    input: "input",
    settings: { workingDirectory: "/usr", umask: 0o027 },
  });
  const record = await job.ended();
  assert.equal(lineOf(record, "exit"), "3");
  assert.match(lineOf(record, "node") ?? "", /^jw\d+n[12]$/);
  assert.equal(await job.text("output"), "it's\na $word,,/root,/usr,0027,input\n");
  assert.equal(lineOf(record, "output"), String((await job.text("output")).length));
  assert.equal(await job.left(), "FAILED 3:0");
  const files = (await Array.fromAsync(Deno.readDir(job.folder))).map(({ name }) => name).sort();
  assert.deepEqual(files, ["engine.out", "launch", "output", "script"]);
  // By its id: another cluster on this host may have a job of the same number.
  const groups = await run("find", [
    "/sys/fs/cgroup",
    "-name",
    `job-worker-*-${basename(job.folder)}`,
  ]);
  assert.equal(groups.stdout, "");
});

test("what cannot be run is refused in the words of a host without a cluster, and nothing runs", async () => {
  const [absent, nowhere] = await Promise.all([
    BatchJob.submit(cluster, { command: ["no-such-program"] }),
    submit("echo ran", { settings: { workingDirectory: "/nowhere" } }),
  ]);
  const refusalIn = async (job: BatchJob, name: string) => {
    const report = parseLaunchReport((await job.ended()).join("\n") + "\n", name);
    assert(report.kind === "refused");
    return report.error.message;
  };
  assert.match(await refusalIn(absent, "no-such-program"), /"no-such-program": no such program/);
  assert.match(await refusalIn(nowhere, "sh"), /its working directory is not a folder/);
  assert.equal(await nowhere.text("output"), "");
  assert.equal(await absent.left(), "FAILED 1:0");
  for (const job of [absent, nowhere]) {
    assert.equal(lineOf(await job.record(), "job"), undefined);
  }
});

test("a second run of a job, and one that was withdrawn, run nothing", async () => {
  const witness = join(cluster.folder, "witness");
  const job = await submit(`echo once >>${witness}; sleep 60`);
  await until("the first run", () => Deno.stat(witness).then(() => true, () => false));
  const again = await job.submitAgain();
  assert.equal(await again.left(), "FAILED 1:0");
  assert.equal(await Deno.readTextFile(witness), "once\n");
  await job.order({ kind: "kill" });
  assert.equal(lineOf(await job.ended(), "exit"), "137");

  const withdrawn = await submit(`echo twice >>${witness}`, { flags: ["--hold"] });
  await Deno.writeTextFile(join(withdrawn.folder, "launch"), "withdrawn\n", { createNew: true });
  await withdrawn.release();
  assert.equal(await withdrawn.left(), "FAILED 1:0");
  assert.deepEqual(await withdrawn.record(), ["withdrawn"]);
  assert.equal(await Deno.readTextFile(witness), "once\n");
});

test("a job whose share is full on its node runs nothing, and leaves no record of a beginning", async () => {
  for (const node of cluster.nodes) {
    const witness = join(cluster.folder, `full-${node.name}`);
    const job = await BatchJob.submit(cluster, {
      command: ["/bin/sh", "-c", `echo ran >${witness}`],
      flags: [`--nodelist=${node.name}`, "--hold"],
    });
    const { folder } = job;
    // Its own mount, over the job's folder, which only this node has.
    await node.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", folder]);
    await node.run(["dd", "if=/dev/zero", `of=${folder}/fill`, "bs=4k", "count=1"]);
    await job.release();
    assert.equal(await job.left(), "FAILED 1:0");
    const { stdout } = await node.run(["ls", folder]);
    assert.equal(stdout, "engine.out\nfill\n");
    await node.run(["umount", folder]);
    await assert.rejects(Deno.stat(witness), Deno.errors.NotFound);
  }
});

test("limits hold as they do without a cluster, where jobs run as root", async () => {
  const busy = "end=$(($(date +%s) + 3)); while [ $(date +%s) -lt $end ]; do :; done";
  const [half, small] = await Promise.all([
    submit(busy, { limits: { cpuCores: 0.5 } }),
    submit("tail /dev/zero; echo $?", { limits: { memoryBytes: 32 << 20 }, flags: ["--mem=100"] }),
  ]);
  const record = await half.ended();
  const cpuSeconds = Number(record[record.indexOf("counter cpuacct.usage") + 1]) / 1e9;
  assert(cpuSeconds < 2.2, `${cpuSeconds} s of processor in 3 to 4 s`);
  // Counted only where there is a quota; a busy host leaves nothing to throttle.
  assert.notEqual(lineOf(record, "nr_periods"), "0");
  assert.notEqual(lineOf(await small.ended(), "oom_kill"), "0");
  assert.match(await small.text("output"), /^137$/m);
});

test("a stop reaches a whole tree, its daemons too; SIGKILL comes after the grace period", async () => {
  const polite = await submit(
    "trap 'echo heard; exit 7' TERM; echo ready; while :; do sleep 0.05; done",
  );
  const rude = await submit(
    "setsid sh -c 'trap \"echo heard\" TERM; echo ready; while :; do sleep 0.05; done' & " +
      "trap '' TERM; while :; do sleep 0.05; done",
  );
  await Promise.all([polite.hasPrinted("ready"), rude.hasPrinted("ready")]);
  const stop = { kind: "stop", signal: "TERM", graceMs: 1000 } as const;
  const beganMs = performance.now();
  assert.equal(await polite.order(stop), "reached");
  assert.equal(lineOf(await polite.ended(), "exit"), "7");
  const politeMs = performance.now() - beganMs;
  const rudeBeganMs = performance.now();
  assert.equal(await rude.order({ kind: "signal", signal: "WINCH" }), "reached");
  assert.equal(await rude.order(stop), "reached");
  const record = await rude.ended();
  const rudeMs = performance.now() - rudeBeganMs;
  assert.equal(lineOf(record, "exit"), "137");
  assert(rudeMs >= 1000, `killed after ${rudeMs} ms`);
  assert.match(await rude.text("output"), /^heard$/m);
  assert.equal(await polite.left(), "FAILED 7:0");
  console.log(`a polite job was gone ${Math.round(politeMs)} ms after its stop`);
});

test("a later order brings SIGKILL forward, and signals no second time", async () => {
  const job = await submit("trap 'echo heard' TERM; echo ready; while :; do sleep 0.05; done");
  await job.hasPrinted("ready");
  await job.order({ kind: "stop", signal: "TERM", graceMs: 600_000 });
  await job.hasPrinted("heard");
  await job.order({ kind: "stop", signal: "TERM", graceMs: 500_000 });
  await job.order({ kind: "kill" });
  assert.equal(lineOf(await job.ended(), "exit"), "137");
  assert.equal((await job.text("output")).match(/heard/g)?.length, 1);
});

test("the timeout is kept by the node, from the command's beginning on, and told", async () => {
  const timeoutMs = 700;
  const job = await submit("trap 'exit 0' TERM; echo ready; while :; do sleep 0.05; done", {
    settings: { timeoutMs },
    environment: { A: "b" },
    flags: ["--hold"],
  });
  // A launcher that waits for its files is a node that takes long.
  const secrets = join(job.folder, "secrets");
  await Deno.rename(secrets, `${secrets}.late`);
  await job.release();
  await until("the launcher", async () => lineOf(await job.record(), "node") !== undefined);
  await new Promise((resolve) => setTimeout(resolve, 2 * timeoutMs));
  await Deno.rename(`${secrets}.late`, secrets);
  const record = await job.ended();
  assert(record.includes("timed-out"), record.join("\n"));
  assert.equal(lineOf(record, "exit"), "0");
  assert.match(await job.text("output"), /^ready$/m);
});

test("the end is told when nothing of the job is left, with all of its output", async () => {
  const mark = `job-worker-remains-${Deno.pid}`;
  const job = await submit(
    `sh -c 'trap "" TERM; echo begun; while :; do sleep 0.05; done; : ${mark}' & ` +
      'seq 100000; until [ -n "$stop" ]; do sleep 0.1; stop=1; done',
    { graceMs: 500 },
  );
  const record = await job.ended();
  assert.equal(await processesWith(mark), 0);
  // It may come between two pieces of a line.
  const lines = (await job.text("output")).replace("begun\n", "").split("\n");
  assert.deepEqual([lines.length, lines.at(-2)], [100_001, "100000"]);
  assert.equal(lineOf(record, "exit"), "0");
});

test("an admin's scancel asks the job to end by its own signal, and the record tells how it did", async () => {
  const job = await submit(
    "trap 'echo heard; exit 5' HUP; echo ready; while :; do sleep 0.05; done",
    {
      settings: { stopSignal: "HUP" },
    },
  );
  await job.hasPrinted("ready");
  await cluster.run(["scancel", job.number]);
  assert.equal(lineOf(await job.ended(), "exit"), "5");
  assert.match(await job.text("output"), /^heard$/m);
  assert.match(await job.left(), /^CANCELLED/);
});

test("a signal that an admin sends to the batch shell ends no job", async () => {
  const jobs = await Promise.all(
    [1, 2].map(() =>
      submit("echo ready; until [ -e go ]; do sleep 0.05; done; exit 6", {
        settings: { workingDirectory: cluster.folder },
      })
    ),
  );
  for (const job of jobs) {
    await job.hasPrinted("ready");
    for (const signal of ["HUP", "USR2"]) {
      await cluster.run(["scancel", "--batch", `--signal=${signal}`, job.number]);
    }
    // The answer shows that the listener is there after the signals.
    assert.equal(await job.order({ kind: "signal", signal: "WINCH" }), "reached");
  }
  await Deno.writeTextFile(join(cluster.folder, "go"), "");
  for (const job of jobs) assert.equal(lineOf(await job.ended(), "exit"), "6");
});

test("a signal for the command alone reaches it in a process namespace, too", async () => {
  const job = await submit(
    "trap 'echo heard' HUP; (trap 'echo child' HUP; while :; do sleep 0.05; done) & " +
      "echo ready $$; while :; do sleep 0.05; done",
    { settings: { isolation: { ...DEFAULT_SETTINGS.isolation, ownProcesses: true } } },
  );
  await job.hasPrinted("ready ");
  assert.equal(await job.order({ kind: "signal", signal: "HUP", mainOnly: true }), "reached");
  await job.hasPrinted("heard");
  await job.order({ kind: "kill" });
  await job.ended();
  assert.doesNotMatch(await job.text("output"), /child/);
});

test("a job of another user is his, is stopped, and has no groups of ours", async () => {
  const job = await submit("id -u; echo $USER; trap '' TERM; sleep 1000 & echo ready; wait", {
    uid: NOBODY,
    environment: { A: "b" },
  });
  await job.hasPrinted("ready");
  await job.order({ kind: "stop", signal: "TERM", graceMs: 200 });
  const record = await job.ended();
  assert.equal(await job.text("output"), `${NOBODY}\nnobody\nready\n`);
  assert(record.includes("counter memory.oom_control"), record.join("\n"));
  assert.equal((await Deno.stat(join(job.folder, "launch"))).uid, NOBODY);
});

test("a job hears every signal that a process may hear, as one without a cluster", async () => {
  const job = await submit("grep Sig[IB] /proc/self/status");
  await job.ended();
  // Signal 32 is one that glibc keeps to itself.
  assert.match(await job.text("output"), /^SigBlk:\t0{16}\nSigIgn:\t0{8}[08]0{7}$/m);
});

test("a job whose variables did not come is refused, not run without them", async () => {
  const job = await submit("echo ran", { environment: { A: "b" }, flags: ["--hold"] });
  await Deno.remove(join(job.folder, "secrets"));
  await job.release();
  const report = parseLaunchReport((await job.ended()).join("\n") + "\n", "sh");
  assert(report.kind === "refused");
  assert.match(report.error.message, /did not come to its node/);
  assert.equal(await job.text("output"), "");
});
