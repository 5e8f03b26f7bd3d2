/** What Prometheus reads, from the compiled server. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import { testUnless } from "../support/skip.ts";
import { assertStatus } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const FLAGS = ["--metrics-listen", "127.0.0.1:0"];

const PROMTOOL_FOLDER = join(import.meta.dirname ?? "", "..", "..", "build", "promtool");

/** Prometheus' checker: the host's, or out of Debian's package, of which nothing is installed. */
async function findPromtool(): Promise<string | undefined> {
  const unpacked = join(PROMTOOL_FOLDER, "usr", "bin", "promtool");
  for (const path of ["/usr/bin/promtool", unpacked]) {
    if (await Deno.stat(path).catch(() => undefined)) return path;
  }
  await Deno.mkdir(PROMTOOL_FOLDER, { recursive: true });
  const fetchIt =
    "{ apt-get download prometheus || { apt-get -qq update && apt-get download prometheus; }; } " +
    "&& dpkg-deb --extract prometheus_*.deb . && rm *.deb";
  const { code } = await run("/bin/sh", ["-c", fetchIt], { cwd: PROMTOOL_FOLDER });
  return code === 0 ? unpacked : undefined;
}

const PROMTOOL = await findPromtool();

const LACKS_PROMTOOL = PROMTOOL === undefined
  ? "promtool is not there, and Debian's package cannot be fetched"
  : undefined;

const DEPLOY = join(import.meta.dirname ?? "", "..", "..", "deploy");
const ALERTS = join(DEPLOY, "prometheus_alerts.yml");
const DASHBOARD = join(DEPLOY, "grafana_dashboard.json");

/** Where the server's metrics are. */
function urlOf(server: TestServer): string {
  const port = /"metricsPort":(\d+)/.exec(server.log)?.[1];
  assert(port, "the server says no port");
  return `http://127.0.0.1:${port}/metrics`;
}

async function read(server: TestServer): Promise<string> {
  const response = await fetch(urlOf(server));
  assert.equal(response.status, 200);
  assert.match(response.headers.get("content-type") ?? "", /^text\/plain; version=0\.0\.4/);
  return await response.text();
}

/** The value of a series, named as it is written, or undefined. */
function valueOf(text: string, series: string): number | undefined {
  const line = text.split("\n").find((line) => line.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

Deno.test("metrics: jobs, calls, streams and refusals are counted", async () => {
  await using server = await TestServer.start({ flags: FLAGS });
  const client = server.client();
  const id = await client.shell("echo hello; exec sleep 600");
  await client.wait(await client.start("true"));
  await client.untilOutput(id, /hello/);
  await assertStatus(client.start("/nonexistent"), status.INVALID_ARGUMENT);
  await assertStatus(server.client("bob").start("true"), status.PERMISSION_DENIED);
  await run("openssl", ["s_client", "-connect", `127.0.0.1:${server.port}`, "-tls1_2"]);
  await until(
    "the refusal",
    async () =>
      (valueOf(await read(server), 'job_worker_refused_connections_total{reason="handshake"}') ??
        0) > 0,
  );
  const text = await read(server);
  const expected = {
    'job_worker_jobs{state="pending"}': 0,
    'job_worker_jobs{state="running"}': 1,
    'job_worker_jobs{state="stopping"}': 0,
    'job_worker_jobs{state="ended"}': 1,
    'job_worker_calls_total{method="Start",code="OK"}': 2,
    'job_worker_calls_total{method="Start",code="INVALID_ARGUMENT"}': 1,
    'job_worker_calls_total{method="Start",code="PERMISSION_DENIED"}': 1,
    'job_worker_calls_total{method="Wait",code="OK"}': 1,
    'job_worker_call_duration_seconds_count{method="Start"}': 4,
    'job_worker_refused_connections_total{reason="storm"}': 0,
    'job_worker_build_info{version="0.1.0"}': 1,
  };
  for (const [series, value] of Object.entries(expected)) {
    assert.equal(valueOf(text, series), value, series);
  }
  assert((valueOf(text, "job_worker_streamed_bytes_total") ?? 0) >= 6);
  assert((valueOf(text, "job_worker_connections") ?? 0) >= 2);
  assert((valueOf(text, "process_resident_memory_bytes") ?? 0) > 10_000_000);
  assert.equal(valueOf(text, 'job_worker_call_duration_seconds_count{method="Wait"}'), undefined);
  const expiries = [
    ...text.matchAll(/^job_worker_expiry_timestamp_seconds\{file="[^"]+"\} (\S+)$/gm),
  ];
  assert(expiries.length >= 2, "certificate and CA");
  for (const [, seconds] of expiries) assert(Number(seconds) * 1000 > Date.now());
});

Deno.test("metrics: a stream is open while it is read, and not afterwards", async () => {
  await using server = await TestServer.start({ flags: FLAGS });
  const client = server.client();
  const id = await client.shell("echo up; exec sleep 600");
  const output = client.output(id);
  const open = async () => valueOf(await read(server), "job_worker_open_streams");
  await until("the stream to be open", async () => await open() === 1);
  await client.stop(id, 0);
  await output;
  await until("the stream to be closed", async () => await open() === 0);
});

Deno.test("metrics: what callers make up is no series of its own", async () => {
  await using server = await TestServer.start({ flags: FLAGS });
  const client = server.client();
  for (let index = 0; index < 20; index++) {
    await new Promise<void>((resolve) => {
      const bytes = (value: unknown) => value as never;
      client.raw.makeUnaryRequest(
        `/Made/Up${index}`,
        bytes,
        bytes,
        Buffer.alloc(0),
        () => resolve(),
      );
    });
  }
  await client.startWith({ name: "true", title: "made-up", labels: { made: "up" } });
  const text = await read(server);
  assert.doesNotMatch(text, /made|Made/);
  assert.equal(valueOf(text, 'job_worker_calls_total{method="unknown",code="UNIMPLEMENTED"}'), 20);
});

Deno.test("metrics: nothing else is there, and nothing can be done", async () => {
  await using server = await TestServer.start({ flags: FLAGS });
  const url = urlOf(server);
  for (const path of ["/", "/metrics/", "/metrics/x", "/../metrics.txt", "/debug"]) {
    const response = await fetch(new URL(path, url));
    assert.equal(response.status, 404, path);
    await response.body?.cancel();
  }
  for (const method of ["POST", "PUT", "DELETE"]) {
    const response = await fetch(url, { method });
    assert.equal(response.status, 405, method);
    await response.body?.cancel();
  }
  const head = await fetch(url, { method: "HEAD" });
  assert.deepEqual([head.status, await head.text()], [200, ""]);
});

Deno.test("metrics: are off unless asked for, and an address that is taken is an error", async () => {
  {
    await using server = await TestServer.start();
    assert.doesNotMatch(server.log, /metricsPort/);
  }
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  await assert.rejects(
    TestServer.start({ flags: ["--metrics-listen", `127.0.0.1:${port}`] }),
    /cannot listen on 127\.0\.0\.1:\d+ for metrics: .*--metrics-listen/,
  );
});

testUnless(LACKS_PROMTOOL, {
  name: "metrics: Prometheus' own checker accepts the text",
  async fn() {
    await using server = await TestServer.start({ flags: FLAGS });
    await server.client().start("true");
    const child = new Deno.Command(PROMTOOL ?? "", {
      args: ["check", "metrics"],
      stdin: "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(await read(server)));
    await writer.close();
    const { code, stdout, stderr } = await child.output();
    const said = new TextDecoder().decode(stdout) + new TextDecoder().decode(stderr);
    assert.equal(code, 0, said);
    assert.equal(said, "");
  },
});

testUnless(LACKS_PROMTOOL, {
  name: "metrics: the alerts in deploy/ are rules that Prometheus understands",
  async fn() {
    const { code, stdout, stderr } = await run(PROMTOOL ?? "", ["check", "rules", ALERTS]);
    assert.equal(code, 0, stdout + stderr);
  },
});

Deno.test("metrics: dashboard and alerts name no metric that the server does not have", async () => {
  await using server = await TestServer.start({ flags: FLAGS });
  await server.client().start("true");
  const known = new Set(
    [...(await read(server)).matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name),
  );
  for (const file of [ALERTS, DASHBOARD]) {
    const text = await Deno.readTextFile(file);
    const named = text.matchAll(/\b((?:job_worker|process)_[a-z_]+)\b/g);
    const names = new Set([...named].map(([, name]) => name?.replace(/_(bucket|sum|count)$/, "")));
    assert(names.size > 3, `${file} names ${names.size} metrics`);
    for (const name of names) assert(known.has(name), `${name} in ${file}`);
  }
  const { panels } = JSON.parse(await Deno.readTextFile(DASHBOARD));
  assert(panels.length >= 8);
});
