/** The audit trail of the compiled server: what is in it, whatever callers do against that. */
// Attacks: the audit trail.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { type ClientHttp2Session, connect, type OutgoingHttpHeaders } from "node:http2";
import { join } from "node:path";
import { FrameFlag, FrameType } from "../../common/http2_frames.ts";
import { jobService } from "../../proto/contract.ts";
import { assertStatus } from "../support/client.ts";
import { endOf } from "../support/job_traces.ts";
import {
  CANCEL,
  concatenate,
  DEFAULT_WINDOW_BYTES,
  frame,
  RawConnection,
  requestHeaders,
  uint32,
} from "../support/raw_reader.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { inTime, until } from "../support/wait.ts";

/** How old a file of the trail is: 0 is the one that is written to. */
function pieceOf(name: string): number {
  return Number(/\d+/.exec(name)?.[0] ?? 0);
}

type Entry = Record<string, unknown>;

/** The entries of a part of a server's audit trail, all its files together. */
async function readPart(server: TestServer, part: "audit" | "changes"): Promise<Entry[]> {
  const folder = join(server.logDir, "audit");
  const names = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name)
    .filter((name) => name.startsWith(part));
  const texts = await Promise.all(
    names.sort((one, other) => pieceOf(other) - pieceOf(one)).map((name) =>
      Deno.readTextFile(join(folder, name))
    ),
  );
  const text = texts.join("");
  return text.slice(0, text.lastIndexOf("\n") + 1).split("\n").filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}

/** The entries of a server's audit trail, both parts. */
async function readTrail(server: TestServer): Promise<Entry[]> {
  return [...await readPart(server, "audit"), ...await readPart(server, "changes")];
}

/** Waits for an entry with these fields. */
function entryWith(server: TestServer, fields: Entry): Promise<Entry> {
  const names = Object.keys(fields);
  return until(
    JSON.stringify(fields),
    async () =>
      (await readTrail(server)).find((entry) =>
        names.every((name) => entry[name] === fields[name])
      ),
  );
}

Deno.test("audit: each call and each refusal is a line, with who, from where and what came of it", async () => {
  await using server = await TestServer.start();
  const alice = server.client();
  const id = await alice.shell(`echo '{"time":"x","event":"call","who":"mallory"}'`);
  await endOf(alice, id);
  await alice.output(id);
  await assertStatus(server.client("bob").start("true"), status.PERMISSION_DENIED);
  await assertStatus(alice.query("00000000-0000-4000-8000-000000000000"), status.NOT_FOUND);
  await run("openssl", ["s_client", "-connect", `127.0.0.1:${server.port}`, "-tls1_2"]);
  const expected = [
    { event: "call", method: "/JobService/Start", who: "alice", code: "OK", job: id },
    { event: "call", method: "/JobService/Stream", who: "alice", code: "OK", job: id },
    { event: "call", method: "/JobService/Start", who: "bob", code: "PERMISSION_DENIED" },
    { event: "call", method: "/JobService/Query", who: "alice", code: "NOT_FOUND" },
    { event: "a handshake was refused" },
  ];
  for (const fields of expected) {
    const entry = await entryWith(server, fields);
    assert.match(String(entry["time"]), /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
    assert.match(String(entry["peer"]), /127\.0\.0\.1:\d+/);
    if (entry["event"] !== "call") continue;
    assert.match(String(entry["serial"]), /^[0-9A-Fa-f]+$/);
    assert.equal(entry["roles"], entry["who"] === "alice" ? "writer" : "reader");
    assert.equal(typeof entry["ms"], "number");
  }
  assert(!(await readTrail(server)).some((entry) => entry["who"] === "mallory"));
  for (const name of ["audit.jsonl", "changes.jsonl"]) {
    const { mode } = await Deno.stat(join(server.logDir, "audit", name));
    assert.equal((mode ?? 0) & 0o777, 0o600);
  }
});

Deno.test("audit: is bounded, goes on after a restart, and loses the oldest lines first", async () => {
  await using server = await TestServer.start({ flags: ["--audit-size", "64K"] });
  const client = server.client();
  const id = await client.start("true");
  for (let round = 0; round < 30; round++) {
    await Promise.all(Array.from({ length: 20 }, () => client.query(id)));
    if (round === 15) {
      await server.end();
      await server.launch();
    }
  }
  // Files move while lines wait to be written.
  await server.end();
  const folder = join(server.logDir, "audit");
  let bytes = 0;
  for await (const { name } of Deno.readDir(folder)) {
    assert.match(name, /^(audit|changes)(\.\d)?\.jsonl$/);
    bytes += (await Deno.stat(join(folder, name))).size;
  }
  assert(bytes <= 64 * 1024, `${bytes} bytes`);
  assert(bytes > 20 * 1024, `${bytes} bytes`);
  const times = (await readPart(server, "audit")).map((entry) => String(entry["time"]));
  assert.deepEqual(times, times.toSorted());
  assert(times.length > 100);
  // The reads have washed out reads, and not the start.
  const changes = await readPart(server, "changes");
  assert.deepEqual(changes.map(({ event }) => event), ["a change begins", "call"]);
});

/** A connection on which a test makes requests that no gRPC client would. */
function connectRaw(server: TestServer, identity = "alice"): ClientHttp2Session {
  const read = (name: string) => Deno.readTextFileSync(server.pki.file(name));
  return connect(`https://${server.address}`, {
    ca: read("ca.crt"),
    cert: read(`${identity}.crt`),
    key: read(`${identity}.key`),
  });
}

/** A message with its gRPC prefix. */
function framed(message: Uint8Array, { flag = 0, bytes = message.length } = {}): Uint8Array {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(bytes, 1);
  return Buffer.concat([prefix, message]);
}

/** Makes a request, and waits until it is over. */
function request(
  session: ClientHttp2Session,
  path: string,
  { headers = {}, body = new Uint8Array(), isHalf = false, isOpen = false }: {
    headers?: OutgoingHttpHeaders;
    body?: Uint8Array;
    /** It is cancelled in the middle. */
    isHalf?: boolean;
    /** It is not ended before it is answered. */
    isOpen?: boolean;
  },
): Promise<void> {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    te: "trailers",
    ...headers,
  });
  stream.on("error", () => {});
  stream.resume();
  if (isHalf) stream.write(body, () => stream.close(8));
  else if (isOpen) stream.write(body);
  else stream.end(body);
  stream.on("end", () => stream.close());
  return inTime(`the end of ${path}`, new Promise((resolve) => stream.on("close", resolve)));
}

const QUERY = "/JobService/Query";
const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

Deno.test("audit: a request that is no good call has a line with what it was answered, by whom and from where", async () => {
  await using server = await TestServer.start();
  const session = connectRaw(server);
  const good = framed(jobService.Query.requestSerialize({ jobID: UNKNOWN_JOB }));
  try {
    const requests: [code: string, path: string, Parameters<typeof request>[2]][] = [
      ["HTTP 415", "/JobService/Start", { headers: { "content-type": "application/json" } }],
      ["HTTP 415", "/none", { headers: { "content-type": "text/plain" } }],
      ["UNIMPLEMENTED", "/JobService/Fly", { body: good }],
      ["INTERNAL", QUERY, { headers: { "grpc-timeout": "soon" }, body: good }],
      ["DEADLINE_EXCEEDED", "/JobService/Wait", {
        headers: { "grpc-timeout": "50m" },
        body: good.subarray(0, 9),
        isOpen: true,
      }],
      ["INTERNAL", "/JobService/List", { body: framed(new Uint8Array([0xff, 0xff])) }],
      ["RESOURCE_EXHAUSTED", "/JobService/Stop", { body: framed(good, { bytes: 2 ** 31 }) }],
      ["UNIMPLEMENTED", "/JobService/Remove", {
        headers: { "grpc-encoding": "br" },
        body: framed(good, { flag: 1 }),
      }],
      ["UNIMPLEMENTED", "/JobService/Signal", { body: good.subarray(0, 9) }],
      ["CANCELLED", "/JobService/Info", { body: good.subarray(0, 9), isHalf: true }],
    ];
    for (const [code, method, options] of requests) {
      await request(session, method, options);
      const entry = await entryWith(server, { event: "call", method, code, who: "alice" });
      assert.match(String(entry["peer"]), /^127\.0\.0\.1:\d+$/, method);
      assert.equal(typeof entry["ms"], "number", method);
    }
  } finally {
    session.destroy();
  }
  const entries = (await readTrail(server)).filter(({ event }) => event === "call");
  assert.equal(entries.length, 10, "a request has two lines");
});

Deno.test("audit: a change whose caller does not wait has the id of its job, and what became of it", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const args = ["-c", "echo secret-5b1c"];
  const cancelled = client.raw.Start({ name: "/bin/sh", args }, () => {});
  // As soon as it has begun, and before it is answered.
  await until("the start to begin", () => server.log.includes('"message":"a change begins"'));
  cancelled.cancel();
  const begun = await entryWith(server, { event: "a change begins", method: "/JobService/Start" });
  const { job, who, program, user, argumentsDigest } = begun;
  assert.deepEqual([who, program, user], ["alice", "/bin/sh", "root"]);
  const { stdout } = await run("/bin/sh", [
    "-c",
    "printf '%s\\0' \"$@\" | sha256sum",
    "sh",
    ...args,
  ]);
  assert.equal(argumentsDigest, stdout.slice(0, 64));
  // The answer may have overtaken the cancellation; the job's id is in either line.
  await entryWith(server, { event: "call", method: "/JobService/Start", job });
  await until("the job", () => client.query(String(job)).then(() => true, () => false));
  await endOf(client, String(job));
  assert.doesNotMatch(server.log, /secret-5b1c|argumentsDigest/);
  // A stop by a name, given up while the job takes its time.
  const id = await client.script("trap '' TERM; echo ready; sleep 600", { title: "nightly" });
  await client.untilOutput(id, /ready/);
  const stop = client.raw.Stop({ jobID: "nightly", gracePeriodMs: 600_000 }, () => {});
  await entryWith(server, { event: "a change begins", method: "/JobService/Stop", job: id });
  stop.cancel();
  const method = "/JobService/Stop";
  await entryWith(server, { event: "call", method, code: "CANCELLED", job: id });
  await client.stop(id, 0);
  await entryWith(server, {
    event: "a change has ended after its call",
    method,
    code: "OK",
    job: id,
  });
});

Deno.test("audit: who is refused often is told, and washes nothing out of the trail", async () => {
  await using server = await TestServer.start({ flags: ["--audit-size", "64K"] });
  const id = await server.client().start("true");
  const bob = server.client("bob");
  for (let round = 0; round < 20; round++) {
    const stops = Array.from({ length: 20 }, () => bob.stop(id));
    for (const outcome of await Promise.allSettled(stops)) assert.equal(outcome.status, "rejected");
  }
  await server.end();
  const entries = await readPart(server, "changes");
  assert.deepEqual(entries.slice(0, 2).map(({ who, job }) => [who, job]), [["alice", id], [
    "alice",
    id,
  ]]);
  const { event, events, ...last } = entries.at(-1) ?? {};
  assert.equal(event, "events like this one were counted");
  const refused = entries.filter(({ who, event }) => who === "bob" && event === "call");
  assert.equal(refused.length + Number(events), 400);
  assert.deepEqual([last["who"], last["code"]], ["bob", "PERMISSION_DENIED"]);
});

Deno.test("audit: a call that comes together with its reset has its line, and does nothing", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  using connection = await RawConnection.open(server, DEFAULT_WINDOW_BYTES);
  const start = framed(jobService.Start.requestSerialize({ name: "true" }));
  const calls: [path: string, isWhole: boolean, body: Uint8Array][] = [
    ["/JobService/Start", true, start],
    ["/JobService/Info", false, start.subarray(0, 9)],
    ["/JobService/Fly", true, framed(new Uint8Array())],
  ];
  const { headers, data, resetStream } = FrameType;
  for (const [index, [path, isWhole, body]] of calls.entries()) {
    const id = 1 + 2 * index;
    // One piece: the server learns of the call and of its end at the same moment.
    await connection.write(concatenate([
      frame(headers, FrameFlag.endHeaders, id, requestHeaders(server.address, { ":path": path })),
      frame(data, isWhole ? FrameFlag.endStream : 0, id, body),
      frame(resetStream, 0, id, uint32(CANCEL)),
    ]));
    const entry = await entryWith(server, { method: path, who: "alice" });
    assert.equal(entry["code"], "CANCELLED", path);
    assert.match(String(entry["peer"]), /^127\.0\.0\.1:\d+$/, path);
  }
  assert.equal((await readTrail(server)).length, calls.length, "a call has two lines");
  assert.deepEqual((await client.list()).jobs, []);
});
