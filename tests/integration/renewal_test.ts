/** Certificates and revocation lists that change while the server runs. */
import { type ServiceError, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { assertStatus } from "../support/client.ts";
import { testPki } from "../support/pki.ts";
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
const SECOND_MS = 1000;

/** grpc-js keeps a timer for a while after a connection was refused, also when it is closed. */
function test(name: string, fn: (t: Deno.TestContext) => Promise<void>): void {
  Deno.test({ name: `renewal: ${name}`, fn, sanitizeOps: false, sanitizeResources: false });
}

/** A server with certificate files of its own, which a test may change. */
async function startServer(): Promise<TestServer & { own: (name: string) => string }> {
  const pki = await testPki();
  const folder = await Deno.makeTempDir({ prefix: "job-worker-renewal-" });
  const own = (name: string) => join(folder, name);
  for (const name of ["ca.crt", "server.crt", "server.key"]) {
    await Deno.copyFile(pki.file(name), own(name));
  }
  const flags = ["--ca", own("ca.crt"), "--cert", own("server.crt"), "--key", own("server.key")];
  const server = await TestServer.start({ flags: [...flags, "--crl", own("ca.crl")] });
  const dispose = server[Symbol.asyncDispose].bind(server);
  return Object.assign(server, {
    own,
    [Symbol.asyncDispose]: async () => {
      await dispose();
      await Deno.remove(folder, { recursive: true });
    },
  });
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

async function serialOf(server: TestServer, name: string): Promise<string> {
  return new X509Certificate(await Deno.readTextFile(server.pki.file(`${name}.crt`))).serialNumber;
}

function untilLogged(server: TestServer, pattern: RegExp): Promise<boolean> {
  return until(`${pattern} in the log`, () => pattern.test(server.log));
}

/** How a stream of a job that does not end is ended. */
async function watch(
  server: TestServer,
  identity: string,
): Promise<{ ended: Promise<ServiceError> }> {
  const writer = server.client("bob-writer");
  const id = await writer.shell("echo ready; exec sleep 600");
  const client = server.client(identity);
  const begun = Promise.withResolvers<void>();
  const ended = (async () => {
    try {
      for await (const _ of client.messages({ jobID: id })) begun.resolve();
    } catch (error) {
      return error as ServiceError;
    }
    throw new Error("the stream ended without an error");
  })();
  await begun.promise;
  return { ended };
}

/** Makes alice's counterpart, who stays. */
async function makeOther(): Promise<void> {
  await signCertificate(await testPki(), "bob-writer", { extensions: WRITER_EXTENSIONS });
}

test("a revoked client loses its streams at once, and nothing but a newer list brings it back", async (t) => {
  await makeOther();
  const pki = await testPki();
  await makeOtherAuthority(pki, "strange-ca");
  await using server = await startServer();
  const serials = [await serialOf(server, "alice")];
  const list = server.own("ca.crl");
  await assertStatus(ask(server, "alice"), status.NOT_FOUND);
  const { ended } = await watch(server, "alice");
  const stillRefused = async () => {
    await assertStatus(
      ask(server, "alice"),
      status.UNAUTHENTICATED,
      /is revoked; ask for a new one/,
    );
    await assertStatus(ask(server, "bob"), status.NOT_FOUND);
  };
  await t.step("its stream ends with the reason", async () => {
    await makeRevocationList(pki, list, { serials });
    const { code, details } = await ended;
    assert.equal(code, status.UNAUTHENTICATED);
    assert.match(details, /^the certificate [0-9A-F]+ of alice is revoked; ask for a new one$/);
    await stillRefused();
    await untilLogged(server, /a connection is closed.*alice.*is revoked/);
  });
  const broken: [string, () => Promise<void>, RegExp][] = [
    ["garbage", () => Deno.writeTextFile(list, "garbage"), /holds no list in PEM/],
    [
      "a list that is cut off",
      () => Deno.writeTextFile(list, "-----BEGIN X509 CRL-----\nMIIB\n"),
      /it is cut off, .*END X509 CRL/,
    ],
    [
      "a list of another CA of the same name",
      () => makeRevocationList(pki, list, { serials: [], issuer: "strange-ca" }),
      /is not signed by a CA that is trusted here/,
    ],
    [
      "an older list",
      () =>
        makeRevocationList(pki, list, { serials: [], madeAt: new Date(Date.now() - 3_600_000) }),
      /before the one in force/,
    ],
    [
      "a list from the future",
      () =>
        makeRevocationList(pki, list, { serials: [], madeAt: new Date(Date.now() + 3_600_000) }),
      /in the future: check the clock/,
    ],
    ["no list", () => Deno.remove(list), /no longer exists; put it back/],
  ];
  for (const [what, make, problem] of broken) {
    await t.step(`${what} changes nothing and is told`, async () => {
      await make();
      await untilLogged(server, problem);
      await stillRefused();
    });
  }
  await t.step("a restart without the list changes nothing", async () => {
    await server.end();
    await server.launch();
    await stillRefused();
  });
  await t.step("a newer list without it does", async () => {
    await makeRevocationList(pki, list, { serials: [] });
    await until("alice to be let in", async () => {
      return await ask(server, "alice").catch(({ code }) => code === status.NOT_FOUND);
    });
  });
});

test("a list that is broken when the server starts keeps it from starting", async () => {
  await using server = await startServer();
  await server.end();
  await Deno.writeTextFile(server.own("ca.crl"), "garbage");
  await assert.rejects(server.launch(), /cannot use the revocation list \S+: it holds no list/);
  await Deno.remove(server.own("ca.crl"));
  await server.launch();
  await assertStatus(ask(server, "alice"), status.NOT_FOUND);
});

test("a list that is past its time is still held to, with a warning", async () => {
  const pki = await testPki();
  await using server = await startServer();
  const serials = [await serialOf(server, "alice")];
  const [madeAt, nextAt] = [new Date(Date.now() - 60_000), new Date(Date.now() - 30_000)];
  await makeRevocationList(pki, server.own("ca.crl"), { serials, madeAt, nextAt });
  await untilLogged(server, /"warn".*ca\.crl has expired/);
  await assertStatus(ask(server, "alice"), status.UNAUTHENTICATED, /is revoked/);
});

/** The serial number that the server shows to a new client. */
async function shownSerial(server: TestServer): Promise<string> {
  const { pki } = server;
  const pair = ["-cert", pki.file("alice.crt"), "-key", pki.file("alice.key")];
  const address = ["-connect", `127.0.0.1:${server.port}`, "-alpn", "h2"];
  const { stdout } = await run("openssl", ["s_client", ...address, ...pair]);
  return new X509Certificate(/-----BEGIN[\s\S]*?END CERTIFICATE-----/.exec(stdout)?.[0] ?? "")
    .serialNumber;
}

test("a new certificate is shown without a restart, a broken one never, and 1.3 stays", async (t) => {
  await makeOther();
  const pki = await testPki();
  const extensions = [
    ...CLIENT_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage")),
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
  ];
  const days = (count: number) => new Date(Date.now() + count * 86_400_000);
  const forServers = [...extensions, "extendedKeyUsage=serverAuth"];
  await signCertificate(pki, "next", { extensions: forServers, notAfter: days(5.5) });
  await signCertificate(pki, "for-clients", {
    extensions: [...extensions, "extendedKeyUsage=clientAuth"],
  });
  await signCertificate(pki, "over", { extensions: forServers, notAfter: days(-0.1) });
  await using server = await startServer();
  const first = await shownSerial(server);
  const client = server.client();
  const id = await client.shell("echo ready; exec sleep 600");
  await client.untilOutput(id, /ready/);
  const put = (from: string, to: string) => Deno.copyFile(pki.file(from), server.own(to));
  const broken: [string, () => Promise<void>, RegExp][] = [
    [
      "a certificate without its key",
      () => put("next.crt", "server.crt"),
      /does not fit the certificate/,
    ],
    ["a certificate for clients", async () => {
      await put("for-clients.key", "server.key");
      await put("for-clients.crt", "server.crt");
    }, /is not for servers/],
    ["an expired one", () => put("over.crt", "server.crt"), /server\.crt has expired/],
    [
      "garbage",
      () => Deno.writeTextFile(server.own("server.crt"), "garbage"),
      /not a PEM certificate/,
    ],
    ["no key", () => Deno.remove(server.own("server.key")), /server\.key does not exist/],
  ];
  for (const [what, make, problem] of broken) {
    await t.step(`${what} is not used`, async () => {
      await make();
      await untilLogged(server, problem);
      assert.equal(await shownSerial(server), first);
      await assertStatus(ask(server, "alice"), status.NOT_FOUND);
    });
  }
  await t.step("a good pair is", async () => {
    await put("next.key", "server.key");
    await put("next.crt", "server.crt");
    Deno.kill(server.pid, "SIGHUP");
    await until("the new certificate", async () => await shownSerial(server) !== first);
    await untilLogged(server, /certificates reloaded/);
    await untilLogged(server, /"warn".*server\.crt expires in 5 days/);
    await assertStatus(ask(server, "alice"), status.NOT_FOUND);
  });
  await t.step("TLS 1.2 is still refused", async () => {
    const flags = ["-connect", `127.0.0.1:${server.port}`, "-tls1_2", "-cipher", "ALL:@SECLEVEL=0"];
    const { code, stderr } = await run("openssl", ["s_client", "-brief", ...flags]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /alert (protocol version|handshake failure)/);
  });
  // The connection of before goes on.
  assert.equal((await client.query(id)).exited, false);
  await client.stop(id);
});

test("a client whose certificate expires meanwhile loses its streams", async () => {
  await makeOther();
  const pki = await testPki();
  const notAfter = new Date(Date.now() + 6 * SECOND_MS);
  await signCertificate(pki, "brief", { extensions: WRITER_EXTENSIONS, notAfter });
  await using server = await startServer();
  const { code, details } = await (await watch(server, "brief")).ended;
  assert.equal(code, status.UNAUTHENTICATED);
  assert.match(details, /of brief has expired; ask for a new one/);
});

test("the clients of a CA that is taken out lose their streams, those of the new one do not", async () => {
  const pki = await testPki();
  await makeOther();
  await makeOtherAuthority(pki, "new-ca");
  await signCertificate(pki, "new-alice", { extensions: WRITER_EXTENSIONS, issuer: "new-ca" });
  const names = [
    ...CLIENT_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage")),
    "extendedKeyUsage=serverAuth",
    "subjectAltName=DNS:localhost,IP:127.0.0.1",
  ];
  await signCertificate(pki, "new-server", { extensions: names, issuer: "new-ca" });
  await using server = await startServer();
  const read = (name: string) => Deno.readTextFile(pki.file(name));
  await Deno.writeTextFile(server.own("ca.crt"), await read("ca.crt") + await read("new-ca.crt"));
  // Its certificate is of the first CA still, and so it trusts that.
  await untilLogged(server, /certificates reloaded/);
  await assertStatus(ask(server, "new-alice"), status.NOT_FOUND);
  const { ended } = await watch(server, "alice");
  await Deno.copyFile(pki.file("new-server.key"), server.own("server.key"));
  await Deno.copyFile(pki.file("new-server.crt"), server.own("server.crt"));
  await Deno.copyFile(pki.file("new-ca.crt"), server.own("ca.crt"));
  const { code, details } = await ended;
  assert.equal(code, status.UNAUTHENTICATED);
  assert.match(details, /of alice is not signed by a CA that is trusted here/);
});

test("a certificate that does not say that it is for clients gives no access", async (t) => {
  const pki = await testPki();
  const others = WRITER_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage"));
  await signCertificate(pki, "no-purpose", { extensions: others });
  await signCertificate(pki, "mail", {
    extensions: [...others, "extendedKeyUsage=emailProtection"],
  });
  assert(others.some((line) => line.startsWith(ROLE_OID)));
  await using server = await startServer();
  await t.step(
    "without a purpose",
    () =>
      assertStatus(ask(server, "no-purpose"), status.UNAUTHENTICATED, /is not for clients/).then(
        () => {},
      ),
  );
  await t.step(
    "for mail",
    () => assertStatus(ask(server, "mail"), status.UNAVAILABLE).then(() => {}),
  );
});
