import assert from "node:assert/strict";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { inTime } from "../support/wait.ts";

const CLIENT = join(BIN_DIR, "worker-client");
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}/;

/** With 300 MB in front of it; a client that did nothing has 60 MB. */
const MEMORY_LIMIT_BYTES = 200 * 1024 ** 2;

/** A client that runs, whose output is read by the test. */
class RunningClient implements AsyncDisposable {
  readonly child: Deno.ChildProcess;
  stderr = "";
  readonly #reading: Promise<void>;
  #isEnded = false;

  constructor(args: string[], env: Record<string, string>) {
    this.child = new Deno.Command(CLIENT, {
      args,
      env,
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.child.status.then(() => this.#isEnded = true);
    this.#reading = this.#readStderr();
  }

  /** The exit status, when all of standard error is read. */
  async status(): Promise<Deno.CommandStatus> {
    const status = await inTime("the client to end", this.child.status);
    await inTime("the end of standard error", this.#reading);
    return status;
  }

  /** Reads standard output until it holds a text. */
  async untilOutput(text: string): Promise<void> {
    const reader = this.child.stdout.getReader();
    let read = "";
    while (!read.includes(text)) {
      const { value, done } = await inTime(`the output ${JSON.stringify(text)}`, reader.read());
      assert(!done, `the client ended after ${JSON.stringify(read)}: ${this.stderr}`);
      read += new TextDecoder().decode(value);
    }
    reader.releaseLock();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#isEnded) this.child.kill("SIGKILL");
    if (!this.child.stdout.locked) await this.child.stdout.cancel();
    await this.status();
  }

  async #readStderr(): Promise<void> {
    for await (const bytes of this.child.stderr) this.stderr += new TextDecoder().decode(bytes);
  }
}

function startClient(server: TestServer, ...args: string[]): RunningClient {
  return new RunningClient(args, server.cliEnvironment());
}

/** Starts a script as a job by the client; returns its id. */
async function startJob(server: TestServer, script: string): Promise<string> {
  const { code, stdout, stderr } = await server.cli(["start", "sh", "-c", script]);
  assert.equal(code, 0, stderr);
  return UUID.exec(stdout)?.[0] ?? "";
}

Deno.test("worker-client: the main job, to the letter", async () => {
  await using server = await TestServer.start();
  const started = await server.cli(["start", "ls", "-la", "--color=never", "/"]);
  assert.deepEqual([started.code, started.stderr], [0, ""]);
  assert.match(started.stdout, new RegExp(`^Job ID: ${UUID.source} Started\n$`));
  const id = UUID.exec(started.stdout)?.[0] ?? "";
  const streamed = await server.cli(["stream", id]);
  assert.deepEqual([streamed.code, streamed.stderr], [0, ""]);
  assert.match(streamed.stdout, /^total \d+\n/);
  const queried = await server.cli(["query", id]);
  assert.match(queried.stdout, /^Pid: \d+ Exit code: 0 Exited: true\n$/);

  const sleeper = await startJob(server, "echo up; exec sleep 1000");
  const running = await server.cli(["query", sleeper]);
  assert.match(running.stdout, /^Pid: \d+ Exit code: - Exited: false\n$/);
  const { code, stdout, stderr } = await server.cli(["stop", sleeper]);
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  assert.equal((await server.cli(["wait", sleeper])).code, 143);
  const removed = await server.cli(["remove", id, sleeper]);
  assert.deepEqual([removed.code, removed.stdout, removed.stderr], [0, "", ""]);
  assert.equal((await server.cli(["query", id])).code, 5);
});

Deno.test("worker-client: arguments arrive byte for byte, output comes back so", async () => {
  await using server = await TestServer.start();
  const words = [
    "a b",
    "",
    "line\nline",
    "'\"\\",
    "$(id)`id`",
    "-n",
    "--help",
    "é日本\u{1f980}",
    "\t",
  ];
  const { code, stdout } = await server.cli(["run", "-q", "printf", "[%s]", ...words]);
  assert.deepEqual([code, stdout], [0, words.map((word) => `[${word}]`).join("")]);
});

Deno.test("worker-client: 10 MiB of any bytes come back identical", async () => {
  await using server = await TestServer.start();
  const file = join(server.folder, "bytes");
  const bytes = new Uint8Array(10 * 1024 ** 2);
  for (let begin = 0; begin < bytes.length; begin += 65_536) {
    crypto.getRandomValues(bytes.subarray(begin, begin + 65_536));
  }
  await Deno.writeFile(file, bytes);
  const streamed = await server.cli(["run", "-q", "cat", file]);
  assert.equal(streamed.code, 0, streamed.stderr);
  assert(equalBytes(streamed.bytes, bytes), "the bytes differ");
});

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

Deno.test("worker-client: each failure is one line and a status of its own", async () => {
  await using server = await TestServer.start();
  const id = await startJob(server, "exec sleep 1000");
  const cases: readonly (readonly [string[], string, number, RegExp])[] = [
    [["stop", id], "bob", 4, /^worker-client: bob is reader and may not call Stop/],
    [["start", "ls"], "bob", 4, /^worker-client: bob is reader and may not call Start/],
    [["query", "nope"], "alice", 5, /^worker-client: No job has the id "nope"/],
    [["stream", "nope"], "alice", 5, /^worker-client: No job has the id "nope"/],
    [["remove", id], "alice", 1, /^worker-client: Cannot remove job/],
    [["start", "no-such-program"], "alice", 2, /^worker-client: Cannot start "no-such-program"/],
    [["run", "no-such-program"], "alice", 125, /^worker-client: Cannot start "no-such-program"/],
    [
      ["stream", "--no-retry", "--server", "localhost:1", id],
      "alice",
      3,
      /^worker-client: Cannot reach/,
    ],
    [["query"], "alice", 2, /^worker-client: Missing required argument 'id'/],
  ];
  for (const [args, identity, code, line] of cases) {
    const result = await server.cli(args, identity);
    assert.equal(result.code, code, args.join(" "));
    assert.match(result.stderr, line);
    assert.equal(result.stderr.indexOf("\n"), result.stderr.length - 1, "more than one line");
    assert.equal(result.stdout, "");
  }
});

Deno.test("worker-client: finds its identity in ./certs, then in the home folder", async () => {
  await using server = await TestServer.start();
  const id = await startJob(server, "exit 0");
  const folder = await Deno.makeTempDir({ prefix: "job-worker-client-" });
  try {
    const query = () =>
      run("/usr/bin/env", [
        "-i",
        `HOME=${folder}/home`,
        CLIENT,
        "--server",
        server.address,
        "query",
        id,
      ], {
        cwd: folder,
      });
    const before = await query();
    assert.equal(before.code, 4);
    assert.match(before.stderr, /^worker-client: Cannot find an identity in \.\/certs or /);
    for (const place of [`${folder}/home/.config/job-worker`, `${folder}/certs`]) {
      await Deno.mkdir(place, { recursive: true });
      await Deno.copyFile(server.pki.file("alice.pem"), `${place}/alice.pem`);
      const { code, stderr } = await query();
      assert.deepEqual([code, stderr], [0, ""]);
      await Deno.remove(place, { recursive: true });
    }
    await Deno.mkdir(`${folder}/certs`);
    for (const file of ["ca.crt", "alice.crt", "alice.key"]) {
      await Deno.copyFile(server.pki.file(file), `${folder}/certs/${file}`);
    }
    assert.equal((await query()).code, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("worker-client: a closed pipe ends stream quietly", async () => {
  await using server = await TestServer.start();
  const id = await startJob(server, "yes");
  await using client = startClient(server, "stream", id);
  await client.untilOutput("y\n");
  await client.child.stdout.cancel();
  const { code, signal } = await client.status();
  assert.deepEqual([code, signal], [0, null]);
  assert.equal(client.stderr, "");
});

Deno.test("worker-client: a full disk is reported as a failure", async () => {
  await using server = await TestServer.start();
  const id = await startJob(server, "echo text");
  const { code, stderr } = await run("/bin/sh", [
    "-c",
    'exec "$0" stream "$1" > /dev/full',
    CLIENT,
    id,
  ], { env: server.cliEnvironment() });
  assert.equal(code, 1);
  assert.match(stderr, /^worker-client: Cannot write to standard output: No space left.*\n$/);
});

Deno.test("worker-client: Ctrl-C on stream leaves the job running", async () => {
  await using server = await TestServer.start();
  const id = await startJob(server, "echo up; exec sleep 1000");
  await using client = startClient(server, "stream", id);
  await client.untilOutput("up\n");
  client.child.kill("SIGINT");
  assert.equal((await client.status()).code, 130);
  assert.equal(client.stderr, "");
  assert.equal((await server.client().query(id)).state, "JOB_STATE_RUNNING");
});

Deno.test("worker-client: Ctrl-C on run stops the job", async () => {
  await using server = await TestServer.start();
  await using client = startClient(
    server,
    "run",
    "sh",
    "-c",
    'trap "echo last words; exit 9" TERM; echo up; while :; do sleep 0.1; done',
  );
  await client.untilOutput("up\n");
  client.child.kill("SIGINT");
  await client.untilOutput("last words\n");
  assert.equal((await client.status()).code, 9);
  assert.match(client.stderr, new RegExp(`^worker-client: Job ID: ${UUID.source} Started\n`));
});

Deno.test("worker-client: a second Ctrl-C on run leaves the job running", async () => {
  await using server = await TestServer.start();
  await using client = startClient(
    server,
    ...["run", "--grace", "10m", "sh", "-c", 'trap "" TERM; echo up; sleep 1000 & wait; wait'],
  );
  await client.untilOutput("up\n");
  const id = UUID.exec(client.stderr)?.[0] ?? "";
  client.child.kill("SIGINT");
  const job = server.client();
  await until(
    "the job to be asked to stop",
    async () => (await job.query(id)).state === "JOB_STATE_STOPPING",
  );
  client.child.kill("SIGINT");
  assert.equal((await client.status()).code, 130);
  assert.match(client.stderr, new RegExp(`leaving job ${id} running; .*\n$`));
  assert.equal((await job.query(id)).exited, false);
});

Deno.test("worker-client: a slow reader does not fill the client's memory", async () => {
  await using server = await TestServer.start({ flags: ["--max-output", "400M"] });
  const id = await startJob(server, "head -c 300000000 /dev/zero");
  await server.client().wait(id);
  await using client = startClient(server, "stream", id);
  const reader = client.child.stdout.getReader();
  await inTime("the first output", reader.read());
  const peakBytes = async () => {
    const status = await Deno.readTextFile(`/proc/${client.child.pid}/status`);
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  };
  // It reads what it can; when its memory no longer grows, it has read all that it will.
  let before = 0;
  let quiet = 0;
  await until("the client to stand still", async () => {
    const peak = await peakBytes();
    quiet = peak === before ? quiet + 1 : 0;
    before = peak;
    return quiet > 100;
  });
  assert(before < MEMORY_LIMIT_BYTES, `${before} bytes`);
  await reader.cancel();
  assert.equal((await client.status()).code, 0);
});
