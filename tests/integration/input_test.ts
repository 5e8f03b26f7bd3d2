/** A job's standard input, sent while it runs: by the compiled client, and by a client that lies. */
// Attacks: the input of a job, by those who may not send it, or send too much.
import { status } from "@grpc/grpc-js";
import { Buffer } from "node:buffer";
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { checkInput } from "../../client/api/input_pieces.ts";
import { type JobInput, JobWorkerClient } from "../../client/mod.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { assertStatus } from "../support/client.ts";
import { InputCall } from "../support/input_call.ts";
import { assertGone, endOf } from "../support/job_traces.ts";
import { Mount } from "../support/mount.ts";
import { NetworkPath } from "../support/network_path.ts";
import { TestServer } from "../support/server.ts";
import { inTime, until } from "../support/wait.ts";

const MIB = 1024 ** 2;

/** What is held at most beyond what the job has read. */
const AHEAD = 8 * MIB;

const OPEN = { openStdin: true };

const bytes = (text: string) => Buffer.from(text);

/** `run -i` with a standard input that the test writes. */
function runInput(server: TestServer, args: readonly string[], environment = {}) {
  return spawnClient(server, ["run", "-i", ...args], environment);
}

/** The compiled client with a standard input that the test writes. */
function spawnClient(server: TestServer, args: readonly string[], environment = {}) {
  const child = new Deno.Command(join(BIN_DIR, "worker-client"), {
    args: [...args],
    env: { ...server.cliEnvironment(), ...environment },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = child.stdin.getWriter();
  return {
    input,
    pid: child.pid,
    async ended() {
      const { code, stdout, stderr } = await inTime("the client to end", child.output(), 60_000);
      const decoder = new TextDecoder();
      return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
    },
  };
}

/** Bytes that no two places have alike, without 64 KiB limits of getRandomValues. */
function randomBytes(length: number): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(length);
  for (let begin = 0; begin < length; begin += 65_536) {
    crypto.getRandomValues(all.subarray(begin, begin + 65_536));
  }
  return all;
}

Deno.test("run -i: 32 MiB arrive once and in order, whatever is killed and cut meanwhile", async () => {
  await using server = await TestServer.start();
  using path = new NetworkPath(server.port);
  const all = randomBytes(32 * MIB);
  const client = runInput(server, ["-q", "sha256sum"], {
    JOB_WORKER_SERVER: `localhost:${path.port}`,
  });
  // The client reads no further ahead than the server takes: each cut comes in the middle of the bytes.
  const part = all.length / 4;
  const breaks = [
    () => server.end("SIGKILL").then(() => server.launch()),
    () => Promise.resolve(path.cut()),
    () => server.end("SIGKILL").then(() => server.launch()),
    () => Promise.resolve(),
  ];
  for (const [index, disturb] of breaks.entries()) {
    const writing = client.input.write(all.subarray(index * part, (index + 1) * part - 1000));
    await writing;
    const rest = client.input.write(all.subarray((index + 1) * part - 1000, (index + 1) * part));
    await disturb();
    await rest;
  }
  await client.input.close();
  const { code, stdout } = await client.ended();
  assert.equal(code, 0);
  assert.equal(stdout, `${createHash("sha256").update(all).digest("hex")}  -\n`);
});

Deno.test("run -i: an empty input, one of single bytes, and one that its job leaves", async () => {
  await using server = await TestServer.start();
  const empty = runInput(server, ["wc", "-c"]);
  await empty.input.close();
  assert.deepEqual((await empty.ended()).stdout, "0\n");

  // Each byte is answered before the next one is written.
  const single = runInput(server, [
    "-q",
    "sh",
    "-c",
    "while read -r line; do echo got; done; echo end",
  ]);
  for (const byte of "a\nb\n\0\xff\n") {
    await single.input.write(new Uint8Array([byte.charCodeAt(0)]));
  }
  await single.input.close();
  assert.deepEqual(await single.ended(), { code: 0, stdout: "got\ngot\ngot\nend\n", stderr: "" });

  const left = runInput(server, ["sh", "-c", "exec <&-; sleep 2; exit 7"]);
  const writing = (async () => {
    for (;;) await left.input.write(new Uint8Array(MIB));
  })().catch(() => {});
  const { code, stderr } = await left.ended();
  await writing;
  assert.equal(code, 7);
  assert.match(stderr, /does not read its input any more; the rest is not sent/);

  const head = runInput(server, ["-q", "head", "-c", "5"]);
  const more = (async () => {
    for (;;) await head.input.write(bytes("0123456789"));
  })().catch(() => {});
  assert.deepEqual(await head.ended(), { code: 0, stdout: "01234", stderr: "" });
  await more;
});

Deno.test("library: an input of bytes, of a stream, of what fails, and of two senders after each other", async () => {
  await using server = await TestServer.start();
  using client = JobWorkerClient.open({
    server: server.address,
    identity: await Deno.readTextFile(server.pki.file("alice.pem")),
  });
  const printed = async (input: JobInput) => {
    const { exitCode, output } = await client.run(["cat"], { input });
    return [exitCode, new TextDecoder().decode(output)];
  };
  assert.deepEqual(await printed(bytes("all at once")), [0, "all at once"]);
  assert.deepEqual(await printed(new Blob(["a ", "stream"]).stream()), [0, "a stream"]);
  const ids: string[] = [];
  const failing = async function* () {
    yield bytes("a");
    await Promise.resolve();
    throw new Error("the source has failed");
  };
  const run = client.run(["cat"], { input: failing(), onStart: (id) => ids.push(id) });
  await assert.rejects(run, /the source has failed/);
  assert.equal((await client.query(ids[0] ?? "")).stoppedBy, "alice");
  assert.throws(() => checkInput("text"), /expected a Uint8Array, or a ReadableStream/);

  const jobID = await client.start(["cat"], { openStdin: true });
  const abort = new AbortController();
  const endless = async function* () {
    yield bytes("first ");
    await until("the first to be held", async () => (await client.query(jobID)).inputBytes === 6);
    abort.abort(new Error("enough"));
    await new Promise(() => {});
  };
  await assert.rejects(client.input(jobID, endless(), { signal: abort.signal }), /enough/);
  assert.equal(await client.input(jobID, bytes("second")), true);
  assert.equal((await client.wait(jobID)).exitCode, 0);
  assert.equal(await server.client().text(jobID), "first second");
});

Deno.test("input ID: several commands feed a job one after the other, and the last one ends its input", async () => {
  await using server = await TestServer.start();
  const id = (await server.cli(["start", "-q", "--name", "feed", "--open-stdin", "cat"])).stdout
    .trim();
  const sent = async (text: string, ...args: string[]) => {
    const client = spawnClient(server, ["input", ...args, "feed"]);
    if (text !== "") await client.input.write(bytes(text));
    await client.input.close();
    const { code, stdout, stderr } = await client.ended();
    return [code, stdout + stderr];
  };
  assert.deepEqual(await sent("one\n", "--keep-open"), [0, ""]);
  assert.deepEqual(await sent("two\n", "--keep-open", "-q"), [0, ""]);
  assert.deepEqual(await sent(""), [0, ""]);
  const alice = server.client();
  assert.equal((await endOf(alice, id)).exitCode, 0);
  assert.equal(await alice.text(id), "one\ntwo\n");
  const [code, words] = await sent("late\n");
  assert.equal(code, 1);
  assert.match(String(words), /Cannot send all of the input to job feed: the job has ended/);
});

Deno.test("Input: of a job as another user, in namespaces of its own, which opens /dev/stdin by its name", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  for (
    const request of [{ user: "nobody" }, { isolation: { ownProcesses: true, noNetwork: true } }]
  ) {
    const id = await alice.script("cat /dev/stdin; cat", { ...OPEN, ...request });
    using call = new InputCall(alice, id);
    await call.answer("the first answer");
    call.send({ offset: 0, data: bytes("for you\n"), end: true });
    assert((await call.answer("the end", ({ ended }) => ended)).ended);
    assert.equal(await call.over, undefined);
    assert.equal((await endOf(alice, id)).exitCode, 0);
    assert.equal(await alice.text(id), "for you\n");
  }
});

Deno.test("Input: a job with processes of its own that closes its input is noticed", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const isolation = { ownProcesses: true, privateTmp: true };
  const id = await alice.script("exec <&-; echo closed; exec sleep 1000", { ...OPEN, isolation });
  await alice.untilOutput(id, /closed/);
  using call = new InputCall(alice, id);
  await call.answer("the first answer");
  call.send({ offset: 0, data: bytes("for nobody") });
  await call.answer("that nobody reads", ({ unread }) => unread);
  await alice.stop(id);
});

Deno.test("Input: a job that reads nothing keeps eight mebibytes at most, and who sends more is refused", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.startWith({ name: "sleep", args: ["1000"], ...OPEN });
  using call = new InputCall(alice, id);
  const { allowedBytes } = await call.answer("the first answer");
  assert.equal(allowedBytes, 2 * MIB);
  const data = Buffer.alloc(MIB / 4);
  for (let offset = 0; offset < AHEAD; offset += data.length) {
    const end = offset + data.length;
    await call.answer("leave to send more", (answer) => answer.allowedBytes >= end);
    call.send({ offset, data });
  }
  await call.answer("all of it", ({ heldBytes }) => heldBytes === AHEAD);
  // The feeder has a pipe of 64 KiB, which frees no whole segment.
  assert.equal(call.last.allowedBytes, AHEAD);
  assert.equal((await alice.query(id)).inputBytes, AHEAD);
  assert(await diskBytes(server, id) < 1.2 * AHEAD);
  const { residentBytes: before } = await server.resources();
  for (let offset = AHEAD; offset < 65 * MIB; offset += data.length) call.send({ offset, data });
  const error = await inTime("the refusal", call.over);
  assert.equal(error?.code, status.INVALID_ARGUMENT);
  assert.match(error.details, /bytes from 8388608 on may not be sent yet/);
  assert(await diskBytes(server, id) < 1.2 * AHEAD);
  const { residentBytes } = await server.resources();
  assert(residentBytes - before < 100 * MIB, `${(residentBytes - before) / MIB} MiB more`);
  // A stop does not wait for what is not read, and frees it.
  await alice.stop(id);
  await assertGone(id);
  assert.equal(await diskBytes(server, id), 0);
  assert.equal((await alice.query(id)).inputBytes, AHEAD);
});

Deno.test("run -i: on a full disk the input waits and is told of, and nothing of it is lost", async () => {
  await using mount = await Mount.make("tmpfs", "size=6m");
  await using server = await TestServer.start({ logDir: join(mount.folder, "log") });
  const all = randomBytes(8 * MIB);
  const gate = join(server.folder, "gate");
  const script = 'while [ ! -e "$1" ]; do sleep 0.02; done; exec sha256sum';
  const client = runInput(server, ["sh", "-c", script, "sh", gate]);
  const writing = client.input.write(all).then(() => client.input.close());
  await until("the disk to be full", () => server.log.includes("a job's input waits"));
  assert.equal((await server.client().list()).jobs.length, 1);
  await Deno.writeTextFile(gate, "");
  await writing;
  const { code, stdout, stderr } = await client.ended();
  assert.equal(code, 0);
  assert.equal(stdout, `${createHash("sha256").update(all).digest("hex")}  -\n`);
  assert.match(stderr, /the server's disk is full; the input waits until there is room/);
});

/** What the files of a job's input take. */
async function diskBytes(server: TestServer, id: string): Promise<number> {
  let total = 0;
  const folder = join(server.logDir, "jobs", id, "stdin");
  for await (const { name } of Deno.readDir(folder)) {
    total += ((await Deno.stat(join(folder, name))).blocks ?? 0) * 512;
  }
  return total;
}

Deno.test("Input: a second sender is refused, the same one goes on, and its earlier call is ended", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.startWith({ name: "cat", ...OPEN });
  using first = new InputCall(alice, id, "one");
  await first.answer("the first answer");
  first.send({ offset: 0, data: bytes("abc") });
  await first.answer("what is held", ({ heldBytes }) => heldBytes === 3);
  using second = new InputCall(alice, id, "two");
  const refusal = await inTime("the refusal", second.over);
  assert.equal(refusal?.code, status.FAILED_PRECONDITION);
  assert.match(refusal.details, /another client sends it/);
  using again = new InputCall(alice, id, "one");
  assert.equal((await again.answer("the first answer")).heldBytes, 3);
  const ended = await inTime("the end of the first call", first.over);
  assert.match(ended?.details ?? "", /Another connection goes on with the input/);
  first.send({ offset: 3, data: bytes("lost") });
  again.send({ offset: 3, data: bytes("def\n"), end: true });
  await again.answer("the end", ({ ended }) => ended);
  assert.equal((await endOf(alice, id)).exitCode, 0);
  assert.equal(await alice.text(id), "abcdef\n");
  // Of a job that has ended nothing is left to be fed.
  using late = new InputCall(alice, id, "one");
  assert.deepEqual(
    await late.answer("the first answer"),
    { heldBytes: 7, allowedBytes: 7, ended: true, unread: true, diskFull: false },
  );
  assert.equal(await late.over, undefined);
  await alice.remove(id);
});

Deno.test("Input: offsets that lie are refused, and what was held before stays as it was", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.startWith({ name: "cat", ...OPEN });
  for (const offset of [1, 2 ** 40, Number.MAX_SAFE_INTEGER]) {
    using call = new InputCall(alice, id);
    await call.answer("the first answer");
    call.send({ offset, data: bytes("x") });
    const error = await inTime("the refusal", call.over);
    assert.equal(error?.code, status.INVALID_ARGUMENT);
  }
  using call = new InputCall(alice, id);
  assert.equal((await call.answer("the first answer")).heldBytes, 0);
  call.send({ offset: 0, data: bytes("good\n"), end: true });
  await endOf(alice, id);
  assert.equal(await alice.text(id), "good\n");
});

Deno.test("Input: only who may change the job may send, and only to a job that was started for it", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const open = await alice.startWith({ name: "cat", ...OPEN });
  const plain = await alice.startWith({ name: "sleep", args: ["1000"] });
  const refused = async (client: typeof alice, id: string) => {
    using call = new InputCall(client, id);
    const error = await inTime("the refusal", call.over);
    return [error?.code, error?.details];
  };
  const [code, details] = await refused(server.client("bob"), open);
  assert.deepEqual([code], [status.PERMISSION_DENIED], String(details));
  assert.match(String(details), /bob is reader and may not call Input/);
  const [other, reason] = await refused(alice, plain);
  assert.equal(other, status.FAILED_PRECONDITION);
  assert.match(String(reason), /was not started with an open standard input/);
  assert.equal((await refused(alice, crypto.randomUUID()))[0], status.NOT_FOUND);
  await assertStatus(
    alice.startWith({ name: "cat", ...OPEN, stdin: bytes("x") }),
    status.INVALID_ARGUMENT,
    /either sent with the start or while the job runs/,
  );
  await alice.stop(open);
  await alice.stop(plain);
  const audit = await Deno.readTextFile(join(server.logDir, "audit", "changes.log")).catch(() =>
    ""
  );
  assert.equal(audit.includes("for you"), false);
});

Deno.test("Input: the feeder ends with its job, also when a server has died and the job never reads", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.startWith({ name: "sleep", args: ["1000"], ...OPEN });
  {
    using call = new InputCall(alice, id);
    await call.answer("the first answer");
    call.send({ offset: 0, data: Buffer.alloc(200_000) });
    await call.answer("what is held", ({ heldBytes }) => heldBytes === 200_000);
  }
  const { pid } = await alice.query(id);
  await server.end("SIGKILL");
  assert(await feedersOf(server, id) > 0);
  Deno.kill(pid, "SIGKILL");
  await until("the feeder to be gone", async () => await feedersOf(server, id) === 0);
  await server.launch();
  const job = await server.client().query(id);
  assert.deepEqual([job.signal, job.inputBytes], [9, 200_000]);
});

/** Processes that have a file of a job's input open. */
async function feedersOf(server: TestServer, id: string): Promise<number> {
  const folder = join(server.logDir, "jobs", id, "stdin");
  let count = 0;
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      for await (const descriptor of Deno.readDir(`/proc/${name}/fd`)) {
        const target = await Deno.readLink(`/proc/${name}/fd/${descriptor.name}`);
        if (target.startsWith(folder)) {
          count++;
          break;
        }
      }
    } catch {
      // It has ended meanwhile.
    }
  }
  return count;
}
