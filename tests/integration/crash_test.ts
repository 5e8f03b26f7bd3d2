/** The server is killed, and nothing is lost. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { assertStatus, type TestClient } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** Storms beside each other, each with a server of its own: a storm mostly waits. */
const STORMS = 2;

/** How often each storm kills its server. */
const KILLS = 100;

/** The longest time that a server has between its start and its kill: enough for answers to some calls. */
const LONGEST_LIFE_MS = 600;

/** Starts that are under way at the same time. */
const CONCURRENCY = 6;

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
  const interrupted = assertStatus(alice.stop(id, 1500), status.UNAVAILABLE);
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
  name: "a storm of starts and stops under kill -9: every job is accounted for",
  // grpc-js leaves the timers of a connection that was cut to run out by themselves.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    // Each is waited for, so that no server is left when another storm fails.
    const storms = await Promise.allSettled(Array.from({ length: STORMS }, runStorm));
    for (const storm of storms) if (storm.status === "rejected") throw storm.reason;
  },
});

async function runStorm(): Promise<void> {
  await using server = await TestServer.start();
  const storm = new Storm(server);
  for (let kill = 0; kill < KILLS; kill++) await storm.round(Math.random() * LONGEST_LIFE_MS);
  await storm.settle();
  console.log(
    `${KILLS} kills, ${storm.accepted.size} jobs accepted, ${storm.stopped.size} stopped, ` +
      `${storm.unanswered} calls without an answer`,
  );
  await storm.account();
}

/** What a client asked for, and what became of it. */
interface Accepted {
  exitCode: number;
  runsLong: boolean;
}

/** Clients that start and stop jobs, and try again with the same key when the answer is lost. */
class Storm {
  readonly accepted = new Map<string, Accepted>();
  readonly stopped = new Set<string>();
  unanswered = 0;
  readonly #server: TestServer;
  readonly #traces: string;
  #count = 0;
  /** Starts whose answer was lost, by their key. */
  readonly #pending = new Map<string, Accepted>();
  readonly #runningLong: string[] = [];

  constructor(server: TestServer) {
    this.#server = server;
    this.#traces = join(server.folder, "traces");
    Deno.mkdirSync(this.#traces);
  }

  /** Starts and stops until the server is killed after so many milliseconds; then runs it again. */
  async round(delayMs: number): Promise<void> {
    const client = this.#server.client();
    const killed = new AbortController();
    const workers = Array.from({ length: CONCURRENCY }, () => this.#work(client, killed.signal));
    await new Promise((resolve) => setTimeout(resolve, delayMs));
    await this.#server.end("SIGKILL");
    killed.abort();
    await Promise.all(workers);
    client.raw.close();
    await this.#server.launch();
  }

  /** Gets an answer to every start, and ends what still runs. */
  async settle(): Promise<void> {
    const client = this.#server.client();
    for (const [key, job] of this.#pending) await this.#start(client, key, job);
    for (const id of this.#runningLong.splice(0)) await this.#stop(client, id);
  }

  /** Every id that a client got is known, ended as it should, and ran once; nothing else ran. */
  async account(): Promise<void> {
    const client = this.#server.client();
    assert.equal(this.#pending.size, 0);
    for (const [id, job] of this.accepted) {
      const view = await client.wait(id);
      this.#judge(id, job, view);
    }
    const traces = new Set<string>();
    for await (const { name } of Deno.readDir(this.#traces)) {
      const ids = (await Deno.readTextFile(join(this.#traces, name))).trim().split("\n");
      assert.equal(ids.length, 1, `the job of key ${name} ran ${ids.length} times`);
      traces.add(ids[0] ?? "");
    }
    for (const id of traces) assert(this.accepted.has(id), `job ${id} ran, and no client knows it`);
    assert.equal(await groupsLeft(this.#server), 0);
    const jobs = join(this.#server.logDir, "jobs");
    const folders = [...Deno.readDirSync(jobs)].map(({ name }) => name);
    assert.deepEqual(folders.sort(), [...this.accepted.keys()].sort());
  }

  #judge(id: string, job: Accepted, view: QueryResponse__Output): void {
    assert.equal(view.state, "JOB_STATE_EXITED", `job ${id} is ${view.state}: ${view.reason}`);
    if (job.runsLong) {
      assert(this.stopped.has(id));
      assert.deepEqual([view.exitCode, view.signal], [143, 15], `job ${id}`);
    } else {
      assert.deepEqual([view.exitCode, view.signal], [job.exitCode, 0], `job ${id}`);
    }
  }

  async #work(client: TestClient, killed: AbortSignal): Promise<void> {
    while (!killed.aborted) {
      const [retry] = this.#pending;
      const key = retry?.[0] ?? `key-${this.#count++}`;
      const job = retry?.[1] ?? { exitCode: this.#count % 250, runsLong: this.#count % 5 === 0 };
      this.#pending.delete(key);
      if (!await this.#start(client, key, job)) return;
      const long = this.#runningLong.length > 3 ? this.#runningLong.shift() : undefined;
      if (long !== undefined && !await this.#stop(client, long)) return;
    }
  }

  async #start(client: TestClient, key: string, job: Accepted): Promise<boolean> {
    const script = 'echo "$JOB_ID" >>"$1"; [ "$2" = short ] || exec sleep 1000; exit "$3"';
    const kind = job.runsLong ? "long" : "short";
    const args = ["-c", script, "sh", join(this.#traces, key), kind, String(job.exitCode)];
    try {
      const id = await startWithKey(client, "/bin/sh", args, key);
      this.accepted.set(id, job);
      this.#pending.delete(key);
      if (job.runsLong) this.#runningLong.push(id);
      return true;
    } catch (error) {
      this.#lost(error);
      this.#pending.set(key, job);
      return false;
    }
  }

  async #stop(client: TestClient, id: string): Promise<boolean> {
    this.stopped.add(id);
    try {
      await client.stop(id);
      return true;
    } catch (error) {
      if ((error as { code?: number }).code === status.FAILED_PRECONDITION) return true;
      this.#lost(error);
      this.#runningLong.push(id);
      return false;
    }
  }

  #lost(error: unknown): void {
    const { code, details } = error as { code?: number; details?: string };
    // grpc-js says INTERNAL when the connection breaks while it writes.
    const isBroken = code === status.INTERNAL &&
      /RST_STREAM.*(EPIPE|ECONNRESET)/.test(details ?? "");
    assert(code === status.UNAVAILABLE || isBroken, `status ${code}: ${details}`);
    this.unanswered++;
  }
}

function startWithKey(
  client: TestClient,
  name: string,
  args: string[],
  idempotencyKey: string,
): Promise<string> {
  // Half of the jobs take the longer way to their command; the key decides, so that a retry is the same.
  const takesLongWay = idempotencyKey.charCodeAt(idempotencyKey.length - 1) % 2 === 0;
  const manner = takesLongWay ? { env: { A: "b" }, isolation: { ownProcesses: true } } : {};
  return new Promise((resolve, reject) => {
    client.raw.Start(
      { name, args, idempotencyKey, ...manner },
      (error, response) => error ? reject(error) : resolve(response?.jobID ?? ""),
    );
  });
}

function isAlive(pid: number): boolean {
  try {
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    return !stat.slice(stat.lastIndexOf(")")).startsWith(") Z");
  } catch {
    return false;
  }
}

/** How many jobs' groups there are below the server's. */
async function groupsLeft(server: TestServer): Promise<number> {
  const { stdout } = await run("/bin/sh", [
    "-c",
    'ls -d /sys/fs/cgroup/*/"$1"/*-* /sys/fs/cgroup/"$1"/*-* 2>/dev/null | wc -l',
    "sh",
    server.cgroupParent,
  ]);
  return Number(stdout);
}
