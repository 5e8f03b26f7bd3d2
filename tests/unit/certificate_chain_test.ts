/** Certificates with CAs between them and a trusted one, as a company's PKI issues them. */
// Attacks: the check of CAs between a certificate and a trusted one.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ExtendedKeyUsageExtension, KeyUsageFlags, KeyUsagesExtension } from "../../certs/x509.ts";
import { pathsOf } from "../../common/certificate_path.ts";
import { ClientTrust, type Standing } from "../../lib/tls/client_trust.ts";
import { parseRevocationLists } from "../../lib/tls/revocation_list.ts";
import { readServerIdentity } from "../../lib/tls/server_identity.ts";
import {
  type Certified,
  type Contents,
  DAY_MS,
  generateKeys,
  PURPOSES,
  TestAuthority,
} from "../support/tls_certificates.ts";

const root = await TestAuthority.create({ name: "root" });
const { ca: issuing, certificate: between } = await root.below({ name: "issuing" });
const alice = await issuing.issue({ notAfterMs: Date.now() + 9 * DAY_MS });

/** What a server that trusts the root says of a client, and of what it has sent. */
function standingOf(
  client: Certified,
  sent: readonly Certified[],
  { authorities = [root] as readonly Certified[], lists = [] as readonly string[] } = {},
): Standing {
  const certificates = authorities.map(({ certificate }) => certificate);
  const signers = [...certificates, ...sent.map(({ certificate }) => certificate)];
  const context = { authorities: signers, nowMs: Date.now() };
  const revoked = lists.flatMap((text) => parseRevocationLists(text, context));
  return new ClientTrust(certificates, revoked)
    .standing(client.certificate.raw, Date.now(), sent.map(({ certificate }) => certificate.raw));
}

function assertRefused(standing: Standing, reason: RegExp): void {
  assert.equal(standing.kind, "refused", JSON.stringify(standing));
  assert.match(JSON.stringify(standing), reason);
}

const UNKNOWN = /is not signed by a CA that is trusted here/;

Deno.test("chain: a client is accepted with the CAs between, in any order, and not without", async () => {
  const { ca: lowest, certificate: low } = await issuing.below({ name: "lowest" });
  const bob = await lowest.issue();
  assert.equal(standingOf(alice, [between]).kind, "good");
  for (const sent of [[low, between], [between, low], [alice, low, root, between, between]]) {
    assert.equal(standingOf(bob, sent).kind, "good");
  }
  for (const sent of [[], [low], [between], [alice]]) assertRefused(standingOf(bob, sent), UNKNOWN);
  assertRefused(standingOf(alice, [between], { authorities: [] }), UNKNOWN);
});

Deno.test("chain: it lasts as long as the shortest of its certificates, by the path that lasts longest", async () => {
  const keys = issuing.keys;
  const short = await root.issue({
    ...{ name: "issuing", isAuthority: true, purposes: undefined, keys },
    notAfterMs: Date.now() + 3 * DAY_MS,
  });
  const endOf = (standing: Standing) =>
    standing.kind === "good" ? Math.round((standing.expiresAtMs - Date.now()) / DAY_MS) : standing;
  assert.equal(endOf(standingOf(alice, [short])), 3);
  assert.equal(endOf(standingOf(alice, [short, between])), 9);
});

/** A client below a CA that must not sign it, and what is sent with it. */
async function below(
  contents: Contents,
  by: TestAuthority = root,
): Promise<[Certified, Certified[]]> {
  const { ca, certificate } = await by.below(contents);
  return [await ca.issue(), [certificate]];
}

const noSigning = new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true);
const forMail = new ExtendedKeyUsageExtension([PURPOSES.mail]);
const forServers = new ExtendedKeyUsageExtension([PURPOSES.server]);

const ATTACKS: readonly (readonly [string, () => Promise<[Certified, Certified[]]>, RegExp])[] = [
  ["by another client's key", () => below({ isAuthority: false }), UNKNOWN],
  [
    "by a client's key, with all purposes",
    () => below({ isAuthority: false, purposes: [PURPOSES.client, PURPOSES.server] }),
    UNKNOWN,
  ],
  ["by a CA that may not sign certificates", () => below({ extensions: [noSigning] }), UNKNOWN],
  ["by a CA for mail", () => below({ extensions: [forMail] }), UNKNOWN],
  ["by a CA for servers", () => below({ extensions: [forServers] }), UNKNOWN],
  ["by a CA that has expired", () => below({ notAfterMs: Date.now() - 1000 }), /has expired/],
  ["by a CA of tomorrow", () => below({ notBeforeMs: Date.now() + DAY_MS }), /is not valid before/],
  ["by a CA that is signed with SHA-1", () => below({ hash: "SHA-1" }), UNKNOWN],
  ["by a CA of another root", async () => below({}, await TestAuthority.create()), UNKNOWN],
  [
    "by a CA of another root of the same name",
    async () => below({}, await TestAuthority.create({ name: "root" })),
    UNKNOWN,
  ],
  ["by a CA with a weak key", async () => {
    const keys = await generateKeys({
      name: "RSASSA-PKCS1-v1_5",
      hash: "SHA-256",
      modulusLength: 1024,
      publicExponent: new Uint8Array([1, 0, 1]),
    });
    const certificate = await root.issue({
      ...{ name: "weak", isAuthority: true, purposes: undefined, keys },
    });
    const ca = await TestAuthority.create({ name: "weak", kind: "rsa", keys });
    return [await ca.issue(), [certificate]];
  }, UNKNOWN],
  ["by a CA of the right name with a key of its own", async () => {
    const namesake = await TestAuthority.create({ name: "issuing" });
    return [await namesake.issue(), [between]];
  }, UNKNOWN],
  ["by a CA below one that may have none", async () => {
    const { ca, certificate } = await root.below({ name: "last", pathLength: 0 });
    const [client, sent] = await below({ name: "one too many" }, ca);
    return [client, [...sent, certificate]];
  }, UNKNOWN],
  ["by a CA five links below", async () => {
    const sent: Certified[] = [];
    let ca = root;
    for (let depth = 0; depth < 5; depth++) {
      const made = await ca.below({ name: `depth ${depth}` });
      sent.push(made.certificate);
      ca = made.ca;
    }
    return [await ca.issue(), sent];
  }, UNKNOWN],
];

for (const [what, make, reason] of ATTACKS) {
  Deno.test(`chain: refuses a client that was signed ${what}`, async () => {
    const [client, sent] = await make();
    assertRefused(standingOf(client, sent), reason);
  });
}

Deno.test("chain: a trusted CA that may have none below it is held to that", async () => {
  const last = await TestAuthority.create({ name: "root", pathLength: 0 });
  const { ca, certificate } = await last.below();
  assertRefused(standingOf(await ca.issue(), [certificate], { authorities: [last] }), UNKNOWN);
  assert.equal(standingOf(await last.issue(), [], { authorities: [last] }).kind, "good");
});

Deno.test("chain: the lists of every CA in it count, for a client and for the CAs", async () => {
  const serial = (of: Certified) => of.certificate.serialNumber;
  const byIssuing = await issuing.revoke([serial(alice)]);
  assertRefused(standingOf(alice, [between], { lists: [byIssuing] }), /is revoked/);
  const byRoot = await root.revoke([serial(between)]);
  assertRefused(standingOf(alice, [between], { lists: [byRoot] }), /by a CA that is revoked/);
  // A serial number is the signer's: another CA's list says nothing of it.
  const unrelated = await root.revoke([serial(alice)]);
  assert.equal(standingOf(alice, [between], { lists: [unrelated] }).kind, "good");
});

Deno.test("chain: what a client sends costs a bounded number of signatures", async () => {
  const keys = issuing.keys;
  const twins = await Promise.all(
    Array.from(
      { length: 30 },
      () => root.issue({ name: "issuing", isAuthority: true, purposes: undefined, keys }),
    ),
  );
  let asked = 0;
  const paths = pathsOf(alice.certificate, {
    authorities: [root.certificate],
    intermediates: twins.map(({ certificate }) => certificate),
    maySign: () => {
      asked += 1;
      return true;
    },
  });
  assert(paths.length <= 8 && paths.length > 0);
  assert(asked < 200, `${asked} looked at`);
});

/** Reads a server's files. */
async function readServer(cert: string, key: string) {
  const folder = await Deno.makeTempDir();
  try {
    const files = Object.fromEntries(
      ["ca", "cert", "key"].map((name) => [name, join(folder, name)]),
    );
    const { ca = "", cert: certFile = "", key: keyFile = "" } = files;
    await Deno.writeTextFile(ca, root.cert);
    await Deno.writeTextFile(certFile, cert);
    await Deno.writeTextFile(keyFile, key);
    return await readServerIdentity({ ca, cert: certFile, key: keyFile });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

Deno.test("chain: a server's file may hold the CAs between; the first to expire is told", async () => {
  const { ca, certificate } = await root.below({
    name: "soon",
    notAfterMs: Date.now() + 2 * DAY_MS,
  });
  const server = await ca.issueServer();
  const { intermediates, expiries } = await readServer(server.cert + certificate.cert, server.key);
  assert.deepEqual(intermediates.map(({ subject }) => subject), ["CN=soon"]);
  assert.equal(expiries.at(-1)?.atMs, Date.parse(certificate.certificate.validTo));
});

Deno.test("chain: a server's file says which CA is missing, or may not sign", async () => {
  const { ca, certificate } = await issuing.below({ name: "lowest" });
  const server = await ca.issueServer();
  const reads: [string, RegExp][] = [
    [server.cert, /of CN=lowest, which signed it and is neither in --ca nor in the file/],
    [server.cert + certificate.cert, /of CN=issuing, which signed CN=lowest and is neither in/],
  ];
  for (const [cert, reason] of reads) await assert.rejects(readServer(cert, server.key), reason);
  const leaf = await root.below({ name: "leaf", isAuthority: false });
  const forged = await leaf.ca.issueServer();
  await assert.rejects(
    readServer(forged.cert + leaf.certificate.cert, forged.key),
    /is signed by CN=leaf, which is no CA that may sign it/,
  );
  const old = await root.below({ name: "old", notAfterMs: Date.now() - 1000 });
  const late = await old.ca.issueServer();
  await assert.rejects(
    readServer(late.cert + old.certificate.cert, late.key),
    /cert: the CA CN=old has expired/,
  );
});
