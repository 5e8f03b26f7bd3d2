/** The server's door: who gets through TLS and who does not, and that no caller can harm it. */
// Attacks: the handshake.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { assertStatus, TestClient } from "../support/client.ts";
import { type Pki, testPki } from "../support/pki.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import {
  CLIENT_EXTENSIONS,
  makeOtherAuthority,
  makeRevocationList,
  ROLE_OID,
  signCertificate,
  WRITER_EXTENSIONS,
} from "../support/openssl.ts";

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

/** The server closes a connection whose handshake takes longer (lib/grpc/server.ts). */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** Whatever the server should close, it must have closed by then. */
const CLOSE_DEADLINE_MS = 40_000;

const DAY_MS = 86_400_000;

/** grpc-js keeps a timer for a while after a connection was refused, also when it is closed. */
function test(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name: `TLS: ${name}`, fn, sanitizeOps: false, sanitizeResources: false });
}

/** The server still answers, and not only that: it still starts jobs. */
async function assertServes(server: TestServer): Promise<void> {
  const client = server.client();
  assert.equal((await client.wait(await client.start("true"))).exitCode, 0);
  client.raw.close();
}

/** Asks for a job that does not exist, by a connection of its own. */
async function ask(server: TestServer, identity: string): Promise<unknown> {
  const client = server.client(identity);
  try {
    return await client.query(UNKNOWN_JOB);
  } finally {
    client.raw.close();
  }
}

/** Whose calls the server has logged. */
function callersOf(server: TestServer): Set<string> {
  const entries = server.log.trimEnd().split("\n").map((line) => JSON.parse(line));
  return new Set(entries.filter(({ message }) => message === "call").map(({ who }) => who));
}

/** A handshake by openssl; it goes on until the server ends it, where it is to be refused. */
async function handshake(
  server: TestServer,
  identity: string | undefined,
  ...flags: string[]
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { pki } = server;
  const pair = identity === undefined
    ? []
    : ["-cert", pki.file(`${identity}.crt`), "-key", pki.file(`${identity}.key`)];
  const address = ["-connect", `127.0.0.1:${server.port}`, "-CAfile", pki.file("ca.crt")];
  return await run("timeout", [
    "30",
    "openssl",
    "s_client",
    "-brief",
    ...address,
    "-alpn",
    "h2",
    ...pair,
    ...flags,
  ]);
}

test("a certificate made by plain openssl with the same extension works", async () => {
  const pki = await testPki();
  await signCertificate(pki, "plain", { extensions: WRITER_EXTENSIONS });
  await using server = await TestServer.start();
  const client = server.client("plain");
  const id = await client.start("echo", "hello");
  assert.equal((await client.wait(id)).owner, "plain");
  assert.equal(await client.text(id), "hello\n");
});

interface Stranger {
  what: string;
  /** The name of the certificate's files. */
  name: string;
  make: (pki: Pki, name: string) => Promise<void>;
}

/** The runtime closes the connection without telling why (an alert would do as well). */
const REFUSAL = /unexpected eof while reading|alert/;

/** Each is a writer by its own account. */
const STRANGERS: readonly Stranger[] = [
  {
    what: "another CA of the same name",
    name: "by-other-ca",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: WRITER_EXTENSIONS,
        issuer: "other-ca",
        commonName: "alice",
      }),
  },
  {
    what: "self-signed in the name of a writer",
    name: "self-signed",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: WRITER_EXTENSIONS,
        issuer: "self",
        commonName: "alice",
      }),
  },
  {
    what: "self-signed in the name of the CA",
    name: "self-made-ca",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: ["basicConstraints=critical,CA:TRUE", `${ROLE_OID}=ASN1:UTF8String:writer`],
        issuer: "self",
        commonName: "Job Worker CA",
      }),
  },
  {
    what: "signed by a client's key, with the chain up to the CA",
    name: "by-client",
    make: async (pki, name) => {
      const text = { extensions: WRITER_EXTENSIONS, issuer: "alice" };
      await signCertificate(pki, name, text);
      const chain = await Deno.readTextFile(pki.file("alice.crt"));
      await Deno.writeTextFile(pki.file(`${name}.crt`), chain, { append: true });
    },
  },
  {
    what: "expired a second ago",
    name: "expired",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: WRITER_EXTENSIONS,
        notAfter: new Date(Date.now() - 1000),
      }),
  },
  {
    what: "not valid before tomorrow",
    name: "not-yet-valid",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: WRITER_EXTENSIONS,
        notBefore: new Date(Date.now() + DAY_MS),
      }),
  },
  {
    what: "a server's, with a role",
    name: "server-with-role",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: [
          "extendedKeyUsage=serverAuth",
          ...WRITER_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage")),
        ],
      }),
  },
  {
    what: "the server's own",
    name: "server",
    make: async () => {},
  },
];

/** Those that the handshake lets through, and no call. */
const IDLERS: readonly (Stranger & { said: RegExp })[] = [
  {
    what: "the CA's own",
    name: "ca",
    make: async () => {},
    said: /is the certificate of a CA/,
  },
  {
    what: "by a CA that is trusted and has expired",
    name: "by-expired-ca",
    make: (pki, name) =>
      signCertificate(pki, name, { extensions: WRITER_EXTENSIONS, issuer: "expired-ca" }),
    said: /not signed by a CA that is trusted here|has expired/,
  },
  {
    what: "by a CA below the CA, with the chain",
    name: "by-intermediate",
    make: async (pki, name) => {
      await signCertificate(pki, "intermediate", {
        extensions: ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign"],
      });
      await signCertificate(pki, name, { extensions: WRITER_EXTENSIONS, issuer: "intermediate" });
      const chain = await Deno.readTextFile(pki.file("intermediate.crt"));
      await Deno.writeTextFile(pki.file(`${name}.crt`), chain, { append: true });
    },
    said: /not signed by a CA that is trusted here/,
  },
  {
    what: "a client's, by its own purposes",
    name: "for-nothing",
    make: (pki, name) =>
      signCertificate(pki, name, {
        extensions: WRITER_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage")),
      }),
    said: /not for clients/,
  },
  {
    what: "revoked",
    name: "revoked-one",
    make: (pki, name) => signCertificate(pki, name, { extensions: WRITER_EXTENSIONS }),
    said: /is revoked/,
  },
];

/** A server that trusts an expired CA as well, and has a revocation list. */
async function startForStrangers(): Promise<TestServer & AsyncDisposable> {
  const pki = await testPki();
  await makeOtherAuthority(pki, "other-ca");
  await makeOtherAuthority(pki, "expired-ca", {
    commonName: "Expired CA",
    notBefore: new Date(Date.now() - 2 * DAY_MS),
    notAfter: new Date(Date.now() - 1000),
  });
  for (const { make, name } of [...STRANGERS, ...IDLERS]) await make(pki, name);
  const bundle = await Promise.all(
    ["ca.crt", "expired-ca.crt"].map((name) => Deno.readTextFile(pki.file(name))),
  );
  await Deno.writeTextFile(pki.file("both-cas.crt"), bundle.join(""));
  const { serialNumber } = new X509Certificate(
    await Deno.readTextFile(pki.file("revoked-one.crt")),
  );
  await makeRevocationList(pki, pki.file("strangers.crl"), { serials: [serialNumber] });
  return await TestServer.start({
    flags: ["--ca", pki.file("both-cas.crt"), "--crl", pki.file("strangers.crl")],
  });
}

test("every refusal holds under load too, and whoever may call notices nothing", async (t) => {
  await using server = await startForStrangers();
  const good = server.client();
  const work = { isOver: false, calls: 0 };
  const following = await good.shell("while :; do echo line; sleep 0.01; done");
  const workers = Array.from({ length: 4 }, async () => {
    while (!work.isOver) {
      assert.equal((await good.wait(await good.start("true"))).exitCode, 0);
      work.calls += 1;
    }
  });
  const follower = good.output(following);
  for (const { what, name } of STRANGERS) {
    await t.step(what, () => assertStatus(ask(server, name), status.UNAVAILABLE).then(() => {}));
  }
  for (const { what, name, said } of IDLERS) {
    await t.step(
      what,
      () => assertStatus(ask(server, name), status.UNAUTHENTICATED, said).then(() => {}),
    );
  }
  await t.step("without a certificate", async () => {
    const { stderr } = await handshake(server, undefined, "-tls1_3", "-ign_eof");
    assert.match(stderr, /certificate required/);
  });
  await t.step("TLS 1.2", async () => {
    const { stderr } = await handshake(server, "alice", "-tls1_2");
    assert.match(stderr, /alert (protocol version|handshake failure)/);
  });
  work.isOver = true;
  await Promise.all(workers);
  await good.stop(following, 0);
  assert.match(new TextDecoder().decode(await follower), /^(line\n)+$/);
  assert(work.calls > STRANGERS.length, `${work.calls} calls of those who may`);
});

test("a certificate that is not the CA's and valid now is refused", async (t) => {
  await using server = await startForStrangers();
  for (const { what, name } of STRANGERS) {
    await t.step(what, async () => {
      await assertStatus(ask(server, name), status.UNAVAILABLE);
      const { code, stderr } = await handshake(server, name, "-tls1_3", "-ign_eof");
      assert.equal(code, 1, stderr);
      assert.match(stderr, REFUSAL);
    });
  }
  await t.step("none at all", async () => {
    const { code, stderr } = await handshake(server, undefined, "-tls1_3", "-ign_eof");
    assert.equal(code, 1, stderr);
    assert.match(stderr, /certificate required/);
  });
  const lines = server.log.trimEnd().split("\n").map((line) => JSON.parse(line))
    .filter(({ message }) => message === "a handshake was refused");
  const others = lines.reduce((sum, { othersBefore = 0 }) => sum + othersBefore, 0);
  // One line a second; the last ones may still wait to be told of.
  assert.ok(lines.length > 0 && lines.length + others <= 3 * STRANGERS.length + 3);
  for (const { peer, reason } of lines) {
    assert.match(peer, /^127\.0\.0\.1:\d+$/);
    assert.match(reason, /certificate|socket hang up/i);
  }
  await assertStatus(ask(server, "alice"), status.NOT_FOUND);
  await assertServes(server);
  assert.deepEqual(callersOf(server), new Set(["alice"]));
});

test("1.2 and older are refused, and 1.3 is what is spoken", async () => {
  await using server = await TestServer.start();
  const modern = await handshake(server, "alice", "-tls1_3");
  assert.equal(modern.code, 0, modern.stderr);
  assert.match(modern.stderr, /Protocol version: TLSv1\.3/);
  assert.match(modern.stderr, /Verification: OK/);
  const older = ["-tls1_2", "-tls1_1", "-tls1"];
  for (const version of older) {
    // At level 0 openssl itself offers the oldest versions, too.
    const { code, stderr } = await handshake(
      server,
      "alice",
      version,
      "-cipher",
      "ALL:@SECLEVEL=0",
    );
    assert.equal(code, 1, stderr);
    assert.match(stderr, /alert (protocol version|handshake failure)/);
  }
  await assertServes(server);
});

test("a session of before does not stand for a certificate", async () => {
  await using server = await TestServer.start();
  const session = `${server.folder}/session`;
  const { pki } = server;
  const identity = ["-cert", pki.file("alice.crt"), "-key", pki.file("alice.key")];
  const address = ["-connect", `127.0.0.1:${server.port}`, "-alpn", "h2"];
  const before = new Deno.Command("openssl", {
    args: ["s_client", ...address, ...identity, "-sess_out", session],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  // Tickets come after the handshake; the client waits for its own end of input.
  await until("a ticket", async () => {
    return ((await Deno.stat(session).catch(() => undefined))?.size ?? 0) > 0;
  });
  await before.stdin.close();
  await before.status;
  const flags = ["-tls1_3", "-sess_in", session, "-ign_eof"];
  const { code, stderr } = await handshake(server, undefined, ...flags);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /certificate required/);
});

test("a client that is sent to another host, or trusts another CA, does not call", async () => {
  const pki = await testPki();
  const serverExtensions = [
    ...CLIENT_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage")),
    "extendedKeyUsage=serverAuth",
    "subjectAltName=DNS:elsewhere.example",
  ];
  await signCertificate(pki, "elsewhere", { extensions: serverExtensions });
  await makeOtherAuthority(pki, "their-ca");
  {
    await using server = await TestServer.start({ certificate: "elsewhere" });
    await assertStatus(ask(server, "alice"), status.UNAVAILABLE);
    // The certificate is good, only for another name.
    const verify = ["-tls1_3", "-verify_return_error", "-verify_hostname"];
    const { code, stderr } = await handshake(server, "alice", ...verify, "elsewhere.example");
    assert.equal(code, 0, stderr);
    const wrong = await handshake(server, "alice", ...verify, "localhost");
    assert.match(wrong.stderr, /hostname mismatch/);
    assert.deepEqual(callersOf(server), new Set());
  }
  await using server = await TestServer.start();
  const read = (name: string) => Deno.readTextFileSync(pki.file(name));
  const identity = { ca: read("their-ca.crt"), cert: read("alice.crt"), key: read("alice.key") };
  const client = new TestClient(server.address, identity);
  await assertStatus(client.query(UNKNOWN_JOB), status.UNAVAILABLE);
  client.raw.close();
  assert.deepEqual(callersOf(server), new Set());
  await assertServes(server);
});

/** Reads until the server has closed a connection; returns how long that took. */
async function untilClosed(connection: Deno.Conn): Promise<number> {
  const begin = performance.now();
  const timer = setTimeout(() => connection.close(), CLOSE_DEADLINE_MS);
  let timedOut = false;
  try {
    while (await connection.read(new Uint8Array(4096)) !== null);
  } catch (error) {
    // A reset closes it as well; our own timer does not count.
    timedOut = error instanceof Deno.errors.BadResource || error instanceof Deno.errors.Interrupted;
  } finally {
    clearTimeout(timer);
  }
  assert(!timedOut, "the server has not closed the connection");
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
  return performance.now() - begin;
}

/** Sends bytes; a server that has closed the connection meanwhile is no surprise. */
async function send(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  try {
    for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return;
    if (error instanceof Deno.errors.ConnectionReset) return;
    throw error;
  }
}

function connect(server: TestServer): Promise<Deno.TcpConn> {
  return Deno.connect({ hostname: "127.0.0.1", port: server.port });
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

/** Bytes without a pattern, the same ones in every run. */
function noise(length: number): Uint8Array {
  let state = 1;
  return Uint8Array.from({ length }, () => (state = state * 48_271 % 2_147_483_647) & 0xff);
}

const HTTP2_PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const EMPTY_SETTINGS = "\0\0\0\x04\0\0\0\0\0";

const GARBAGE: Readonly<Record<string, Uint8Array>> = {
  "HTTP/1.1 in plain text": text("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  "HTTP/2 in plain text": text(HTTP2_PREFACE + EMPTY_SETTINGS),
  "SSH": text("SSH-2.0-OpenSSH_9.2\r\n"),
  "noise": noise(65_536),
  "zeros": new Uint8Array(65_536),
  "a record of TLS with noise in it": new Uint8Array([22, 3, 1, 0x40, 0, ...noise(0x4000)]),
  "a record of TLS that is too long": new Uint8Array([22, 3, 1, 0xff, 0xff, ...noise(0xffff)]),
  "an alert of TLS": new Uint8Array([21, 3, 3, 0, 2, 2, 40]),
  "data before a handshake": new Uint8Array([23, 3, 3, 0, 5, 1, 2, 3, 4, 5]),
};

test("plain text and garbage are refused, and the server goes on", async (t) => {
  await using server = await TestServer.start();
  for (const [what, bytes] of Object.entries(GARBAGE)) {
    await t.step(what, async () => {
      const connection = await connect(server);
      await send(connection, bytes);
      await untilClosed(connection);
      await assertStatus(ask(server, "alice"), status.NOT_FOUND);
    });
  }
  await assertServes(server);
  assert.deepEqual(callersOf(server), new Set(["alice"]));
});

test("a caller with a certificate that speaks no HTTP/2 harms nobody", async (t) => {
  await using server = await TestServer.start();
  const other = server.client();
  const id = await other.shell("echo ready; exec sleep 600");
  await other.untilOutput(id, /ready/);
  const watched = other.text(id);
  const read = (name: string) => Deno.readTextFileSync(server.pki.file(name));
  const [cert, key, ca] = [read("bob.crt"), read("bob.key"), read("ca.crt")];
  const frames: Record<string, string> = {
    "HTTP/1.1": "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "noise after the preface": HTTP2_PREFACE + EMPTY_SETTINGS +
      String.fromCharCode(...noise(16_384).map((byte) => byte & 0x7f)),
    "headers that are no headers": HTTP2_PREFACE + EMPTY_SETTINGS +
      "\0\0\x04\x01\x05\0\0\0\x01\x7f\x7f\x7f\x7f",
    "a stream of the server's": HTTP2_PREFACE + EMPTY_SETTINGS + "\0\0\0\x01\x05\0\0\0\x02",
  };
  for (const [what, bytes] of Object.entries(frames)) {
    await t.step(what, async () => {
      const connection = await Deno.connectTls({
        hostname: "localhost",
        port: server.port,
        caCerts: [ca],
        cert,
        key,
        alpnProtocols: ["h2"],
      });
      await connection.handshake();
      await send(connection, text(bytes));
      await assertStatus(ask(server, "alice"), status.NOT_FOUND);
      connection.close();
    });
  }
  await other.stop(id);
  assert.equal(await watched, "ready\n");
  await assertServes(server);
});

/** What a client of TLS 1.3 says first. */
async function clientHello(): Promise<Uint8Array> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const client = run("openssl", ["s_client", "-connect", `127.0.0.1:${port}`, "-alpn", "h2"]);
  using connection = await listener.accept();
  const bytes = new Uint8Array(4096);
  const length = await connection.read(bytes) ?? 0;
  connection.close();
  await client;
  assert.equal(bytes[0], 22);
  return bytes.subarray(0, length);
}

/** Sends a byte at a time, with pauses, until the server has closed the connection. */
async function drip(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) {
    try {
      await connection.write(new Uint8Array([byte]));
    } catch {
      return; // The server has closed it, which is what the test looks for.
    }
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Where the random bytes of a ClientHello are (RFC 8446, 4.1.2). */
const RANDOM_OFFSET = 11;

test("a handshake that does not go on is ended, and descriptors come back", async () => {
  await using server = await TestServer.start();
  const hello = await clientHello();
  await assertServes(server);
  const settled = await settledDescriptors(server);
  const connections = await Promise.all(Array.from({ length: 20 }, () => connect(server)));
  const [half, whole, slow] = connections;
  assert(half && whole && slow);
  await send(half, hello.subarray(0, hello.length / 2));
  // Another client's: a first message that was sent before is refused at once.
  const other = hello.slice();
  crypto.getRandomValues(other.subarray(RANDOM_OFFSET, RANDOM_OFFSET + 32));
  await send(whole, other);
  const dripping = drip(slow, hello);
  // They hold nobody up meanwhile.
  await assertServes(server);
  assert((await server.resources()).descriptors >= settled + connections.length);
  const durations = await Promise.all(connections.map(untilClosed));
  await dripping;
  assert.match(server.log, /"a handshake was refused"[^\n]+"reason":"it took longer than 10 s/);
  for (const ms of durations) {
    assert(ms > HANDSHAKE_TIMEOUT_MS / 2 && ms < HANDSHAKE_TIMEOUT_MS * 3, `closed after ${ms} ms`);
  }
  await untilDescriptors(server, settled);
  await assertServes(server);
});

test("a handshake of one host does not count for another with the same port", async () => {
  await using server = await TestServer.start();
  const silent = await connect(server);
  const { port } = silent.localAddr as Deno.NetAddr;
  const { code, stderr } = await handshake(server, "alice", "-bind", `127.0.0.2:${port}`);
  assert.equal(code, 0, stderr);
  assert.match(stderr, /Protocol version: TLSv1\.3/);
  assert(await untilClosed(silent) > HANDSHAKE_TIMEOUT_MS / 2);
});

/** How many descriptors the server has open, once that number has come to rest. */
async function settledDescriptors(server: TestServer): Promise<number> {
  let last = -1;
  let looks = 0;
  return await until("the descriptors to come to rest", async () => {
    const { descriptors } = await server.resources();
    looks = descriptors === last ? looks + 1 : 0;
    last = descriptors;
    return looks >= 20 && descriptors;
  });
}

async function untilDescriptors(server: TestServer, expected: number): Promise<void> {
  await until(`${expected} descriptors`, async () => {
    return (await server.resources()).descriptors <= expected;
  });
}

const COUNT = 300;
const WARM_UP_COUNT = 100;

/** Connections one after the other, some before it is measured: the runtime fills its pools. */
async function measureConnections(
  server: TestServer,
  options: { what: string; connectOnce: () => Promise<void>; lanes?: number },
): Promise<number> {
  const { what, connectOnce, lanes = 1 } = options;
  const connect = async (count: number) => {
    const lane = async () => {
      for (let connection = 0; connection < count / lanes; connection++) await connectOnce();
    };
    await Promise.all(Array.from({ length: lanes }, lane));
  };
  await connect(WARM_UP_COUNT);
  const descriptors = await settledDescriptors(server);
  const before = (await server.resources()).residentBytes;
  const begin = performance.now();
  await connect(COUNT);
  const ms = Math.round(performance.now() - begin);
  await untilDescriptors(server, descriptors);
  const after = (await server.resources()).residentBytes;
  const bytes = Math.round((after - before) / COUNT);
  console.log(
    `${COUNT} connections ${what}: ${bytes} bytes of memory each ` +
      `(${Math.round(before / 1e6)} to ${Math.round(after / 1e6)} MB), ${ms} ms, ` +
      `${descriptors} descriptors before and after`,
  );
  return bytes;
}

/** Far above what the runtime is known to keep of a connection (100 KB at most). */
const MEMORY_LIMIT_BYTES = 300_000;

test("300 connections one after the other leave no descriptor", async () => {
  await using server = await TestServer.start();
  const read = (name: string) => Deno.readTextFileSync(server.pki.file(name));
  const identity = { ca: read("ca.crt"), cert: read("alice.crt"), key: read("alice.key") };
  const connectOnce = async () => {
    const client = new TestClient(server.address, identity);
    await assertStatus(client.query(UNKNOWN_JOB), status.NOT_FOUND);
    client.raw.close();
  };
  const what = "with a call each";
  const bytes = await measureConnections(server, { what, connectOnce });
  assert(bytes < MEMORY_LIMIT_BYTES, `${bytes} bytes a connection`);
  await assertServes(server);
});

test("300 connections without a certificate leave no descriptor", async () => {
  await using server = await TestServer.start();
  const ca = await Deno.readTextFile(server.pki.file("ca.crt"));
  const connectOnce = async () => {
    const connection = await Deno.connectTls({
      hostname: "localhost",
      port: server.port,
      caCerts: [ca],
      alpnProtocols: ["h2"],
    });
    await untilClosed(connection);
  };
  const what = "without a certificate";
  // Each waits 40 ms for an acknowledgement that the kernel delays.
  const bytes = await measureConnections(server, { what, connectOnce, lanes: 10 });
  assert(bytes < MEMORY_LIMIT_BYTES, `${bytes} bytes a connection`);
  await assertServes(server);
});

test("300 connections with garbage leave no descriptor", async () => {
  await using server = await TestServer.start();
  const bytesToSend = text("GET / HTTP/1.1\r\n\r\n");
  const connectOnce = async () => {
    const connection = await connect(server);
    await send(connection, bytesToSend);
    await untilClosed(connection);
  };
  const what = "with garbage";
  const bytes = await measureConnections(server, { what, connectOnce });
  assert(bytes < MEMORY_LIMIT_BYTES, `${bytes} bytes a connection`);
  await assertServes(server);
});
