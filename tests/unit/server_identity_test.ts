import assert from "node:assert/strict";
import { join } from "node:path";
import {
  IdentityReader,
  readServerIdentity,
  type ServerIdentity,
} from "../../lib/tls/server_identity.ts";
import { isSignedBy } from "../../common/certificate_path.ts";
import { certificatesIn, keyId, normalSerial } from "../../lib/tls/x509.ts";
import {
  type Certified,
  DAY_MS,
  generateKeys,
  PURPOSES,
  TestAuthority,
} from "../support/tls_certificates.ts";

const NOW_MS = Date.now();
const ca = await TestAuthority.create();
const server = await ca.issueServer();

/** Contents of the files; null: the file does not exist. */
interface Files {
  ca?: string | null;
  cert?: string | null;
  key?: string | null;
}

/** Reads an identity from files with these contents; those of a good one unless given. */
async function read(files: Files = {}, nowMs = NOW_MS): Promise<ServerIdentity> {
  const folder = await Deno.makeTempDir({ prefix: "server-identity-" });
  try {
    const contents = { ca: ca.cert, cert: server.cert, key: server.key, ...files };
    for (const [name, text] of Object.entries(contents)) {
      if (text !== null) await Deno.writeTextFile(join(folder, name), text);
    }
    const path = (name: string) => join(folder, name);
    return await readServerIdentity(
      { ca: path("ca"), cert: path("cert"), key: path("key") },
      nowMs,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function pair({ cert, key }: Certified): Files {
  return { cert, key };
}

function rejects(files: Files, reason: RegExp, nowMs = NOW_MS): Promise<void> {
  return assert.rejects(read(files, nowMs), (error) => {
    assert.ok(error instanceof Error);
    assert.match(error.message, reason);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

Deno.test("readServerIdentity: gives the texts, the CAs, and when they expire", async () => {
  const identity = await read();
  assert.equal(identity.ca, ca.cert);
  assert.deepEqual([identity.cert, identity.key], [server.cert, server.key]);
  assert.deepEqual(identity.authorities.map(({ raw }) => raw), [ca.certificate.raw]);
  assert.deepEqual(
    identity.expiries.map(({ file, atMs }) => [file.split("/").at(-1), atMs]),
    [
      ["ca", Date.parse(ca.certificate.validTo)],
      ["cert", Date.parse(server.certificate.validTo)],
    ],
  );
});

Deno.test("readServerIdentity: takes a chain after the certificate", async () => {
  const { cert } = await read({ cert: server.cert + ca.cert });
  assert.equal(cert, server.cert + ca.cert);
});

for (const name of ["ca", "cert", "key"] as const) {
  Deno.test(`readServerIdentity: says which file does not exist: ${name}`, async () => {
    await rejects(
      { [name]: null },
      new RegExp(`/${name} does not exist; say where it is with --${name}, or make it with`),
    );
  });
}

const otherKey = await ca.issueServer();
const rsaServer = await (await TestAuthority.create({ kind: "rsa" })).issueServer();
const client = await ca.issue();
const mail = await ca.issueServer({ purposes: [PURPOSES.mail] });
const noPurpose = await ca.issueServer({ purposes: undefined });
const unnamed = await ca.issueServer({ names: [] });
const foreign = await (await TestAuthority.create()).issueServer();
const weakHash = await ca.issueServer({ hash: "SHA-1" });
const weakKey = await ca.issueServer({
  keys: await generateKeys({
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
  }),
});
const expired = await ca.issueServer({ notAfterMs: NOW_MS - 1000 });
const early = await ca.issueServer({ notBeforeMs: NOW_MS + DAY_MS });

const REFUSED: readonly (readonly [what: string, files: Files, reason: RegExp])[] = [
  ["an empty certificate", { cert: "" }, /cert is not a PEM certificate$/],
  ["a text", { cert: "hello" }, /cert is not a PEM certificate$/],
  ["a key for a certificate", { cert: server.key }, /cert is not a PEM certificate$/],
  ["a certificate that is cut off", { cert: server.cert.slice(0, -9) }, /cert is not a PEM/],
  ["a damaged certificate", { cert: server.cert.replace(/\n.{64}\n/, "\n") }, /cert is not a PEM/],
  ["an empty CA", { ca: "" }, /ca is not a PEM certificate$/],
  ["a second CA that is cut off", { ca: ca.cert + ca.cert.slice(0, -9) }, /ca is not a PEM/],
  ["an empty key", { key: "" }, /key is not a PEM private key without a passphrase$/],
  ["a certificate for a key", { key: server.cert }, /key is not a PEM private key/],
  [
    "an encrypted key",
    { key: server.key.replaceAll("PRIVATE", "ENCRYPTED PRIVATE") },
    /key is not a PEM private key without a passphrase$/,
  ],
  [
    "another key",
    { key: otherKey.key },
    /the key \S+key does not fit the certificate \S+cert; give the pair that was issued together/,
  ],
  ["another certificate", { cert: otherKey.cert }, /key does not fit the certificate/],
  [
    "a chain whose CA is not told",
    { cert: foreign.cert + ca.cert, key: foreign.key },
    /add to it the certificate of CN=test CA, which signed it and is neither in --ca nor/,
  ],
  ["the certificate of another CA", pair(foreign), /cert is not signed by \S+ca; issue one with/],
  ["that of a CA with another kind of key", pair(rsaServer), /cert is not signed by \S+ca; issue/],
  ["a client's certificate", pair(client), /cert has no host names, so that no client would/],
  [
    "a client's certificate with names",
    pair(await ca.issueServer({ purposes: [PURPOSES.client] })),
    /cert is not for servers \(serverAuth\); issue one with worker-certs issue --server/,
  ],
  ["the purpose of mail", pair(mail), /cert is not for servers/],
  ["no purpose", pair(noPurpose), /cert is not for servers/],
  ["no names", pair(unnamed), /cert has no host names/],
  ["a weak digest", pair(weakHash), /cert is too weak: it is signed with .*SHA1/i],
  ["a short key", pair(weakKey), /cert is too weak: its RSA key has 1024 bits/],
  ["an expired certificate", pair(expired), /cert has expired \(.*\); issue a new one with/],
  ["one from the future", pair(early), /cert is not valid before .*; check the host's clock/],
  ["a CA that is not one", { ca: server.cert }, /ca holds a certificate that is not the certif/],
  ["one that is not a CA beside one", { ca: ca.cert + server.cert }, /ca holds a certificate that/],
];

for (const [what, files, reason] of REFUSED) {
  Deno.test(`readServerIdentity: refuses ${what}`, () => rejects(files, reason));
}

Deno.test("readServerIdentity: refuses a CA that is too weak, also beside a strong one", async () => {
  const weak = await TestAuthority.create({
    keys: weakKey.keys,
    name: "weak CA",
    kind: "rsa",
  });
  await rejects(
    { ca: ca.cert + weak.cert },
    /ca holds a CA that is too weak: its RSA key has 1024/,
  );
});

Deno.test("readServerIdentity: a certificate is good from its first second to its last", async () => {
  const [notBeforeMs, notAfterMs] = [NOW_MS - DAY_MS, NOW_MS + DAY_MS].map((timeMs) =>
    Math.floor(timeMs / 1000) * 1000
  ) as [number, number];
  const brief = pair(await ca.issueServer({ notBeforeMs, notAfterMs }));
  const wide = await TestAuthority.create({ keys: ca.keys, notBeforeMs: 0 });
  const files = { ...brief, ca: wide.cert };
  await read(files, notBeforeMs);
  await read(files, notAfterMs - 1);
  await rejects(files, /cert is not valid before/, notBeforeMs - 1);
  await rejects(files, /cert has expired/, notAfterMs);
});

Deno.test("readServerIdentity: leaves out CAs that have expired, and refuses where none is left", async () => {
  const old = await TestAuthority.create({ name: "old CA", notAfterMs: NOW_MS - 1000 });
  for (const text of [old.cert + ca.cert, ca.cert + old.cert]) {
    const { authorities, expiries } = await read({ ca: text });
    assert.deepEqual(authorities.map(({ subject }) => subject), ["CN=test CA"]);
    assert.equal(expiries.length, 2);
  }
  await rejects({ ca: old.cert }, /ca has expired/);
  await rejects({ ca: old.cert, ...pair(await old.issueServer()) }, /ca has expired/);
});

Deno.test("readServerIdentity: refuses a CA from the future beside one that is valid", async () => {
  const future = await TestAuthority.create({ name: "future", notBeforeMs: NOW_MS + DAY_MS });
  await rejects({ ca: ca.cert + future.cert }, /ca is not valid before .*; check the host's clock/);
});

Deno.test("readServerIdentity: takes CAs with different kinds of keys, in any order", async () => {
  const rsa = await TestAuthority.create({ kind: "rsa", name: "rsa CA" });
  for (const text of [rsa.cert + ca.cert, ca.cert + rsa.cert]) {
    await read({ ca: text });
    await read({ ca: text, ...pair(await rsa.issueServer()) });
  }
});

Deno.test("isSignedBy: asks for the issuer's name and key", async () => {
  const renamed = await TestAuthority.create({ name: "renamed", keys: ca.keys });
  const namesake = await TestAuthority.create();
  const rsa = await TestAuthority.create({ kind: "rsa" });
  assert.equal(isSignedBy(server.certificate, ca.certificate), true);
  assert.equal(isSignedBy(server.certificate, renamed.certificate), false);
  assert.equal(isSignedBy(server.certificate, namesake.certificate), false);
  assert.equal(isSignedBy(server.certificate, rsa.certificate), false);
  assert.equal(isSignedBy((await rsa.issue()).certificate, ca.certificate), false);
});

Deno.test("certificatesIn: finds every certificate and skips keys", () => {
  const found = certificatesIn(server.cert + server.key + ca.cert);
  assert.deepEqual(found.map(({ subject }) => subject), ["CN=server", "CN=test CA"]);
  assert.deepEqual(certificatesIn(""), []);
});

Deno.test("normalSerial: one form for a number, however it is written", () => {
  for (const text of ["ab01", "00AB01", "0000ab01"]) assert.equal(normalSerial(text), "AB01");
  assert.equal(normalSerial("10"), "10");
  assert.equal(normalSerial("0"), "0");
  assert.equal(normalSerial("0000"), "0");
});

Deno.test("keyId: the same for one key in two certificates, and different for two keys", async () => {
  const again = await TestAuthority.create({ keys: ca.keys, name: "again" });
  assert.equal(keyId(ca.certificate.publicKey), keyId(again.certificate.publicKey));
  assert.notEqual(keyId(ca.certificate.publicKey), keyId(server.certificate.publicKey));
});

Deno.test("IdentityReader: checks what has changed, and what time has changed", async () => {
  const folder = await Deno.makeTempDir({ prefix: "server-identity-" });
  try {
    const early = await TestAuthority.create({ name: "early CA", notAfterMs: NOW_MS + DAY_MS });
    const path = (name: string) => join(folder, name);
    const put = (name: string, text: string) => Deno.writeTextFileSync(path(name), text);
    for (const [name, text] of Object.entries({ ca: ca.cert + early.cert, ...pair(server) })) {
      put(name, text ?? "");
    }
    const reader = new IdentityReader({ ca: path("ca"), cert: path("cert"), key: path("key") });
    const first = await reader.read(NOW_MS);
    assert.equal(first.authorities.length, 2);
    assert.equal(await reader.read(NOW_MS + 1), first);
    const later = await reader.read(NOW_MS + DAY_MS + 1);
    assert.equal(later.authorities.length, 1, "a CA that has expired is still trusted");
    assert.equal(await reader.read(NOW_MS + DAY_MS + 2), later);
    await assert.rejects(reader.read(NOW_MS - 2 * DAY_MS), /is not valid before/);
    await assert.rejects(reader.read(NOW_MS + 20 * DAY_MS), /has expired/);
    put("ca", ca.cert);
    assert.equal((await reader.read(NOW_MS)).authorities.length, 1);
    put("key", (await ca.issueServer()).key);
    await assert.rejects(reader.read(NOW_MS), /does not fit the certificate/);
    await assert.rejects(reader.read(NOW_MS), /does not fit the certificate/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
