/** Who is at the other end of connections, over fake sessions and a fake trust with a fake clock. */
import { strict as assert } from "node:assert";
import { EventEmitter } from "node:events";
import { Extension, X509CertificateGenerator } from "../../certs/x509.ts";
import { JobError } from "../../lib/errors.ts";
import { PeerWatch } from "../../lib/grpc/peers.ts";
import type { ClientTrust, Standing } from "../../lib/tls/client_trust.ts";
import { DEFAULT_ROLE_OID, encodeRoles } from "../../lib/tls/role.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeSession } from "../support/fake_http2.ts";
import { until } from "../support/wait.ts";

const P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** The time between the end of calls and the end of their connection. */
const CLOSE_DELAY_MS = 2000;

async function certificateOf(extensions: Extension[]): Promise<Uint8Array> {
  const keys = await crypto.subtle.generateKey(P256, false, ["sign", "verify"]);
  const name = { name: "CN=alice", keys, signingAlgorithm: P256, extensions };
  return new Uint8Array((await X509CertificateGenerator.createSelfSigned(name)).rawData);
}

const WRITER = await certificateOf([
  new Extension(DEFAULT_ROLE_OID, false, encodeRoles(["writer"])),
]);
const WITHOUT_ROLE = await certificateOf([]);

/** A session of a client that showed a certificate. */
function sessionOf(
  { name = "alice" as string | string[], der = WRITER, authorized = true } = {},
) {
  const reads = { count: 0 };
  const session = new FakeSession({
    authorized,
    getPeerCertificate() {
      reads.count++;
      return { raw: der, subject: { CN: name }, serialNumber: "A1" };
    },
  });
  return { session, reads };
}

const FOR_EVER: Standing = { kind: "good", expiresAtMs: Infinity };

/** A trust that judges as a test says. */
function fakeTrust(standing: Standing | (() => Standing) = FOR_EVER): ClientTrust {
  const judge = () => typeof standing === "function" ? standing() : standing;
  return { standing: judge } as unknown as ClientTrust;
}

/** A watch with a clock that the test moves. */
class Place implements Disposable {
  readonly clock = { nowMs: 1_000_000 };
  readonly log = new CapturedLog();
  readonly server = new EventEmitter();
  readonly watch: PeerWatch;

  constructor(trust = fakeTrust(), maxConnectionsPerUser = Infinity) {
    const now = () => this.clock.nowMs;
    this.watch = new PeerWatch(trust, { roleOid: DEFAULT_ROLE_OID, maxConnectionsPerUser, now });
    this.watch.watch(this.server as never);
  }

  /** A connection is made. */
  connect(options: Parameters<typeof sessionOf>[0] = {}) {
    const made = sessionOf(options);
    this.server.emit("session", made.session);
    return { ...made, peer: () => this.watch.identify(made.session as never) };
  }

  [Symbol.dispose](): void {
    this.watch[Symbol.dispose]();
    this.log[Symbol.dispose]();
  }
}

function reasonOf(access: AbortSignal | undefined): JobError {
  assert(access?.aborted, "there is access");
  assert(access.reason instanceof JobError);
  return access.reason;
}

Deno.test("PeerWatch: who calls is what the certificate says, read once a connection", () => {
  using place = new Place();
  const { peer, reads } = place.connect();
  assert.deepEqual(peer()?.caller, { name: "alice", serial: "A1", roles: ["writer"] });
  assert.equal(peer()?.access.aborted, false);
  assert.equal(peer(), peer());
  assert.equal(reads.count, 1);
});

Deno.test("PeerWatch: no certificate, one that TLS refused, and a lost connection have no peer", () => {
  using place = new Place();
  assert.equal(place.watch.identify(undefined), undefined);
  assert.equal(place.connect({ authorized: false }).peer(), undefined);
  assert.equal(
    place.watch.identify(
      new FakeSession({ authorized: true, getPeerCertificate: () => ({}) }) as never,
    ),
    undefined,
  );
  const { session, peer } = place.connect();
  assert(peer());
  session.destroy();
  assert.equal(peer(), undefined);
});

Deno.test("PeerWatch: a certificate without a role, or a usable name, gives none", () => {
  using place = new Place();
  assert.deepEqual(place.connect({ der: WITHOUT_ROLE }).peer()?.caller.roles, []);
  assert.deepEqual(place.connect({ der: Uint8Array.of(1, 2) }).peer()?.caller.roles, []);
  assert.equal(place.connect({ name: [] }).peer()?.caller.name, "");
  assert.equal(place.connect({ name: ["first", "second"] }).peer()?.caller.name, "first");
});

Deno.test("PeerWatch: a certificate whose name is empty, or cannot be seen, gives no access", () => {
  using place = new Place();
  for (const name of ["", " ", "\u200b", "\u202e\u00a0", [], [""]]) {
    const { kind, message } = reasonOf(place.connect({ name }).peer()?.access);
    assert.equal(kind, "unauthenticated");
    assert.match(message, /^the certificate A1 has no common name, .*; ask for one with a name$/);
  }
  for (const name of ["a", "日本", "\u202ex", "-"]) {
    assert.equal(place.connect({ name }).peer()?.access.aborted, false, name);
  }
});

Deno.test("PeerWatch: a certificate is read right after the handshake, before the first call", async () => {
  using place = new Place();
  const { reads } = place.connect();
  assert.equal(reads.count, 0);
  await until("the certificate to be read", () => reads.count === 1);
});

Deno.test("PeerWatch: a refused certificate gives no access, with its reason", () => {
  using place = new Place(fakeTrust({ kind: "refused", reason: "is revoked" }));
  const { kind, message } = reasonOf(place.connect().peer()?.access);
  assert.equal(kind, "unauthenticated");
  assert.equal(message, "the certificate A1 of alice is revoked; ask for a new one");
});

Deno.test("PeerWatch: a certificate gives access until the moment that it expires", () => {
  using place = new Place(fakeTrust({ kind: "good", expiresAtMs: 1_000_500 }));
  const { peer } = place.connect();
  place.clock.nowMs = 1_000_499;
  assert.equal(peer()?.access.aborted, false);
  place.clock.nowMs = 1_000_500;
  assert.match(reasonOf(peer()?.access).message, /has expired/);
});

Deno.test("PeerWatch: another trust judges open connections at once, without a call", () => {
  using place = new Place();
  const alice = place.connect();
  const { access } = alice.peer() ?? {};
  place.watch.trustOnly(fakeTrust());
  assert.equal(access?.aborted, false);
  place.watch.trustOnly(fakeTrust({ kind: "refused", reason: "is revoked" }));
  assert.match(reasonOf(access).message, /is revoked/);
  // What was lost does not come back on the same connection.
  place.watch.trustOnly(fakeTrust());
  assert.match(reasonOf(alice.peer()?.access).message, /is revoked/);
});

Deno.test("PeerWatch: a trust is asked once a connection, and again only when it has changed", () => {
  let asked = 0;
  const counting = () =>
    fakeTrust(() => {
      asked++;
      return FOR_EVER;
    });
  using place = new Place(counting());
  const { peer } = place.connect();
  for (let call = 0; call < 5; call++) peer();
  assert.equal(asked, 1);
  place.watch.trustOnly(counting());
  for (let call = 0; call < 5; call++) peer();
  assert.equal(asked, 2);
});

Deno.test("PeerWatch: a refused connection is closed after its calls had time to end, not before", () => {
  using place = new Place();
  const { session, peer } = place.connect();
  peer();
  const sweep = () => place.watch.trustOnly(fakeTrust({ kind: "refused", reason: "is revoked" }));
  sweep();
  assert(!session.destroyed);
  place.clock.nowMs += CLOSE_DELAY_MS - 1;
  sweep();
  assert(!session.destroyed);
  place.clock.nowMs += 1;
  sweep();
  assert(session.destroyed);
  assert.deepEqual(place.log.entries.map(({ message, who, reason }) => [message, who, reason]), [
    ["a connection is closed", "alice", "is revoked"],
  ]);
});

Deno.test("PeerWatch: a connection that cannot be judged is closed, and the others are judged", () => {
  using place = new Place();
  const bad = place.connect();
  const good = place.connect();
  const { access } = good.peer() ?? {};
  Object.defineProperty(bad.session, "on", { value: () => assert.fail("broken") });
  place.watch.trustOnly(fakeTrust({ kind: "refused", reason: "is revoked" }));
  assert(bad.session.destroyed);
  assert.match(reasonOf(access).message, /is revoked/);
  assert.match(place.log.messages().join(), /cannot be judged and is closed/);
});

Deno.test("PeerWatch: a user has so many connections and no more, and others have their own", () => {
  using place = new Place(fakeTrust(), 2);
  const [first, second, third] = [place.connect(), place.connect(), place.connect()];
  assert.equal(first.peer()?.access.aborted, false);
  assert.equal(second.peer()?.access.aborted, false);
  const { kind, message } = reasonOf(third.peer()?.access);
  assert.equal(kind, "exhausted");
  assert.match(message, /^alice has 2 connections open, .*--max-connections-per-user allows; end/);
  assert.equal(place.connect({ name: "bob" }).peer()?.access.aborted, false);
  // The third stays refused, and a fourth has the place of one that ends.
  first.session.destroy();
  third.session.destroy();
  assert.equal(place.connect().peer()?.access.aborted, false);
  assert(place.connect().peer()?.access.aborted, "the end of a connection was counted twice");
});
