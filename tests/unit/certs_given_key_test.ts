import assert from "node:assert/strict";
import { generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { CertsError } from "../../certs/errors.ts";
import { readGivenKey } from "../../certs/given_key.ts";
import { init } from "../../certs/init.ts";
import { issue, type IssueOptions } from "../../certs/issue.ts";
import { certificatesIn } from "../../certs/issued.ts";
import { isSameKey, keyFits, privateKeyPem, readKeyFile } from "../../certs/keys.ts";
import { renew } from "../../certs/renew.ts";
import { pemBlocks, toPem } from "../../common/pem.ts";
import { keyFile, testKey } from "../support/keys.ts";

const CA_KEY = "one";
const GIVEN = "two";
const NOW = new Date("2030-06-01T12:00:00Z");

/** A folder for one test, removed after it. */
function testFolder(): Disposable & { path: string; of: (name: string) => string } {
  const path = Deno.makeTempDirSync({ prefix: "certs-given-key-" });
  return {
    path,
    of: (name) => join(path, name),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

/** A copy of a key with a mode of its own. */
function copyKey(name: Parameters<typeof keyFile>[0], path: string, mode = 0o600): string {
  Deno.copyFileSync(keyFile(name), path);
  Deno.chmodSync(path, mode);
  return path;
}

function noKey(): never {
  throw new Error("a key was made");
}

async function makeAuthority(dir: string, keyFile_: string, force = false): Promise<string> {
  return await init({
    dir,
    commonName: "Test CA",
    days: 30,
    force,
    keyFile: keyFile_,
    now: NOW,
    onKey: noKey,
  });
}

async function issueFor(
  dir: string,
  file: string,
  options: Partial<IssueOptions> = {},
): Promise<string> {
  return await issue({
    dir,
    name: "alice",
    purpose: { kind: "client", roles: ["writer"], roleOid: "1.2.3.4" },
    days: null,
    bundle: false,
    force: false,
    now: NOW,
    onKey: noKey,
    key: { kind: "given", file },
    ...options,
  });
}

/** A folder with a CA, and a key beside it. */
async function setUp() {
  const folder = testFolder();
  const dir = folder.of("pki");
  await makeAuthority(dir, copyKey(CA_KEY, folder.of("ca-key.pem")));
  return {
    dir,
    key: copyKey(GIVEN, folder.of("alice-key.pem")),
    of: folder.of,
    inDir: (name: string) => join(dir, name),
    names: () => [...Deno.readDirSync(dir)].map(({ name }) => name).sort(),
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

function rejects(action: Promise<unknown>, message: RegExp, kind = "failure"): Promise<void> {
  return assert.rejects(action, (error) => {
    assert.ok(error instanceof CertsError && error.kind === kind, String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

Deno.test("readGivenKey: reads PKCS #8 and PKCS #1, and skips a certificate beside the key", async () => {
  using folder = testFolder();
  const key = testKey(GIVEN);
  for (const type of ["pkcs8", "pkcs1"] as const) {
    const file = folder.of(`${type}.pem`);
    const text = key.export({ type, format: "pem" }).toString();
    Deno.writeTextFileSync(file, toPem("CERTIFICATE", new Uint8Array(9)) + text, { mode: 0o600 });
    const given = await readGivenKey(file);
    assert.ok(isSameKey(given.key, key));
    assert.deepEqual([given.file, given.isExposed], [file, false]);
  }
});

Deno.test("readGivenKey: says whether other users may read the key", async () => {
  using folder = testFolder();
  const file = copyKey(GIVEN, folder.of("key.pem"));
  for (const mode of [0o640, 0o604, 0o620, 0o602]) {
    Deno.chmodSync(file, mode);
    assert.equal((await readGivenKey(file)).isExposed, true, mode.toString(8));
  }
  for (const mode of [0o600, 0o400, 0o700]) {
    Deno.chmodSync(file, mode);
    assert.equal((await readGivenKey(file)).isExposed, false, mode.toString(8));
  }
});

const PKCS8 = privateKeyPem(testKey(GIVEN));
const EC_KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey
  .export({ type: "pkcs8", format: "pem" }).toString();
const PUBLIC_KEY = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey
  .export({ type: "spki", format: "pem" }).toString();

/** Contents of key files that are refused, and what is said of each. */
const REFUSED: readonly (readonly [what: string, content: string | Uint8Array, message: RegExp])[] =
  [
    ["an empty file", "", /it is not a PEM file; give the file of the private key/],
    ["a text", "hello", /it is not a PEM file/],
    ["DER", testKey(GIVEN).export({ type: "pkcs8", format: "der" }), /it is not a PEM file/],
    ["a public key", PUBLIC_KEY, /it holds PUBLIC KEY and no private key; give the file/],
    [
      "a certificate",
      toPem("CERTIFICATE", new Uint8Array(9)),
      /it holds CERTIFICATE and no private key/,
    ],
    ["two keys", PKCS8 + EC_KEY, /it holds several private keys; give a file with one/],
    ["a key that is cut off", PKCS8.slice(0, -9), /it is cut off, "-----END PRIVATE KEY-----" is/],
    ["a damaged key", PKCS8.replace(/\n.{64}\n/, "\n"), /it is damaged or of an unknown kind/],
    [
      "an encrypted key",
      PKCS8.replaceAll("PRIVATE", "ENCRYPTED PRIVATE"),
      /it is protected by a passphrase; write it without one: openssl pkey -in/,
    ],
    [
      "a key that OpenSSL encrypted in its own way",
      PKCS8.replaceAll("PRIVATE", "RSA PRIVATE").replace(
        "KEY-----\n",
        "KEY-----\nProc-Type: 4,ENCRYPTED\n\n",
      ),
      /it is protected by a passphrase/,
    ],
    ["an EC key", EC_KEY, /it is a key of the kind ec, and an RSA key is needed; make one with/],
    [
      "a short key",
      Deno.readTextFileSync(keyFile("short")),
      /its RSA key has 2304 bits, and 4096 to 8192 are needed; make one with openssl genpkey/,
    ],
    [
      "a long key",
      Deno.readTextFileSync(keyFile("long")),
      /its RSA key has 8960 bits, and 4096 to 8192 are needed/,
    ],
    [
      "a small public exponent",
      Deno.readTextFileSync(keyFile("exponent3")),
      /its public exponent is 3, and at least 65537 is needed/,
    ],
  ];

for (const [what, content, message] of REFUSED) {
  Deno.test(`readGivenKey: refuses ${what}`, async () => {
    using folder = testFolder();
    const file = folder.of("key.pem");
    Deno.writeFileSync(
      file,
      typeof content === "string" ? new TextEncoder().encode(content) : content,
    );
    await rejects(readGivenKey(file), message);
    await rejects(readGivenKey(file), /^cannot (use|read) .*key\.pem/);
  });
}

Deno.test("readGivenKey: refuses what is not a file, or not there", async () => {
  using folder = testFolder();
  await rejects(readGivenKey(folder.path), /^cannot read \S+: it is a folder$/);
  await rejects(readGivenKey(folder.of("none")), /there is no such file or folder$/);
  await rejects(readGivenKey(""), /^cannot use an empty --key: name a file$/, "usage");
});

Deno.test("init --key: copies the key to ca.key, for its owner alone, and leaves the file", async () => {
  using folder = testFolder();
  const dir = folder.of("pki");
  const file = copyKey(CA_KEY, folder.of("key.pem"), 0o644);
  const text = await makeAuthority(dir, file);
  assert.match(text, /The key is a copy of \S+key\.pem; keep that safe, or remove it\.\n/);
  const copy = join(dir, "ca.key");
  assert.equal((Deno.statSync(copy).mode ?? 0) & 0o777, 0o600);
  assert.ok(isSameKey(await readKeyFile(copy), testKey(CA_KEY)));
  assert.equal(Deno.readTextFileSync(file), Deno.readTextFileSync(keyFile(CA_KEY)));
  const [certificate] = await certificatesIn(join(dir, "ca.crt"));
  assert.ok(certificate !== undefined && keyFits(testKey(CA_KEY), certificate));
});

Deno.test("init --key: makes nothing for a key that cannot be used", async () => {
  using folder = testFolder();
  await rejects(makeAuthority(folder.of("pki"), keyFile("short")), /2304 bits/);
  assert.deepEqual([...Deno.readDirSync(folder.path)], []);
});

Deno.test("init --key: replaces a CA with --force alone, also by its own key", async () => {
  using world = await setUp();
  const own = world.inDir("ca.key");
  await rejects(makeAuthority(world.dir, own), /already there; use --force/);
  const text = await makeAuthority(world.dir, own, true);
  assert.match(
    text,
    /of the CA that was here are accepted only if it had the same name and the same/,
  );
  // The only file of the key must not be removed.
  assert.doesNotMatch(text, /copy of|remove/);
  const link = world.of("link.pem");
  Deno.symlinkSync(own, link);
  assert.doesNotMatch(await makeAuthority(world.dir, link, true), /copy of|remove/);
  assert.ok(isSameKey(await readKeyFile(own), testKey(CA_KEY)));
});

Deno.test("issue --key: writes a certificate for the key, and no copy of the key", async () => {
  using world = await setUp();
  const before = Deno.readTextFileSync(world.key);
  const text = await issueFor(world.dir, world.key);
  assert.match(
    text,
    /alice-key\.pem {2}its private key, which stays where it is: for alice alone\n/,
  );
  assert.doesNotMatch(text, /chmod/);
  assert.deepEqual(world.names(), ["alice.crt", "ca.crt", "ca.key", "issued"]);
  const [certificate] = await certificatesIn(world.inDir("alice.crt"));
  assert.ok(certificate !== undefined && keyFits(testKey(GIVEN), certificate));
  assert.equal(Deno.readTextFileSync(world.key), before);
});

Deno.test("issue --key --bundle: puts the key into the bundle, for its owner alone", async () => {
  using world = await setUp();
  await issueFor(world.dir, world.key, { bundle: true });
  assert.deepEqual(world.names(), ["alice.crt", "alice.pem", "ca.crt", "ca.key", "issued"]);
  const bundle = world.inDir("alice.pem");
  assert.equal((Deno.statSync(bundle).mode ?? 0) & 0o777, 0o600);
  assert.deepEqual(
    pemBlocks(Deno.readTextFileSync(bundle)).map(({ label }) => label),
    ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"],
  );
  assert.ok(isSameKey(await readKeyFile(bundle), testKey(GIVEN)));
});

Deno.test("issue --key: says how to protect a key that other users may read", async () => {
  using world = await setUp();
  Deno.chmodSync(world.key, 0o644);
  assert.match(
    await issueFor(world.dir, world.key),
    /\nOther users may read \S+alice-key\.pem; run chmod 600 \S+alice-key\.pem\n$/,
  );
});

Deno.test("issue --key: takes NAME.key itself, which stays as it is", async () => {
  using world = await setUp();
  const file = copyKey(GIVEN, world.inDir("alice.key"));
  const before = Deno.readTextFileSync(file);
  await issueFor(world.dir, file);
  assert.equal(Deno.readTextFileSync(file), before);
  await rejects(
    issueFor(world.dir, file),
    /^cannot write \S+alice\.crt: already there; use --force/,
  );
  await issueFor(world.dir, file, { force: true });
  assert.equal(Deno.readTextFileSync(file), before);
});

Deno.test("issue --key: refuses the key of the CA, however it is written", async () => {
  using world = await setUp();
  const pkcs1 = world.of("pkcs1.pem");
  Deno.writeTextFileSync(
    pkcs1,
    testKey(CA_KEY).export({ type: "pkcs1", format: "pem" }).toString(),
  );
  for (const file of [world.inDir("ca.key"), keyFile(CA_KEY), pkcs1]) {
    await rejects(issueFor(world.dir, file), /it is the key of the CA; give a key that only this/);
  }
  assert.deepEqual(world.names(), ["ca.crt", "ca.key"]);
});

Deno.test("issue --key: refuses the key of a CA that is being replaced", async () => {
  using world = await setUp();
  const before = Deno.readTextFileSync(world.inDir("ca.crt"));
  await makeAuthority(world.dir, world.key, true);
  const after = Deno.readTextFileSync(world.inDir("ca.crt"));
  Deno.writeTextFileSync(world.inDir("ca.crt"), after + before);
  await rejects(issueFor(world.dir, keyFile(CA_KEY)), /it is the key of the CA/);
});

for (const force of [false, true]) {
  Deno.test(`issue --key: refuses to leave another NAME.key beside, force ${force}`, async () => {
    using world = await setUp();
    const beside = world.inDir("alice.key");
    for (const content of [Deno.readTextFileSync(keyFile("short")), "damaged"]) {
      Deno.writeTextFileSync(beside, content);
      await rejects(
        issueFor(world.dir, world.key, { force }),
        /alice\.key is another key and would not fit the new certificate; move it away/,
      );
      assert.deepEqual(world.names(), ["alice.key", "ca.crt", "ca.key"]);
      assert.equal(Deno.readTextFileSync(beside), content);
    }
  });
}

Deno.test("renew --keep-key: goes on with NAME.key, and says where it is missing", async () => {
  using world = await setUp();
  await issueFor(world.dir, world.key);
  const renewed = () =>
    renew({
      dir: world.dir,
      name: "alice",
      days: null,
      roleOid: "1.2.3.4",
      keepKey: true,
      revokeOld: false,
      now: NOW,
      onKey: noKey,
    });
  await rejects(renewed(), /^cannot read \S+alice\.key: there is no such file or folder$/);
  copyKey(CA_KEY, world.inDir("alice.key"));
  await rejects(renewed(), /^cannot keep the key: \S+alice\.key does not fit the certificate$/);
  copyKey(GIVEN, world.inDir("alice.key"));
  const text = await renewed();
  assert.match(text, /The previous certificate, serial [0-9A-F]+, is valid until 2030-/);
  const [certificate] = await certificatesIn(world.inDir("alice.crt"));
  assert.ok(certificate !== undefined && keyFits(testKey(GIVEN), certificate));
});
