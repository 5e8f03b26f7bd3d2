import assert from "node:assert/strict";
import { join } from "node:path";
import { type Credentials, Renewal } from "../../lib/tls/renewal.ts";
import { readServerIdentity } from "../../lib/tls/server_identity.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { type Certified, DAY_MS, PURPOSES, TestAuthority } from "../support/tls_certificates.ts";

const NOW_MS = Date.now();
/** So late that no warning is due. */
const notAfterMs = NOW_MS + 90 * DAY_MS;
const ca = await TestAuthority.create({ notAfterMs });
const first = await ca.issueServer({ notAfterMs });
const next = await ca.issueServer({ notAfterMs });
const alice = await ca.issue();

type FileName = "ca.crt" | "server.crt" | "server.key" | "ca.crl";

/** A renewal over files of its own, followed; nothing is read unless the test asks for it. */
async function setUp(put: Partial<Record<FileName, string>> = {}) {
  const folder = await Deno.makeTempDir({ prefix: "renewal-" });
  const path = (name: string) => join(folder, name);
  const write = (files: Partial<Record<FileName, string>>) => {
    for (const [name, text] of Object.entries(files)) Deno.writeTextFileSync(path(name), text);
  };
  write({ "ca.crt": ca.cert, "server.crt": first.cert, "server.key": first.key, ...put });
  const files = {
    ca: path("ca.crt"),
    cert: path("server.crt"),
    key: path("server.key"),
    crl: path("ca.crl"),
  };
  const log = new CapturedLog();
  try {
    const identity = await readServerIdentity(files);
    const renewal = await Renewal.open(files, { identity, logFolder: folder });
    const changes: string[] = [];
    const accept = ({ identity }: Credentials): void => void changes.push(identity.cert);
    let onChange = accept;
    const following = renewal.follow((credentials) => onChange(credentials));
    return {
      renewal,
      changes,
      log,
      write,
      remove: (name: FileName) => Deno.removeSync(path(name)),
      failOnChange: (message: string) => {
        onChange = () => {
          throw new Error(message);
        };
      },
      acceptChanges: () => {
        onChange = accept;
      },
      look: () => following.look(),
      /** What the last line of the log says, and with which problem. */
      lastEntry: () => log.entries.at(-1),
      standingOf: ({ certificate }: Certified, nowMs = NOW_MS) =>
        renewal.trust.standing(certificate.raw, nowMs),
      reopen: async () =>
        await Renewal.open(files, {
          identity: await readServerIdentity(files),
          logFolder: folder,
        }),
      [Symbol.dispose]() {
        following[Symbol.dispose]();
        log[Symbol.dispose]();
        Deno.removeSync(folder, { recursive: true });
      },
    };
  } catch (error) {
    log[Symbol.dispose]();
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
}

type World = Awaited<ReturnType<typeof setUp>>;

function assertKept(world: World, problem: RegExp): void {
  assert.equal(world.renewal.identity.cert, first.cert);
  assert.equal(world.renewal.identity.key, first.key);
  assert.deepEqual(world.changes, []);
  assert.equal(world.standingOf(alice).kind, "good");
  const entry = world.lastEntry();
  assert.equal(entry?.level, "error");
  assert.equal(entry?.message, "keeping the previous certificates");
  assert.match(String(entry?.["problem"]), problem);
}

Deno.test("Renewal: files that do not change change nothing, and are not logged", async () => {
  using world = await setUp();
  await world.look();
  assert.deepEqual(world.changes, []);
  assert.deepEqual(world.log.messages(), []);
});

const ORDERS: readonly (readonly FileName[])[] = [
  ["server.crt", "server.key"],
  ["server.key", "server.crt"],
];

for (const order of ORDERS) {
  Deno.test(`Renewal: a new pair is used when both files are there: ${order.join(", ")}`, async () => {
    using world = await setUp();
    const texts = { "server.crt": next.cert, "server.key": next.key } as Record<FileName, string>;
    const [one, two] = order as [FileName, FileName];
    world.write({ [one]: texts[one] });
    await world.look();
    assertKept(world, /the key \S+ does not fit the certificate/);
    world.write({ [two]: texts[two] });
    await world.look();
    assert.equal(world.renewal.identity.cert, next.cert);
    assert.equal(world.renewal.identity.key, next.key);
    assert.deepEqual(world.changes, [next.cert]);
    assert.deepEqual(world.log.messages(), [
      "keeping the previous certificates",
      "certificates reloaded",
      "the certificate files can be used again",
    ]);
  });
}

const BROKEN: readonly (readonly [
  what: string,
  files: Partial<Record<FileName, string>>,
  problem: RegExp,
])[] = [
  ["an empty certificate", { "server.crt": "" }, /server\.crt is not a PEM certificate/],
  ["half a certificate", { "server.crt": first.cert.slice(0, 200) }, /is not a PEM certificate/],
  ["an empty key", { "server.key": "" }, /server\.key is not a PEM private key/],
  ["another key", { "server.key": next.key }, /does not fit the certificate/],
  ["an empty CA", { "ca.crt": "" }, /ca\.crt is not a PEM certificate/],
  [
    "another CA",
    { "ca.crt": (await TestAuthority.create()).cert },
    /server\.crt is not signed by \S+ca\.crt/,
  ],
  ["a client's pair", { "server.crt": alice.cert, "server.key": alice.key }, /has no host names/],
  ["a broken list", { "ca.crl": "garbage" }, /ca\.crl: it holds no list/],
];

for (const [what, files, problem] of BROKEN) {
  Deno.test(`Renewal: ${what} changes nothing and is logged once`, async () => {
    using world = await setUp();
    world.write(files);
    await world.look();
    assertKept(world, problem);
    const count = world.log.entries.length;
    await world.look();
    assert.equal(world.log.entries.length, count);
    assertKept(world, problem);
  });
}

for (const name of ["ca.crt", "server.crt", "server.key"] as const) {
  Deno.test(`Renewal: ${name} that is missing changes nothing`, async () => {
    using world = await setUp();
    world.remove(name);
    await world.look();
    assertKept(world, new RegExp(`${name} does not exist`));
  });
}

Deno.test("Renewal: a list that appears revokes at once, also when certificates are broken", async () => {
  using world = await setUp();
  world.write({
    "ca.crl": await ca.revoke([alice.certificate.serialNumber]),
    "server.key": next.key,
  });
  await world.look();
  assert.deepEqual(world.standingOf(alice), { kind: "refused", reason: "is revoked" });
  assert.equal(world.renewal.identity.cert, first.cert);
  assert.deepEqual(world.changes, [first.cert]);
  assert.equal(world.renewal.revokedCount, 1);
});

Deno.test("Renewal: new certificates are used when the list is broken, which stays in force", async () => {
  using world = await setUp({ "ca.crl": await ca.revoke([alice.certificate.serialNumber]) });
  world.write({ "ca.crl": "garbage", "server.crt": next.cert, "server.key": next.key });
  await world.look();
  assert.equal(world.renewal.identity.cert, next.cert);
  assert.equal(world.standingOf(alice).kind, "refused");
  assert.match(String(world.lastEntry()?.["problem"]), /ca\.crl: it holds no list/);
});

Deno.test("Renewal: an older list does not replace the one in force", async () => {
  using world = await setUp({ "ca.crl": await ca.revoke([alice.certificate.serialNumber]) });
  world.write({ "ca.crl": await ca.revoke([], { madeAtMs: NOW_MS - 3_600_000 }) });
  await world.look();
  assert.equal(world.standingOf(alice).kind, "refused");
  assert.ok(world.log.messages().includes("keeping the previous certificates"));
});

Deno.test("Renewal: a CA that is added and one that is removed change who is accepted", async () => {
  using world = await setUp();
  const newCa = await TestAuthority.create({ name: "new CA" });
  const bob = await newCa.issue();
  assert.equal(world.standingOf(bob).kind, "refused");
  world.write({ "ca.crt": ca.cert + newCa.cert });
  await world.look();
  assert.deepEqual([alice, bob].map((who) => world.standingOf(who).kind), ["good", "good"]);
  const server = await newCa.issueServer({ notAfterMs });
  world.write({ "ca.crt": newCa.cert, "server.crt": server.cert, "server.key": server.key });
  await world.look();
  assert.deepEqual([alice, bob].map((who) => world.standingOf(who).kind), ["refused", "good"]);
  assert.equal(world.changes.length, 2);
});

Deno.test("Renewal: credentials that the server does not take are offered again", async () => {
  using world = await setUp();
  world.failOnChange("the server refused them");
  world.write({ "server.crt": next.cert, "server.key": next.key });
  for (const _ of [1, 2]) await world.look();
  assert.deepEqual(world.log.entries.map(({ message, problem }) => [message, problem]), [
    ["keeping the previous certificates", "the server refused them"],
  ]);
  world.acceptChanges();
  await world.look();
  await world.look();
  assert.deepEqual(world.changes, [next.cert]);
  assert.deepEqual(world.log.messages().slice(1), [
    "certificates reloaded",
    "the certificate files can be used again",
  ]);
});

Deno.test("Renewal: looks at the same time are one look", async () => {
  using world = await setUp();
  world.write({ "server.crt": next.cert, "server.key": next.key });
  await Promise.all([world.look(), world.look(), world.look()]);
  assert.deepEqual(world.changes, [next.cert]);
});

Deno.test("Renewal.open: a list that cannot be used is an error without an earlier copy", async () => {
  await assert.rejects(setUp({ "ca.crl": "garbage" }), /cannot use the revocation list \S+ca\.crl/);
});

Deno.test("Renewal.open: with an earlier copy it is logged, and the copy is in force", async () => {
  using world = await setUp({ "ca.crl": await ca.revoke([alice.certificate.serialNumber]) });
  world.write({ "ca.crl": "garbage" });
  const reopened = await world.reopen();
  assert.equal(reopened.trust.standing(alice.certificate.raw, NOW_MS).kind, "refused");
  assert.ok(world.log.messages().includes("keeping the previous certificates"));
});

Deno.test("Renewal.expiries: names the files of certificates and of the list", async () => {
  const nextAtMs = Math.floor(NOW_MS / 1000) * 1000 + 2 * DAY_MS;
  using world = await setUp({ "ca.crl": await ca.revoke([], { nextAtMs }) });
  const names = world.renewal.expiries.map(({ file, atMs }) => [file.split("/").at(-1), atMs]);
  assert.deepEqual(names, [
    ["ca.crt", Date.parse(ca.certificate.validTo)],
    ["server.crt", Date.parse(first.certificate.validTo)],
    ["ca.crl", nextAtMs],
  ]);
});

Deno.test("Renewal: warns of each file that expires soon, once", async () => {
  const brief = await ca.issueServer({ notAfterMs: NOW_MS + 9.5 * DAY_MS });
  using world = await setUp({
    "server.crt": brief.cert,
    "server.key": brief.key,
    "ca.crl": await ca.revoke([], { nextAtMs: NOW_MS + 2.5 * DAY_MS }),
  });
  const warnings = () =>
    world.log.entries.filter(({ level }) => level === "warn").map(({ message }) => message);
  assert.deepEqual(
    warnings().map((message) => message.replace(/^.*\//, "")),
    ["server.crt expires in 9 days", "ca.crl expires in 2 days"],
  );
  await world.look();
  assert.equal(warnings().length, 2);
});

Deno.test("Renewal: a certificate for clients does not become the server's", async () => {
  using world = await setUp();
  const wrong = await ca.issueServer({ purposes: [PURPOSES.client] });
  world.write({ "server.crt": wrong.cert, "server.key": wrong.key });
  await world.look();
  assertKept(world, /is not for servers/);
});
