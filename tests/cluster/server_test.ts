/** The compiled server and client over a cluster: what users see of it. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { LOG_DIR } from "../support/binaries.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { StaleShare } from "../support/cluster/stale_share.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { testUnless } from "../support/skip.ts";
import { inTime, until } from "../support/wait.ts";

/** An answer that asks nobody comes sooner, also on a busy host; a hung controller holds a question longer. */
const AT_ONCE_MS = 3000;

const reason = await whyNoCluster();
const folder = join(LOG_DIR, `share-${Deno.pid}`);
let cluster: Cluster;
let share: StaleShare;
let server: TestServer;
if (reason === undefined) {
  Deno.test.beforeAll(async () => {
    cluster = await Cluster.start();
    // What nodes write becomes visible to the server seconds later, as on a real share.
    share = await StaleShare.make(folder);
    const flags = ["--engine", "slurm", "--shared-dir", folder, "--slurm-conf", cluster.confFile];
    server = await TestServer.start({ flags: [...flags, "--max-output", "1M"] });
  });
  Deno.test.afterAll(async () => {
    await server[Symbol.asyncDispose]();
    await share[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
    await Deno.remove(folder, { recursive: true });
  });
}

function test(name: string, fn: () => Promise<void>): void {
  testUnless(reason, {
    name: `cluster server: ${name}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

async function start(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await server.cli(["start", "--quiet", ...words]);
  assert.equal(code, 0, stderr);
  return stdout.trim();
}

async function query(id: string): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await server.cli(["query", "--json", id]);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
}

test("run goes from the queue to the end: output, error, exit code, and the node", async () => {
  const ran = await inTime(
    "the run",
    server.cli(["run", "--", "sh", "-c", "echo $SLURMD_NODENAME; exit 7"]),
  );
  assert.equal(ran.code, 7, ran.stderr);
  assert.match(ran.stdout, /^jw\d+n[12]\n$/);
});

test("a stream of a share with stale caches is complete, also over a server that is killed", async () => {
  const gate = join(cluster.folder, "gate");
  const id = await start(
    ...[
      "--",
      "sh",
      "-c",
      `seq 2000; until [ -e ${gate} ]; do sleep 0.1; done; seq 2001 4000; exit 4`,
    ],
  );
  const streamed = server.cli(["stream", id]);
  await until("the job to run", async () => (await query(id)).state === "running");
  const { stdout: stats } = await inTime("the usage", server.cli(["stats", "--json"]));
  const { cpuPercent, usage } = JSON.parse(stats);
  assert.equal(typeof cpuPercent, "number", stats);
  assert(usage.memoryBytes > 0 && Date.now() - usage.asOfMs < 30_000, stats);
  await server.end("SIGKILL");
  await Deno.writeTextFile(gate, "");
  await server.launch();
  const { stdout } = await inTime("the stream", streamed, 90_000);
  assert.equal(stdout, Array.from({ length: 4000 }, (_, index) => `${index + 1}\n`).join(""));
  const waited = await inTime("the wait", server.cli(["wait", id]));
  assert.equal(waited.code, 4, waited.stderr);
  const { state, exitCode, node } = await query(id);
  assert.deepEqual([state, exitCode], ["exited", 4]);
  assert.match(String(node), /^jw\d+n[12]$/);
});

test("an output is bounded where no file's beginning can be freed, and read as one file", async () => {
  const id = await start(
    ...["--", "sh", "-c"],
    `for i in 0 1 2 3 4 5 6 7 8 9; do seq $((i * 40000 + 1)) $(((i + 1) * 40000)); sleep 0.3; done; exit 5`,
  );
  const { stdout, stderr } = await inTime("the stream", server.cli(["stream", id]), 60_000);
  const whole = Array.from({ length: 400_000 }, (_, index) => `${index + 1}\n`).join("");
  // A cache of seconds may show a reader more at once than is kept: then it is told what it has missed.
  const missed = [...stderr.matchAll(/(\d+) bytes are missing/g)]
    .reduce((sum, [, bytes]) => sum + Number(bytes), 0);
  assert.equal(stdout.length + missed, whole.length, stderr);
  assert(whole.endsWith(stdout.slice(-(1 << 20))), "the end differs");
  const first = await until("the beginning to be removed", async () => {
    const { exitCode, outputFirstOffset } = await query(id);
    return exitCode === 5 && Number(outputFirstOffset) > whole.length - (2 << 20) &&
      Number(outputFirstOffset);
  });
  const kept = await server.cli(["stream", "--no-follow", "--offset", String(first), id]);
  assert(kept.stdout === whole.slice(first), `${kept.stdout.length} bytes from ${first} on`);
  const { stdout: disk } = await run("du", ["--block-size=1", "-s", join(folder, "jobs", id)]);
  assert(parseInt(disk) < 1.5 * 1024 ** 2, disk);
});

test("a job that puts pipes in the place of its files holds up neither its end nor who reads its output", async () => {
  const jobFolder = `${join(folder, "jobs")}/$JOB_ID`;
  const id = await start(
    ...["--", "sh", "-c"],
    `echo kept; cd ${jobFolder} && rm -f gaps times && mkfifo gaps times && exit 3`,
  );
  const waited = await inTime("the end", server.cli(["wait", id]));
  assert.equal(waited.code, 3, waited.stderr);
  const times = join(folder, "jobs", id, "times");
  await until("the pipe to be seen", async () => (await Deno.lstat(times)).isFifo);
  const { stdout, stderr } = await inTime("the stream", server.cli(["stream", "--timestamps", id]));
  assert.match(stdout, / kept\n$/, stderr);
});

test("a job that waits says why, at once also where the controller hangs, and is taken back", async () => {
  const id = await start("--begin", "+2h", "--", "echo", "ran");
  const waiting = await until("why it waits", async () => {
    const job = await query(id);
    return job.pendingReason === "BeginTime" && job;
  });
  assert.equal(waiting.state, "pending");
  cluster.stopController();
  try {
    const beganMs = performance.now();
    assert.equal((await query(id)).state, "pending");
    const tookMs = performance.now() - beganMs;
    assert(tookMs < AT_ONCE_MS, `a query took ${tookMs} ms`);
  } finally {
    cluster.continueController();
  }
  const { code, stderr } = await inTime("the stop", server.cli(["stop", id]), 60_000);
  assert.equal(code, 0, stderr);
  const ended = await until("its end", async () => {
    const job = await query(id);
    return job.state === "never-ran" && job;
  });
  assert.equal(ended.exitCode, null);
});
