/** gRPC's health service with the official contract's client, and /healthz for those without TLS. */
import { type ClientReadableStream, type ServiceError, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { service } from "grpc-health-check";
import { assertStatus, type TestClient } from "../support/client.ts";
import { testPki } from "../support/pki.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { CLIENT_EXTENSIONS, makeRevocationList, signCertificate } from "../support/openssl.ts";

const METRICS_FLAGS = ["--metrics-listen", "127.0.0.1:0"];

/** What a server may take to end when nothing but watchers holds it up. */
const PROMPT_MS = 2500;

interface Answer {
  status: string;
}

function methodOf(name: string) {
  const method = service[name];
  assert(method, `the official contract has no ${name}`);
  return method;
}

function unary<Response>(client: TestClient, name: string, request: object): Promise<Response> {
  const { path, requestSerialize, responseDeserialize } = methodOf(name);
  return new Promise((resolve, reject) => {
    client.raw.makeUnaryRequest(
      path,
      requestSerialize,
      responseDeserialize,
      request,
      (error, response) => error ? reject(error) : resolve(response as Response),
    );
  });
}

function check(client: TestClient, service: string): Promise<Answer> {
  return unary(client, "Check", { service });
}

/** A watch whose answers, and whose end, can be waited for. */
class Watch {
  readonly seen: string[] = [];
  readonly ended: Promise<ServiceError>;
  readonly #stream: ClientReadableStream<unknown>;

  constructor(client: TestClient, service: string) {
    const { path, requestSerialize, responseDeserialize } = methodOf("Watch");
    this.#stream = client.raw.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service },
    );
    this.#stream.on("data", ({ status }: Answer) => this.seen.push(status));
    this.ended = new Promise((resolve) => this.#stream.on("error", resolve));
  }

  async until(...seen: string[]): Promise<void> {
    await until(`${seen}`, () => this.seen.length >= seen.length);
    assert.deepEqual(this.seen, seen);
  }

  async cancel(): Promise<void> {
    this.#stream.cancel();
    await this.ended;
  }
}

/** Where the server answers without TLS. */
function urlOf(server: TestServer, path: string): string {
  return `http://127.0.0.1:${/"metricsPort":(\d+)/.exec(server.log)?.[1]}${path}`;
}

async function metric(server: TestServer, series: string): Promise<number | undefined> {
  const text = await (await fetch(urlOf(server, "/metrics"))).text();
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

/** The audit trail's lines about the health service. */
async function trailLines(server: TestServer): Promise<Record<string, unknown>[]> {
  const text = await Deno.readTextFile(join(server.logDir, "audit", "audit.jsonl"));
  const lines: Record<string, unknown>[] = text.trim().split("\n").filter(Boolean)
    .map((line) => JSON.parse(line));
  return lines.filter(({ method }) => String(method).includes("Health"));
}

Deno.test("health: reader and writer learn that the server and JobService are serving", async () => {
  await using server = await TestServer.start();
  for (const who of ["alice", "bob"]) {
    const client = server.client(who);
    assert.deepEqual(await check(client, ""), { status: "SERVING" });
    assert.deepEqual(await check(client, "JobService"), { status: "SERVING" });
    const serving = { status: "SERVING" };
    assert.deepEqual(await unary(client, "List", {}), {
      statuses: { "": serving, JobService: serving },
    });
  }
});

Deno.test("health: a service that is not there is NOT_FOUND, however long its name", async () => {
  await using server = await TestServer.start();
  const client = server.client("bob");
  for (const name of ["jobservice", "JobService ", "grpc.health.v1.Health", "x", "toString"]) {
    await assertStatus(check(client, name), status.NOT_FOUND, new RegExp(name));
  }
  const error = await assertStatus(check(client, "x".repeat(10_000)), status.NOT_FOUND);
  assert(error.details.length < 200, `${error.details.length} characters`);
  assert.deepEqual(await check(client, ""), { status: "SERVING" });
});

Deno.test("health: who watches what is not there is told so, and stays", async () => {
  await using server = await TestServer.start();
  const client = server.client("bob");
  const watches = ["x", "y", "x".repeat(10_000)].map((name) => new Watch(client, name));
  for (const watch of watches) await watch.until("SERVICE_UNKNOWN");
  const known = new Watch(client, "JobService");
  await known.until("SERVING");
  for (const watch of watches) {
    assert.deepEqual(watch.seen, ["SERVICE_UNKNOWN"]);
    await watch.cancel();
  }
  await known.cancel();
});

Deno.test("health: at the end watchers are told, and hold nothing up", async () => {
  await using server = await TestServer.start();
  const watches = ["", "JobService"].map((name) => new Watch(server.client("bob"), name));
  const stranger = new Watch(server.client("bob"), "x");
  for (const watch of watches) await watch.until("SERVING");
  await stranger.until("SERVICE_UNKNOWN");
  const beginMs = performance.now();
  assert.equal((await server.end()).code, 0);
  assert(performance.now() - beginMs < PROMPT_MS, "the watchers were waited for");
  for (const watch of [...watches, stranger]) {
    const { code, details } = await watch.ended;
    assert.equal(code, status.UNAVAILABLE);
    assert.match(details, /shutting down/);
  }
  for (const watch of watches) assert.deepEqual(watch.seen, ["SERVING", "NOT_SERVING"]);
  assert.deepEqual(stranger.seen, ["SERVICE_UNKNOWN"]);
});

Deno.test("health: a trusted certificate without a role learns nothing", async () => {
  await signCertificate(await testPki(), "roleless", { extensions: CLIENT_EXTENSIONS });
  await using server = await TestServer.start();
  const client = server.client("roleless");
  for (const name of ["", "JobService", "x"]) {
    await assertStatus(check(client, name), status.PERMISSION_DENIED, /has no role/);
  }
  await assertStatus(unary(client, "List", {}), status.PERMISSION_DENIED);
  const watch = new Watch(client, "");
  assert.equal((await watch.ended).code, status.PERMISSION_DENIED);
  assert.deepEqual(watch.seen, []);
});

Deno.test("health: who is revoked loses the watch", async () => {
  const pki = await testPki();
  await pki.issue("watcher", "reader");
  const folder = await Deno.makeTempDir({ prefix: "job-worker-health-" });
  try {
    const list = join(folder, "ca.crl");
    await using server = await TestServer.start({ flags: ["--crl", list] });
    const watch = new Watch(server.client("watcher"), "");
    const other = new Watch(server.client("bob"), "");
    await watch.until("SERVING");
    await other.until("SERVING");
    const certificate = await Deno.readTextFile(pki.file("watcher.crt"));
    await makeRevocationList(pki, list, {
      serials: [new X509Certificate(certificate).serialNumber],
    });
    assert.equal((await watch.ended).code, status.UNAUTHENTICATED);
    // What the one watcher does not hear of any more, the other does.
    await server.end();
    await other.ended;
    assert.deepEqual([watch.seen, other.seen], [["SERVING"], ["SERVING", "NOT_SERVING"]]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("health: watches count among a user's open calls", async () => {
  await using server = await TestServer.start({ flags: ["--max-open-calls", "2"] });
  const client = server.client("bob");
  const watches = [new Watch(client, ""), new Watch(client, "x")];
  await watches[0]?.until("SERVING");
  await watches[1]?.until("SERVICE_UNKNOWN");
  await assertStatus(check(client, ""), status.RESOURCE_EXHAUSTED, /--max-open-calls/);
  assert.equal((await new Watch(client, "").ended).code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual(await check(server.client("alice"), ""), { status: "SERVING" });
  await watches[0]?.cancel();
  await until("the place to be free", () => check(client, "").then(() => true, () => false));
  await watches[1]?.cancel();
});

Deno.test("health: probes are counted and write no line; refused ones do", async () => {
  await using server = await TestServer.start({ flags: METRICS_FLAGS });
  const client = server.client("bob");
  for (let count = 0; count < 20; count++) await check(client, "");
  await assertStatus(check(client, "x"), status.NOT_FOUND);
  const watch = new Watch(client, "");
  await watch.until("SERVING");
  await watch.cancel();
  await signCertificate(server.pki, "roleless", { extensions: CLIENT_EXTENSIONS });
  await assertStatus(check(server.client("roleless"), ""), status.PERMISSION_DENIED);
  const counted = (code: string, method = "Health/Check") =>
    metric(server, `job_worker_calls_total{method="${method}",code="${code}"}`);
  assert.equal(await counted("OK"), 20);
  assert.equal(await counted("NOT_FOUND"), 1);
  assert.equal(await counted("PERMISSION_DENIED"), 1);
  await until("the watch to be counted", async () => await counted("CANCELLED", "Health/Watch"));
  // Lines are written beside the call.
  const lines = await until("the line of the trail", async () => {
    const lines = await trailLines(server);
    return lines.length > 0 && server.log.includes("Health/") && lines;
  });
  assert.deepEqual(lines.map(({ who, code }) => [who, code]), [["roleless", "PERMISSION_DENIED"]]);
  assert.equal(server.log.split("Health/").length - 1, 1);
});

Deno.test("health: a rule may leave a prober nothing but the check", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-health-" });
  try {
    const rules = join(folder, "rules.json");
    await Deno.writeTextFile(
      rules,
      JSON.stringify({ rules: [{ name: "bob", methods: ["Health/Check"] }] }),
    );
    await using server = await TestServer.start({ flags: ["--rules", rules] });
    const bob = server.client("bob");
    assert.deepEqual(await check(bob, ""), { status: "SERVING" });
    await assertStatus(unary(bob, "List", {}), status.PERMISSION_DENIED, /rule file/);
    assert.equal((await new Watch(bob, "").ended).code, status.PERMISSION_DENIED);
    await assertStatus(bob.list(), status.PERMISSION_DENIED, /rule file/);
    assert.deepEqual(await check(server.client("alice"), ""), { status: "SERVING" });
    await Deno.writeTextFile(
      rules,
      JSON.stringify({ rules: [{ name: "bob", methods: ["Query"] }] }),
    );
    await assertStatus(check(bob, ""), status.PERMISSION_DENIED, /may not call Health\/Check/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("healthz: says SERVING, and 503 while the server drains", async () => {
  await using server = await TestServer.start({ flags: METRICS_FLAGS });
  const url = urlOf(server, "/healthz");
  const response = await fetch(url);
  assert.deepEqual([response.status, await response.text()], [200, "SERVING\n"]);
  const head = await fetch(url, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
  for (const method of ["POST", "PUT", "DELETE"]) {
    const refused = await fetch(url, { method });
    assert.equal(refused.status, 405, method);
    await refused.body?.cancel();
  }
  for (const path of ["/healthz/", "/healthz/x", "/health"]) {
    const missing = await fetch(urlOf(server, path));
    assert.equal(missing.status, 404, path);
    await missing.body?.cancel();
  }
  // A stop that takes its time is a call under way, and keeps the server from ending at once.
  const client = server.client();
  const id = await client.shell("trap '' TERM; echo up; while :; do sleep 600; done");
  await client.untilOutput(id, /up/);
  const stopped = client.stop(id, 2000);
  await until(
    "the job to be stopping",
    async () => (await client.query(id)).state === "JOB_STATE_STOPPING",
  );
  const ended = server.end();
  await until("the server to say that it drains", async () => {
    const draining = await fetch(url);
    const text = await draining.text();
    if (draining.status === 200) return false;
    assert.deepEqual([draining.status, text], [503, "NOT_SERVING\n"]);
    return true;
  });
  await stopped;
  assert.equal((await ended).code, 0);
  await assert.rejects(fetch(url), "nobody answers any more");
});
