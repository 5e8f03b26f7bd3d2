/** Who may call what: every kind of certificate against every method, through real TLS. */
// Attacks: roles.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { jobService } from "../../proto/contract.ts";
import { METHOD_NAMES, methodNameOf } from "../../lib/rbac.ts";
import { type TestClient } from "../support/client.ts";
import { type Pki, testPki } from "../support/pki.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { CLIENT_EXTENSIONS, ROLE_OID, signCertificate } from "../support/openssl.ts";

/** A call that is not answered by then fails the test. */
const DEADLINE_MS = 30_000;

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

const METHODS = [
  "Start",
  "Stop",
  "Signal",
  "Update",
  "Query",
  "List",
  "Info",
  "Stream",
  "Wait",
  "Remove",
  "Input",
  "Events",
] as const;
type Method = typeof METHODS[number];
const READING: readonly Method[] = ["Query", "List", "Info", "Stream", "Wait", "Events"];

/** Methods of the additional services, with a request, in bytes, that a reader may make. */
const ADDITIONAL: readonly { path: string; request: Uint8Array }[] = [
  ...["Check", "List", "Watch"].map((method) => ({
    path: `/grpc.health.v1.Health/${method}`,
    request: new Uint8Array(),
  })),
  ...["v1", "v1alpha"].map((version) => ({
    path: `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`,
    request: new Uint8Array([0x3a, 1, 0x2a]), // list_services: "*"
  })),
];

interface Holder {
  /** The common name of the certificate. */
  name: string;
  /** The value of the role extension in OpenSSL's words; without it there is no extension. */
  role?: string;
  /** The extension's OID, where it is not the usual one. */
  oid?: string;
  may: readonly Method[];
}

/** Hexadecimal of DER, as OpenSSL's configuration takes it. */
function der(...bytes: (number | string)[]): string {
  const parts = bytes.map((part) => typeof part === "number" ? [part] : [...Buffer.from(part)]);
  return `DER:${parts.flat().map((byte) => byte.toString(16).padStart(2, "0")).join(":")}`;
}

const UTF8_STRING = 0x0c;

const HOLDERS: readonly Holder[] = [
  { name: "the-writer", role: "ASN1:UTF8String:writer", may: METHODS },
  { name: "the-reader", role: "ASN1:UTF8String:reader", may: READING },
  { name: "both", role: "ASN1:UTF8String:reader,writer", may: METHODS },
  { name: "both-reversed", role: "ASN1:UTF8String:writer,reader", may: METHODS },
  // Below here: no access.
  { name: "none", may: [] },
  { name: "writer", may: [] }, // A name is not a role.
  { name: "unknown", role: "ASN1:UTF8String:admin", may: [] },
  { name: "known-and-unknown", role: "ASN1:UTF8String:writer,admin", may: [] },
  { name: "upper-case", role: "ASN1:UTF8String:Writer", may: [] },
  { name: "blank", role: "ASN1:UTF8String:reader, writer", may: [] },
  { name: "empty", role: der(UTF8_STRING, 0), may: [] },
  { name: "empty-item", role: "ASN1:UTF8String:writer,", may: [] },
  { name: "newline", role: der(UTF8_STRING, 7, "writer\n"), may: [] },
  { name: "nul", role: der(UTF8_STRING, 7, "writer\0"), may: [] },
  { name: "ia5-string", role: "ASN1:IA5String:writer", may: [] },
  { name: "printable-string", role: "ASN1:PRINTABLESTRING:writer", may: [] },
  { name: "bmp-string", role: "ASN1:FORMAT:UTF8,BMP:writer", may: [] },
  { name: "octet-string", role: "ASN1:FORMAT:ASCII,OCTETSTRING:writer", may: [] },
  { name: "integer", role: "ASN1:INTEGER:1", may: [] },
  { name: "null", role: "ASN1:NULL", may: [] },
  { name: "tagged", role: "ASN1:EXPLICIT:0,UTF8String:writer", may: [] },
  { name: "bare-text", role: der("writer"), may: [] },
  { name: "cut-off", role: der(UTF8_STRING, 6, "write"), may: [] },
  { name: "trailing-bytes", role: der(UTF8_STRING, 6, "writer", 5, 0), may: [] },
  { name: "long-length", role: der(UTF8_STRING, 0x81, 6, "writer"), may: [] },
  { name: "other-oid", role: "ASN1:UTF8String:writer", oid: "1.2.840.10070.8.2", may: [] },
];

async function sign(pki: Pki, { name, role, oid = ROLE_OID }: Holder): Promise<void> {
  const extensions = [...CLIENT_EXTENSIONS, ...(role === undefined ? [] : [`${oid}=${role}`])];
  await signCertificate(pki, name, { extensions });
}

/** How a call ended. */
interface Outcome {
  code: string | undefined;
  details: string;
  messages: number;
}

/** Calls a method by its path. Every answer is taken as a stream; that of most has one message. */
function call(client: TestClient, path: string, request: Uint8Array): Promise<Outcome> {
  const stream = client.raw.makeServerStreamRequest(
    path,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes) => bytes,
    request,
    { deadline: Date.now() + DEADLINE_MS },
  );
  let messages = 0;
  stream.on("data", () => messages++);
  // The status event tells it as well.
  stream.on("error", () => {});
  return new Promise((resolve) => {
    stream.on(
      "status",
      ({ code, details }) => resolve({ code: status[code], details, messages }),
    );
  });
}

/** Calls a method that may go on for ever, until its first answer. */
function ask(client: TestClient, path: string, request: Uint8Array): Promise<Outcome> {
  const stream = client.raw.makeBidiStreamRequest(
    path,
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes) => bytes,
    { deadline: Date.now() + DEADLINE_MS },
  );
  stream.write(request);
  return new Promise((resolve) => {
    stream.on("data", () => {
      resolve({ code: "OK", details: "", messages: 1 });
      stream.cancel();
    });
    // The status event tells it as well.
    stream.on("error", () => {});
    stream.on(
      "status",
      ({ code, details }) => resolve({ code: status[code], details, messages: 0 }),
    );
    if (!path.includes("Reflection")) stream.end();
  });
}

/** The request of a method about a job. */
function requestFor(method: Method, jobID: string): Uint8Array {
  if (method === "Start") return jobService.Start.requestSerialize({ name: "true" });
  if (method === "List") return jobService.List.requestSerialize({});
  if (method === "Info") return jobService.Info.requestSerialize({});
  if (method === "Signal") return jobService.Signal.requestSerialize({ jobID, signal: "CONT" });
  if (method === "Events") return jobService.Events.requestSerialize({ noFollow: true });
  if (method === "Update") return jobService.Update.requestSerialize({ jobID, fromFiles: true });
  return jobService[method].requestSerialize({ jobID });
}

/** A job in the state in which a method of this name does its work. */
async function jobFor(method: Method, owner: TestClient): Promise<string> {
  if (method === "Input") return await owner.startWith({ name: "cat", openStdin: true });
  const isForRunning = ["Stop", "Signal", "Update"].includes(method);
  const id = await owner.start("sleep", isForRunning ? "600" : "0");
  if (!isForRunning) await owner.wait(id);
  return id;
}

/** How many jobs the server has ever begun and not forgotten. */
async function jobFolders(server: TestServer): Promise<number> {
  return (await Array.fromAsync(Deno.readDir(join(server.logDir, "jobs")))).length;
}

async function assertAllowed(
  method: Method,
  { owner, client }: { owner: TestClient; client: TestClient },
): Promise<void> {
  const path = `/JobService/${method}`;
  const id = await jobFor(method, owner);
  const { code, details, messages } = await call(client, path, requestFor(method, id));
  assert.equal(code, "OK", details);
  if (!["Stream", "Events", "Input"].includes(method)) assert.equal(messages, 1);
  if (["Start", "List", "Info", "Events"].includes(method)) return;
  const unknown = await call(client, path, requestFor(method, UNKNOWN_JOB));
  assert.equal(unknown.code, "NOT_FOUND");
}

async function assertRefused(
  method: Method,
  { client, name, runningJob }: { client: TestClient; name: string; runningJob: string },
): Promise<void> {
  const path = `/JobService/${method}`;
  const known = await call(client, path, requestFor(method, runningJob));
  assert.equal(known.code, "PERMISSION_DENIED");
  assert.equal(known.messages, 0);
  assert.match(known.details, new RegExp(`^${name} .* may not call ${method}; ask for`));
  const unknown = await call(client, path, requestFor(method, UNKNOWN_JOB));
  assert.deepEqual(unknown, known, "the answer tells what exists");
  // The request is not even read: what is no request at all gets the same answer.
  const garbage = await call(client, path, new Uint8Array([0xff, 0xff, 0xff, 0xff]));
  assert.deepEqual(garbage, known, "the request was read before the refusal");
}

Deno.test("roles: every kind of certificate against every method", async (t) => {
  assert.deepEqual([...METHODS].sort(), Object.keys(jobService).sort(), "a method is not in here");
  const names = [...METHODS, ...ADDITIONAL.map(({ path }) => methodNameOf(path))];
  assert.deepEqual([...new Set(names)].sort(), [...METHOD_NAMES].sort(), "nor is this one");
  const pki = await testPki();
  for (const holder of HOLDERS) await sign(pki, holder);
  await using server = await TestServer.start();
  const owner = server.client();
  const runningJob = await owner.start("sleep", "600");
  for (const { name, may } of HOLDERS) {
    const client = server.client(name);
    for (const { path, request } of ADDITIONAL) {
      const mayRead = may.includes("Query");
      await t.step(`${name} ${mayRead ? "may" : "may not"} ${path}`, async () => {
        const { code, details } = await ask(client, path, request);
        if (mayRead) return assert.equal(code, "OK", details);
        assert.equal(code, "PERMISSION_DENIED");
        assert.match(details, new RegExp(`^${name} .* may not call `));
      });
    }
    for (const method of METHODS) {
      const isAllowed = may.includes(method);
      await t.step(`${name} ${isAllowed ? "may" : "may not"} ${method}`, async () => {
        const foldersBefore = await jobFolders(server);
        if (isAllowed) return await assertAllowed(method, { owner, client });
        await assertRefused(method, { client, name, runningJob });
        assert.equal(await jobFolders(server), foldersBefore, "something was started or removed");
        assert.equal((await owner.query(runningJob)).state, "JOB_STATE_RUNNING");
      });
    }
  }
});

const UNLISTED = [
  "/JobService/Restart",
  "/JobService/start",
  "/jobservice/Start",
  "/JobService/",
  "/JobService/Start/",
  "//JobService/Start",
  "/JobService/%53tart",
  "/other.JobService/Start",
  "/Health/Check",
  "/grpc.health.v1.Health/check",
  "/grpc.health.v2.Health/Check",
  "/grpc.reflection.v1beta.ServerReflection/ServerReflectionInfo",
  "/grpc.channelz.v1.Channelz/GetServers",
];

Deno.test("roles: a method that the table does not name is refused to everyone", async () => {
  await using server = await TestServer.start();
  const owner = server.client();
  const request = jobService.Start.requestSerialize({ name: "true" });
  for (const identity of ["alice", "bob"]) {
    const client = server.client(identity);
    for (const path of UNLISTED) {
      const { code, messages } = await call(client, path, request);
      assert.ok(code === "UNIMPLEMENTED" || code === "PERMISSION_DENIED", `${path}: ${code}`);
      assert.equal(messages, 0);
    }
  }
  assert.equal(await jobFolders(server), 0, "something was started");
  assert.equal((await owner.wait(await owner.start("true"))).exitCode, 0);
  // The first ones are in the log, with who it was, as a call of any other method is.
  const lines = await unknownCalls(server, 2 * MAX_LINES);
  for (const who of ["alice", "bob"]) {
    const tried = lines.filter((line) => line["who"] === who);
    assert.deepEqual(tried.map((line) => line["method"]), UNLISTED.slice(0, MAX_LINES));
    assert.match(String(tried[0]?.["serial"]), /^[0-9A-F]+$/);
  }
});

/** Refusals of one caller that have lines of their own; the others are counted. */
const MAX_LINES = 10;

/** The lines of the log about methods that are not there, when there are so many. */
function unknownCalls(server: TestServer, count: number): Promise<Record<string, unknown>[]> {
  return until(`${count} calls of unknown methods in the log`, () => {
    const whole = server.log.slice(0, server.log.lastIndexOf("\n"));
    const lines: Record<string, unknown>[] = whole.split("\n").map((line) => JSON.parse(line));
    const found = lines.filter((line) => line["code"] === "UNIMPLEMENTED");
    return found.length >= count && found;
  });
}

Deno.test("roles: a method's name can neither fill the log nor forge a line of it", async () => {
  await using server = await TestServer.start();
  const client = server.client("bob");
  const long = `/JobService/${"x".repeat(5000)}`;
  const forged = '/JobService/X","code":"OK","who":"alice';
  for (const path of [long, forged]) await call(client, path, new Uint8Array());
  const tried = await unknownCalls(server, 2);
  assert.deepEqual(tried.map((line) => [line["method"], line["who"]]), [
    [long.slice(0, 100), "bob"],
    [forged, "bob"],
  ]);
});

Deno.test("roles: --role-oid says where the role stands, and the usual place means nothing", async () => {
  const oid = "2.25.329800735698586629295641978511506172918";
  const usable = "1.3.6.1.4.1.55555.8.1";
  const pki = await testPki();
  const writer = "ASN1:UTF8String:writer";
  await sign(pki, { name: "oid-writer", role: writer, oid: usable, may: METHODS });
  await sign(pki, {
    name: "oid-reader",
    role: "ASN1:UTF8String:reader",
    oid: usable,
    may: READING,
  });
  await sign(pki, { name: "oid-longer", role: writer, oid: `${usable}.1`, may: [] });
  await sign(pki, { name: "oid-uuid", role: writer, oid, may: [] });
  await using server = await TestServer.start({ flags: ["--role-oid", usable] });
  const owner = server.client("oid-writer");
  const runningJob = await owner.start("sleep", "600");
  const reader = server.client("oid-reader");
  await assertAllowed("Query", { owner, client: reader });
  await assertRefused("Stop", { client: reader, name: "oid-reader", runningJob });
  for (const name of ["alice", "bob", "oid-longer", "oid-uuid"]) {
    const client = server.client(name);
    for (const method of METHODS) await assertRefused(method, { client, name, runningJob });
  }
});

Deno.test("roles: every refusal is in the log, with who, what and the code, and no argument", async () => {
  await using server = await TestServer.start();
  const bob = server.client("bob");
  const secret = "secret-3f1b";
  const request = jobService.Start.requestSerialize({ name: "true", args: [secret] });
  await call(bob, "/JobService/Start", request);
  const alice = server.client();
  await alice.start("true", secret);
  const lines = await until("both calls to be logged", () => {
    const entries = server.log.trimEnd().split("\n").map((line) => JSON.parse(line));
    const calls = entries.filter(({ message }) => message === "call");
    return calls.length === 2 && calls;
  });
  const serial = async (name: string) => {
    const { stdout } = await new Deno.Command("openssl", {
      args: ["x509", "-noout", "-serial", "-in", server.pki.file(`${name}.crt`)],
    }).output();
    return new TextDecoder().decode(stdout).trim().replace("serial=", "");
  };
  const [refused, allowed] = lines.map(({ method, who, serial, roles, code }) => ({
    method,
    who,
    serial: String(serial).replace(/^0+/, ""),
    roles,
    code,
  }));
  const method = "/JobService/Start";
  const expected = (name: string) => serial(name).then((text) => text.replace(/^0+/, ""));
  assert.deepEqual(refused, {
    method,
    who: "bob",
    serial: await expected("bob"),
    roles: "reader",
    code: "PERMISSION_DENIED",
  });
  assert.deepEqual(allowed, {
    method,
    who: "alice",
    serial: await expected("alice"),
    roles: "writer",
    code: "OK",
  });
  assert.doesNotMatch(server.log, new RegExp(secret));
});
