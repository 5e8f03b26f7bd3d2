import assert from "node:assert/strict";
import { type AddressInfo, createServer, type Socket } from "node:net";
import { Authority, type Pair } from "../support/client_certificates.ts";
import { main } from "../../client/program.ts";
import { FakeTerminal, runClient } from "../support/client_terminal.ts";
import { exitedJob, FakeServer, LOOPBACK, placeIdentity } from "../support/client_fake.ts";
import { until } from "../support/wait.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";
const HOUR_MS = 3_600_000;

const REFUSED = "Cannot reach localhost:1: connection refused. " +
  "Start worker-server, or name the right address with --server HOST:PORT.";

/** grpc-js ends sockets and timers some time after it was told to. */
const UNSANITIZED = { sanitizeOps: false, sanitizeResources: false };

const authority = await Authority.create();
const otherAuthority = await Authority.create("other CA");
const alice = await authority.issue({ name: "alice" });
const mallory = await otherAuthority.issue({ name: "mallory" });
const serverPair = await authority.issue({ name: "server", names: LOOPBACK });

/** Queries a job (or does as `args` say) as `pair`, trusting `trusted`. */
async function query(
  address: string,
  { pair = alice, trusted = authority, args = ["query", ID] }: {
    pair?: Pair;
    trusted?: Authority;
    args?: string[];
  } = {},
): Promise<{ status: number; text: string; notes: string[] }> {
  using host = placeIdentity(pair, trusted);
  const result = await runClient(args, host.environment(address));
  return { ...result, notes: result.notes.map((note) => note.replaceAll(host.folder, "DIR")) };
}

function assertFails(
  result: { status: number; text: string; notes: string[] },
  status: number,
  note: string | RegExp,
): void {
  assert.equal(result.notes.length, 1, result.notes.join("\n"));
  if (typeof note === "string") assert.equal(result.notes[0], note);
  else assert.match(result.notes[0] ?? "", note);
  assert.deepEqual([result.status, result.text], [status, ""]);
}

for (const host of ["localhost", "127.0.0.1"]) {
  Deno.test({
    name: `connection: ${host} is let through when the certificate is for it`,
    ...UNSANITIZED,
    async fn() {
      await using server = await FakeServer.start(serverPair, authority.cert);
      assert.equal((await query(`${host}:${server.port}`)).status, 0);
    },
  });

  Deno.test({
    name: `connection: ${host} is refused when the certificate is for another name`,
    ...UNSANITIZED,
    async fn() {
      const names = [
        { type: "dns", value: "elsewhere" },
        { type: "ip", value: "192.0.2.7" },
        { type: "dns", value: "address.job-worker.example" },
      ] as const;
      const pair = await authority.issue({ name: host, names });
      await using server = await FakeServer.start(pair, authority.cert);
      const address = `${host}:${server.port}`;
      assertFails(
        await query(address),
        3,
        new RegExp(
          `^Cannot trust the server at ${address}: its certificate is for another name ` +
            `\\(.*(elsewhere|192\\.0\\.2\\.7).*\\)\\. Use a name in its certificate, or issue one for ${host}\\.$`,
        ),
      );
      assert.equal(server.requests.length, 0);
    },
  });

  Deno.test({
    name: `connection: ${host} is refused when another CA signed its certificate`,
    ...UNSANITIZED,
    async fn() {
      const pair = await otherAuthority.issue({ name: "server", names: LOOPBACK });
      await using server = await FakeServer.start(pair, authority.cert);
      const address = `${host}:${server.port}`;
      assertFails(
        await query(address),
        3,
        `Cannot trust the server at ${address}: its certificate was not signed by the ` +
          "CA in DIR/me.pem. Name the right CA with --ca FILE.",
      );
      assert.equal(server.requests.length, 0);
    },
  });
}

Deno.test({
  name: "connection: an expired server certificate is refused, with the reason",
  ...UNSANITIZED,
  async fn() {
    const dates = { fromMs: -2 * HOUR_MS, toMs: -HOUR_MS };
    const pair = await authority.issue({ name: "server", names: LOOPBACK, ...dates });
    await using server = await FakeServer.start(pair, authority.cert);
    assertFails(
      await query(server.address),
      3,
      `Cannot trust the server at ${server.address}: its certificate has expired. ` +
        "Issue a new one for it.",
    );
  },
});

Deno.test({
  name: "connection: a server certificate that is not valid yet is refused, with the reason",
  ...UNSANITIZED,
  async fn() {
    const dates = { fromMs: HOUR_MS, toMs: 2 * HOUR_MS };
    const pair = await authority.issue({ name: "server", names: LOOPBACK, ...dates });
    await using server = await FakeServer.start(pair, authority.cert);
    assertFails(
      await query(server.address),
      3,
      `Cannot trust the server at ${server.address}: its certificate is not valid yet. ` +
        "Check the clocks of this machine and of the server.",
    );
  },
});

Deno.test({
  name: "connection: a server that rejects the client certificate is reported; exit status 4",
  ...UNSANITIZED,
  async fn() {
    // The server's own certificate is from the client's CA, but it accepts another CA's clients.
    const pair = await otherAuthority.issue({ name: "server", names: LOOPBACK });
    await using server = await FakeServer.start(pair, authority.cert);
    assertFails(
      await query(server.address, { pair: mallory, trusted: otherAuthority }),
      4,
      `Cannot connect to ${server.address}: the server rejects this client's certificate ` +
        "(CN=mallory, DIR/me.pem). Use one that was issued by a CA the server trusts.",
    );
    assert.equal(server.requests.length, 0);
  },
});

Deno.test({
  name: "connection: an invalid certificate of the client is found before a connection is made",
  ...UNSANITIZED,
  async fn() {
    await using server = await FakeServer.start(serverPair, authority.cert);
    const expired = await authority.issue({ name: "old", fromMs: -2 * HOUR_MS, toMs: -HOUR_MS });
    const result = await query(`localhost:1`, { pair: expired });
    assertFails(result, 4, /^Cannot use the certificate \(CN=old, DIR\/me\.pem\): it expired at /);
    assertFails(
      await query(server.address, { pair: mallory }),
      4,
      /did not sign it; CN=.* did\. Name the right CA/,
    );
    assert.equal(server.requests.length, 0);
  },
});

Deno.test({
  name: "connection: a refused connection is reported, and again after the retries",
  ...UNSANITIZED,
  async fn() {
    const { notes, ...result } = await query("localhost:1");
    assert.equal(notes.shift(), "cannot reach localhost:1, trying again...");
    assertFails({ ...result, notes }, 3, REFUSED);
  },
});

for (const verb of ["stream", "wait"]) {
  Deno.test({
    name: `connection: a refused connection is reported at once with ${verb} --no-retry`,
    ...UNSANITIZED,
    async fn() {
      const result = await query("localhost:1", { args: [verb, "--no-retry", ID] });
      assertFails(result, verb === "wait" ? 125 : 3, REFUSED);
    },
  });
}

Deno.test({
  name: "connection: a server that is just being restarted is waited for",
  ...UNSANITIZED,
  async fn() {
    await using server = await FakeServer.start(serverPair, authority.cert);
    server.script.Query = [exitedJob(0)];
    server.close();
    const { address } = server;
    using host = placeIdentity(alice, authority);
    const terminal = new FakeTerminal(host.environment(address));
    const ended = main(["query", ID], terminal);
    await until("the note", () => terminal.notes.length === 1);
    await server.open();
    assert.equal(await ended, 0);
    assert.deepEqual(terminal.notes, [`cannot reach ${address}, trying again...`]);
    assert.equal(server.requestsOf("Query").length, 1);
  },
});

Deno.test({
  name: "connection: a name that does not resolve is said to be that",
  ...UNSANITIZED,
  async fn() {
    assertFails(
      await query("no-such-host.invalid:50051"),
      3,
      "Cannot find the host no-such-host.invalid: the name does not resolve. " +
        "Check --server HOST:PORT.",
    );
  },
});

/** Listens in place of a worker-server. */
async function listen(
  onConnection: (socket: Socket) => void,
): Promise<{ address: string } & Disposable> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    // The test waits for the client to close the connection.
    socket.on("error", () => {});
    onConnection(socket);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

const OTHER_SERVERS:
  readonly (readonly [name: string, act: (socket: Socket) => void, note: RegExp])[] = [
    [
      "plain text",
      (socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"),
      /^Cannot connect to \S+: the TLS handshake failed \(.*\)\. Check that a worker-server/,
    ],
    [
      "a closed door",
      (socket) => socket.destroy(),
      /^Cannot connect to \S+: it closes every connection immediately\. Check that a worker-server/,
    ],
    [
      "silence",
      () => {},
      /^Cannot connect to \S+: it accepts connections but does not answer\. Check that a worker/,
    ],
  ];

for (const [name, act, note] of OTHER_SERVERS) {
  Deno.test({
    name: `connection: ${name} at the port is not a worker-server`,
    ...UNSANITIZED,
    async fn() {
      using server = await listen(act);
      assertFails(await query(server.address), 3, note);
    },
  });
}

Deno.test({
  name: "connection: a server that speaks only TLS 1.2 is refused",
  ...UNSANITIZED,
  async fn() {
    using host = placeIdentity(serverPair, authority);
    const child = new Deno.Command("openssl", {
      args: ["s_server", "-accept", "127.0.0.1:0", "-tls1_2", "-cert", `${host.folder}/me.pem`],
      // At the end of its input openssl exits at the first connection.
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let text = "";
    const reading = (async () => {
      for await (const bytes of child.stdout) text += new TextDecoder().decode(bytes);
    })();
    try {
      const port = await until("openssl to listen", () => /ACCEPT \S*:(\d+)/.exec(text)?.[1]);
      assertFails(
        await query(`localhost:${port}`),
        3,
        `Cannot connect to localhost:${port}: it does not speak HTTP/2 over TLS 1.3. ` +
          "Check that a worker-server listens there.",
      );
    } finally {
      child.kill();
      await Promise.all([child.status, child.stdin.close()]);
      await reading;
    }
  },
});

Deno.test({
  name: "connection: a server whose certificate is for clients is not trusted",
  ...UNSANITIZED,
  async fn() {
    const names = LOOPBACK;
    const forClients = await authority.issue({ name: "server", names, purposes: ["client"] });
    {
      await using server = await FakeServer.start(forClients, authority.cert);
      assertFails(
        await query(`localhost:${server.port}`),
        3,
        `Cannot trust the server at localhost:${server.port}: its certificate is not a ` +
          "server certificate. Issue one for it (worker-certs issue --server).",
      );
    }
    const forServers = await authority.issue({ name: "server", names, purposes: ["server"] });
    await using server = await FakeServer.start(forServers, authority.cert);
    assert.equal((await query(`localhost:${server.port}`)).status, 0);
  },
});

Deno.test({
  name: "connection: a server below a CA is trusted where it shows the chain, and only there",
  ...UNSANITIZED,
  async fn() {
    const intermediate = await authority.createIntermediate("below");
    const leaf = await intermediate.issue({ name: "server", names: LOOPBACK });
    const other = await (await Authority.create("other")).createIntermediate("below");
    const chains: [string, number][] = [
      [leaf.cert + intermediate.cert, 0],
      [leaf.cert, 3],
      [leaf.cert + other.cert, 3],
    ];
    for (const [cert, expected] of chains) {
      await using server = await FakeServer.start({ cert, key: leaf.key }, authority.cert);
      const { status, notes } = await query(`localhost:${server.port}`);
      assert.equal(status, expected);
      if (expected !== 0) assert.match(notes[0] ?? "", /Cannot trust the server/);
    }
  },
});
