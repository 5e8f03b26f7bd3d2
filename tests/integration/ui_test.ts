/** The local server of `worker-client ui`: who is let in, and what the page is answered. */
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { inTime } from "../support/wait.ts";
import { UiHost } from "../support/ui_host.ts";
import { FrameReader } from "../../client/ui/output_frames.ts";

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

/** Sends bytes as they are: a browser's own rules are not what holds here. */
async function raw(host: UiHost, lines: readonly string[], body = ""): Promise<string> {
  const { hostname, port } = new URL(host.url);
  using connection = await Deno.connect({ hostname, port: Number(port) });
  const text = [...lines, "Connection: close", "", body].join("\r\n");
  await connection.write(new TextEncoder().encode(text));
  return await new Response(connection.readable).text().catch(() => "");
}

const statusOf = (answer: string) => Number(/^HTTP\/1.1 (\d+)/.exec(answer)?.[1]);

Deno.test("ui: refuses whatever does not come from its page, and reaches no server for it", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const { origin, path } = host;
  const name = new URL(host.url).host;
  const start = `POST ${path}api/start HTTP/1.1`;
  const json = "Content-Type: application/json";
  const body = JSON.stringify({ words: ["true"], idempotencyKey: "1" });
  const length = `Content-Length: ${body.length}`;
  const good = [start, `Host: ${name}`, json, length];
  const cases: readonly (readonly [what: string, lines: string[], status: number])[] = [
    ["no token", ["GET / HTTP/1.1", `Host: ${name}`], 403],
    ["a wrong token", [`GET /${"x".repeat(43)}/ HTTP/1.1`, `Host: ${name}`], 403],
    ["a token in the query", [`GET /?${path} HTTP/1.1`, `Host: ${name}`], 403],
    ["a wrong Host", [`GET ${path} HTTP/1.1`, "Host: evil.example"], 421],
    [
      "a wrong Host in the request line",
      [`GET http://evil.example${path} HTTP/1.1`, "Host: evil.example"],
      421,
    ],
    ["a wrong Origin", [...good, "Origin: https://evil.example"], 403],
    ["no Origin", good, 403],
    [
      "a form",
      [start, `Host: ${name}`, length, `Origin: ${origin}`, "Content-Type: text/plain"],
      415,
    ],
    ["a wrong method", [`DELETE ${path}api/jobs HTTP/1.1`, `Host: ${name}`], 405],
    ["a GET where a POST belongs", [`GET ${path}api/start HTTP/1.1`, `Host: ${name}`], 405],
    ["a POST where a GET belongs", [
      `POST ${path}main.js HTTP/1.1`,
      ...good.slice(1),
      `Origin: ${origin}`,
    ], 405],
    ["an unknown path", [`GET ${path}etc/passwd HTTP/1.1`, `Host: ${name}`], 404],
    ["a way up", [`GET ${path}../../etc/passwd HTTP/1.1`, `Host: ${name}`], 403],
    ["an output without a token", [`GET /download/${UNKNOWN_JOB} HTTP/1.1`, `Host: ${name}`], 403],
    ["an output for another page", [
      `GET ${path}download/${UNKNOWN_JOB} HTTP/1.1`,
      `Host: ${name}`,
      "Sec-Fetch-Site: cross-site",
    ], 403],
    ["an output of no job", [`GET ${path}download/..%2f HTTP/1.1`, `Host: ${name}`], 404],
    ["an unknown call", [
      `POST ${path}api/shutdown HTTP/1.1`,
      ...good.slice(1),
      `Origin: ${origin}`,
    ], 404],
    ["a body that is too large", [
      start,
      `Host: ${name}`,
      json,
      `Origin: ${origin}`,
      "Content-Length: 99999999",
    ], 413],
  ];
  for (const [what, lines, status] of cases) {
    const answer = await raw(host, lines, lines.includes(length) ? body : "");
    assert.equal(statusOf(answer), status, `${what}: ${answer.slice(0, 300)}`);
    assert(!answer.includes(path.slice(1, -1)), `${what}: the token is in the answer`);
    assert.match(answer, /content-security-policy: default-src 'none'/i, what);
  }
  assert.deepEqual((await server.client().list()).jobs, []);
  assert.equal(host.notes, "");
});

Deno.test("ui: a body without a length is cut as well, and what is no request is told", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const endless = new ReadableStream({
    pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(32)),
  });
  const headers = { origin: host.origin, "content-type": "application/json" };
  const long = await fetch(`${host.url}api/start`, { method: "POST", headers, body: endless })
    .then(async (response) => {
      await response.body?.cancel();
      return response.status;
    }, () => 413); // The connection is closed while we still send.
  assert.equal(long, 413);
  for (
    const [body, problem] of [
      ["{", /it is not JSON/],
      ["[]", /Cannot read the request/],
      ["{}", /words/],
      ['{"words":[],"idempotencyKey":"1"}', /the program is missing/],
      ['{"words":["a"],"idempotencyKey":"1","nonsense":1}', /nonsense/],
      ['{"words":["a"],"idempotencyKey":"1","cpu":"much"}', /CPU: /],
      ['{"words":["a"],"idempotencyKey":"1","timeout":"soon"}', /timeout: Expected a duration/],
      ['{"words":["a"],"idempotencyKey":"1","env":"PLAIN"}', /Environment expects NAME=VALUE/],
    ] as const
  ) {
    const response = await fetch(`${host.url}api/start`, { method: "POST", headers, body });
    assert.equal(response.status, 400, body);
    assert.match((await response.json()).error, problem, body);
  }
  assert.deepEqual((await server.client().list()).jobs, []);
});

Deno.test("ui: half-sent requests, however many, keep nobody else from the page", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const { hostname, port } = new URL(host.url);
  const half = await Promise.all(Array.from({ length: 300 }, async () => {
    const connection = await Deno.connect({ hostname, port: Number(port) });
    await connection.write(new TextEncoder().encode("GET / HTTP/1.1\r\nHost: x"));
    return connection;
  }));
  try {
    // The oldest were closed: 100 may wait.
    const ends = half.slice(0, 100).map((connection) =>
      connection.read(new Uint8Array(1)).catch(() => null)
    );
    assert.deepEqual(new Set(await inTime("the end of them", Promise.all(ends))), new Set([null]));
    const response = await fetch(host.url);
    assert.equal(response.status, 200);
    await response.text();
  } finally {
    for (const connection of half) connection.close();
  }
});

Deno.test("ui: the page is whole, and may load and say nothing elsewhere", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  assert.match(host.url, /^http:\/\/127\.0\.0\.1:\d+\/[\w-]{43}\/$/);
  const page = await fetch(host.url);
  const text = await page.text();
  assert.doesNotMatch(text, /https?:|style=|<script>/);
  for (const name of ["main.js", "main.css"]) {
    assert(text.includes(`"${name}"`), name);
    const asset = await fetch(host.url + name);
    const content = await asset.text();
    assert(content.length > 5_000);
    assert.doesNotMatch(content, /sourceMappingURL|url\(|@import/, name);
  }
  const { headers } = page;
  assert.equal(headers.get("cache-control"), "no-store");
  assert.equal(headers.get("referrer-policy"), "no-referrer");
  assert.equal(headers.get("x-content-type-options"), "nosniff");
  const policy = headers.get("content-security-policy") ?? "";
  assert.match(policy, /default-src 'none'/);
  assert.match(policy, /frame-ancestors 'none'/);
  assert.doesNotMatch(policy, /unsafe|\*|https?:/);
  assert.equal(headers.get("access-control-allow-origin"), null);
});

Deno.test("ui: listens at the loopback alone", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const port = Number(new URL(host.url).port);
  const others = Deno.networkInterfaces()
    .filter(({ family, address }) => family === "IPv4" && address !== "127.0.0.1");
  for (const { address } of others) {
    await assert.rejects(Deno.connect({ hostname: address, port }), address);
  }
  const table = await Deno.readTextFile("/proc/net/tcp");
  const hex = port.toString(16).toUpperCase().padStart(4, "0");
  assert(table.includes(` 0100007F:${hex} 00000000:0000 0A `), "127.0.0.1 is not listened at");
});

Deno.test("ui: a job's whole life, as the page asks for it", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const form = {
    words: ["/bin/sh", "-c", 'read line; echo "$line $COLOUR $1"; exec sleep 600', "sh", " a  b "],
    idempotencyKey: "once",
    name: "report",
    labels: "team=billing\n\nbatch=7",
    env: "COLOUR=dark green",
    stdin: "hello\n",
    timeout: "1h",
    memory: "64M",
  };
  const { jobID } = await host.ask("start", form);
  assert.equal((await host.ask("start", form)).jobID, jobID, "the same start started two jobs");
  await server.client().untilOutput(jobID, /hello dark green {2}a {2}b /);
  const { job } = await host.ask("job", { jobID });
  assert.deepEqual([job.title, job.labels, job.timeoutMs], [
    "report",
    { team: "billing", batch: "7" },
    3_600_000,
  ]);
  assert.equal(job.limits.memoryBytes, 64 * 1024 ** 2);
  const search = { states: [], labels: [], text: "BILLING report", pageSize: 50, pageToken: "" };
  assert.equal((await host.ask("jobs", search)).jobs[0].job.jobID, jobID);
  assert.deepEqual((await host.ask("jobs", { ...search, text: "nothing" })).jobs, []);
  assert.deepEqual((await host.ask("jobs", { ...search, labels: ["team=x"] })).jobs, []);
  assert.equal((await host.ask("find", { jobID, text: "dark", offset: 0 })).offset, 6);
  assert.equal((await host.ask("find", { jobID, text: "dark", offset: 7 })).offset, null);
  await host.ask("signal", { jobID, signal: "STOP" });
  await host.ask("signal", { jobID, signal: "CONT" });
  await host.ask("stop", { jobID, grace: "1s" });
  assert.equal((await host.ask("job", { jobID })).job.exitCode, 143);
  await host.ask("remove", { jobID });
  const gone = await host.post("job", { jobID });
  assert.equal(gone.status, 404);
  assert.match((await gone.json()).error, /No job has the id/);
});

Deno.test("ui: a reader reads, and hears why it may do nothing else", async () => {
  await using server = await TestServer.start();
  const jobID = await server.client().start("sleep", "600");
  await using host = await UiHost.start(server, { identity: "bob" });
  const about = await host.ask("about", {});
  assert.deepEqual([about.userName, about.roles], ["bob", ["reader"]]);
  assert.equal((await host.ask("job", { jobID })).job.exited, false);
  for (
    const [path, body] of [
      ["start", { words: ["true"], idempotencyKey: "1" }],
      ["stop", { jobID }],
      ["signal", { jobID, signal: "KILL" }],
      ["remove", { jobID }],
    ] as const
  ) {
    const response = await host.post(path, body);
    assert.equal(response.status, 403, path);
    assert.match((await response.json()).error, /bob is reader and may not call/, path);
  }
  assert.equal((await server.client().query(jobID)).exited, false);
});

Deno.test("ui: output comes as it is written, in parts, and is left when nobody reads", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const jobID = await server.client().shell(
    "printf 'a\\377b\\n'; while [ ! -e \"$1\" ]; do sleep 0.1; done; echo more; exec sleep 600",
    `${server.folder}/go`,
  );
  const leave = new AbortController();
  const response = await fetch(`${host.url}api/output`, {
    method: "POST",
    headers: { origin: host.origin, "content-type": "application/json" },
    body: JSON.stringify({ jobID, offset: 0, follow: true }),
    signal: leave.signal,
  });
  const reader = response.body?.getReader();
  assert(reader);
  const frames = new FrameReader();
  const next = async () =>
    frames.read((await inTime("more output", reader.read())).value ?? new Uint8Array());
  assert.deepEqual(await next(), [
    { kind: "bytes", offset: 0, bytes: new Uint8Array([97, 255, 98, 10]) },
  ]);
  await Deno.writeTextFile(`${server.folder}/go`, "");
  const [more] = await next();
  assert(more?.kind === "bytes");
  assert.equal(new TextDecoder().decode(more.bytes), "more\n");
  leave.abort();
  // The call is one line of the audit trail when it has ended.
  await until(
    "the stream to be left",
    () => /"method":"[^"]*Stream".*"CANCELLED"/.test(server.log),
  );
  const part = await host.post("output", { jobID, offset: 1, length: 2, follow: false });
  const [bytes, end] = new FrameReader().read(new Uint8Array(await part.arrayBuffer()));
  assert.deepEqual(bytes, { kind: "bytes", offset: 1, bytes: new Uint8Array([255, 98]) });
  assert.equal(end?.kind, "end");
  const unknown = await host.post("output", { jobID: UNKNOWN_JOB, follow: true });
  const [failure] = new FrameReader().read(new Uint8Array(await unknown.arrayBuffer()));
  assert.equal(failure?.kind, "error");
});

Deno.test("ui: an output is saved whole, at the browser's pace, and a failure cuts it off", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const client = server.client();
  const expected = Buffer.alloc(16 * 1024 ** 2, "abcdefgh\n");
  const jobID = await client.script(`yes abcdefgh | head -c ${expected.length}`, {
    title: "nightly.1",
  });
  await client.wait(jobID);
  const unknown = await fetch(`${host.url}download/${UNKNOWN_JOB}`);
  assert.equal(unknown.status, 404);
  await unknown.body?.cancel();
  const response = await fetch(`${host.url}download/${jobID}`);
  const { headers } = response;
  assert.equal(headers.get("content-type"), "application/octet-stream");
  assert.equal(
    headers.get("content-disposition"),
    `attachment; filename="nightly.1-${jobID.slice(0, 8)}.log"`,
  );
  const bytes = Buffer.from(await response.arrayBuffer());
  assert.equal(bytes.length, expected.length);
  assert(bytes.equals(expected), "bytes are missing or wrong");
  // Nobody reads on: the server's end of the stream is not the whole of it.
  const cut = await fetch(`${host.url}download/${jobID}`);
  const reader = cut.body?.getReader();
  assert((await reader?.read())?.value);
  assert.equal(await host.end(), 0);
  await assert.rejects(async () => {
    while (!(await reader?.read())?.done);
  });
});

Deno.test("ui: Ctrl-C ends it at once, whoever reads no more and whatever hangs", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const jobID = await server.client().script("yes | head -c 64M");
  await server.client().wait(jobID);
  const { host: name, hostname, port, pathname } = new URL(host.url);
  using stalled = await Deno.connect({ hostname, port: Number(port) });
  const request = `GET ${pathname}download/${jobID} HTTP/1.1\r\nHost: ${name}\r\n\r\n`;
  await stalled.write(new TextEncoder().encode(request));
  let [before, looks] = [0, 0];
  await until("the download to stand still", async () => {
    const unread = await unreadBytes(Number(port), stalled.localAddr.port);
    looks = unread > 0 && unread === before ? looks + 1 : 0;
    before = unread;
    return looks >= 50;
  });
  Deno.kill(server.pid, "SIGSTOP");
  const asked = host.post("jobs", {}).then((response) => response.body?.cancel()).catch(() => {});
  const beganMs = performance.now();
  assert.equal(await host.end(), 0);
  const tookMs = performance.now() - beganMs;
  Deno.kill(server.pid, "SIGCONT");
  assert(tookMs < 5_000, `it has ended after ${Math.round(tookMs)} ms`);
  await asked;
});

/** What the kernel holds of a connection for its client: the `tx_queue` of proc(5), /proc/net/tcp. */
async function unreadBytes(port: number, clientPort: number): Promise<number> {
  const hex = (value: number) => value.toString(16).toUpperCase().padStart(4, "0");
  const row = new RegExp(`:${hex(port)} \\w+:${hex(clientPort)} 01 (\\w+):`);
  return parseInt(row.exec(await Deno.readTextFile("/proc/net/tcp"))?.[1] ?? "0", 16);
}

Deno.test("ui: a server that is gone is told at once, and one that is back is found", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  await host.ask("about", {});
  await server.end();
  const response = await host.post("about", {});
  assert.equal(response.status, 503);
  assert.match((await response.json()).error, /localhost:\d+/);
  await server.launch();
  await until("the server to be found", async () => {
    const response = await host.post("about", {});
    await response.body?.cancel();
    return response.ok;
  });
});

Deno.test("ui: Ctrl-C ends it at once, streams included", async () => {
  await using server = await TestServer.start();
  await using host = await UiHost.start(server);
  const jobID = await server.client().start("sleep", "600");
  const response = await host.post("output", { jobID, offset: 0, follow: true });
  assert.equal(await host.end(), 0);
  await response.body?.cancel().catch(() => {});
  assert.equal(host.notes, "");
  await assert.rejects(fetch(host.url));
  assert.equal((await server.client().query(jobID)).exited, false);
});

Deno.test("ui: a port that is taken, or is none, and no server are told in one line", async () => {
  await using server = await TestServer.start();
  using taken = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const busy = await server.cli(["ui", "--port", String(taken.addr.port)]);
  assert.deepEqual([busy.code, busy.stdout], [1, ""]);
  assert.match(busy.stderr, /^worker-client: Cannot listen at 127\.0\.0\.1:\d+: [^\n]+\n$/);
  const none = await server.cli(["ui", "--port", "65536"]);
  assert.deepEqual([none.code, none.stdout], [2, ""]);
  assert.match(none.stderr, /Expected a port number, at most 65535/);
  const free = taken.addr.port;
  const away = await run(`${BIN_DIR}/worker-client`, ["ui", "--server", `localhost:${free}`], {
    env: server.cliEnvironment(),
  });
  assert.deepEqual([away.code, away.stdout], [3, ""]);
});

Deno.test("ui: --port is the port", async () => {
  await using server = await TestServer.start();
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  await using host = await UiHost.start(server, { args: ["--port", String(port)] });
  assert.equal(new URL(host.url).port, String(port));
});
