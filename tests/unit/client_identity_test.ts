import assert from "node:assert/strict";
import { join } from "node:path";
import { ClientError } from "../../client/errors.ts";
import { type Identity, loadIdentity } from "../../client/endpoint/identity.ts";
import { type IdentityFiles } from "../../client/endpoint/identity_files.ts";
import { Authority, type Pair } from "../support/client_certificates.ts";

const DAY_MS = 86_400_000;

const authority = await Authority.create();
const otherAuthority = await Authority.create("other CA");
const alice = await authority.issue({ name: "alice" });
const bob = await authority.issue({ name: "bob" });
const mallory = await otherAuthority.issue({ name: "mallory" });

/** A folder to stand in, with files below it; it is left and removed afterwards. */
function standIn(files: Readonly<Record<string, string>>): Disposable & { path: string } {
  const before = Deno.cwd();
  const path = Deno.makeTempDirSync({ prefix: "job-worker-client-" });
  for (const [name, text] of Object.entries(files)) {
    Deno.mkdirSync(join(path, name, ".."), { recursive: true });
    Deno.writeTextFileSync(join(path, name), text);
  }
  Deno.chdir(path);
  return {
    path,
    [Symbol.dispose]() {
      Deno.chdir(before);
      Deno.removeSync(path, { recursive: true });
    },
  };
}

function load(
  flags: IdentityFiles = {},
  { environment = {}, nowMs = Date.now() }: {
    environment?: Record<string, string>;
    nowMs?: number;
  } = {},
): Identity {
  return loadIdentity({ flags, environment: (name) => environment[name], nowMs });
}

function assertRefused(call: () => unknown, message: RegExp, exitStatus = 4): void {
  assert.throws(call, (error) => {
    assert(error instanceof ClientError, String(error));
    assert.match(error.message, message);
    assert(!error.message.includes("\n"), "more than one line");
    assert.match(error.message, /\.$/);
    assert.equal(error.exitStatus, exitStatus);
    return true;
  });
}

function bundle({ cert, key }: Pair, ca = authority.cert): string {
  return key + cert + ca;
}

/** The three files that stand for a person, in a folder. */
function files(folder: string, name: string, pair: Pair): Record<string, string> {
  return {
    [`${folder}/ca.crt`]: authority.cert,
    [`${folder}/${name}.crt`]: pair.cert,
    [`${folder}/${name}.key`]: pair.key,
  };
}

function holderOf(identity: Identity): string | undefined {
  return /^CN=(\w+), /.exec(identity.holder)?.[1];
}

Deno.test("loadIdentity: a bundle holds its three parts in any order, between comments", () => {
  const { key, cert } = alice;
  for (const parts of [[key, cert, authority.cert], [authority.cert, key, cert]]) {
    using _folder = standIn({ "me.pem": `of alice\n${parts.join("and\r\n")}` });
    const identity = load({ identity: "me.pem" });
    assert.equal(identity.holder, "CN=alice, me.pem");
    assert.equal(identity.key.trim(), key.trim());
    assert.equal(identity.cert.trim(), cert.trim());
    assert.equal(identity.ca.trim(), authority.cert.trim());
  }
});

Deno.test("loadIdentity: a bundle is read once, as it may be a pipe", () => {
  const texts = [bundle(alice)];
  const files = { readText: () => texts.shift() ?? "", list: () => [] };
  const sources = {
    flags: { identity: "/dev/fd/63" },
    environment: () => undefined,
    nowMs: Date.now(),
  };
  assert.equal(holderOf(loadIdentity({ ...sources, files })), "alice");
});

Deno.test("loadIdentity: three files", () => {
  using _folder = standIn(files("x", "alice", alice));
  const identity = load({ ca: "x/ca.crt", cert: "x/alice.crt", key: "x/alice.key" });
  assert.equal(identity.holder, "CN=alice, x/alice.crt");
  assert.equal(identity.caFile, "x/ca.crt");
});

Deno.test("loadIdentity: certificates between the client's and the CA's are sent along", async () => {
  const intermediate = await authority.createIntermediate("middle CA");
  const carol = await intermediate.issue({ name: "carol" });
  using _folder = standIn({ "me.pem": bundle(carol, authority.cert + intermediate.cert) });
  const identity = load({ identity: "me.pem" });
  assert.equal(identity.cert.match(/BEGIN CERTIFICATE/g)?.length, 2);
});

Deno.test("loadIdentity: default places, in their order", () => {
  const everywhere: Record<string, string> = {
    "certs/client.pem": bundle(alice),
    ...files("certs", "client", bob),
    "config/job-worker/client.pem": bundle(bob),
    ".config/job-worker/client.pem": bundle(mallory, otherAuthority.cert),
  };
  using folder = standIn(everywhere);
  const environment: Record<string, string> = {
    HOME: folder.path,
    XDG_CONFIG_HOME: join(folder.path, "config"),
  };
  const whose = () => holderOf(load({}, { environment }));
  assert.equal(whose(), "alice");
  Deno.removeSync("certs/client.pem");
  assert.equal(whose(), "bob", "client.crt with client.key");
  Deno.removeSync("certs", { recursive: true });
  assert.equal(whose(), "bob", "XDG_CONFIG_HOME");
  delete environment["XDG_CONFIG_HOME"];
  assert.equal(whose(), "mallory", "~/.config");
});

Deno.test("loadIdentity: client.pem goes before any other name", () => {
  using _folder = standIn({
    ...files("certs", "bob", bob),
    "certs/client.pem": bundle(alice),
  });
  assert.equal(holderOf(load()), "alice");
});

Deno.test("loadIdentity: the only identity of a folder is taken, whatever its name", () => {
  using _folder = standIn({
    ...files("certs", "alice", alice),
    "certs/ca.key": otherAuthority.cert,
    "certs/server.crt": bob.cert,
    "certs/server.key": bob.key,
    "certs/server.pem": bundle(bob),
    "certs/ca.pem": authority.cert,
    "certs/notes.pem": "nothing",
    "certs/lone.crt": bob.cert,
  });
  assert.equal(load().holder, "CN=alice, ./certs/alice.crt");
  Deno.writeTextFileSync("certs/alice.pem", bundle(alice));
  assert.equal(load().holder, "CN=alice, ./certs/alice.pem");
});

Deno.test("loadIdentity: a bundle without a CA is completed by the ca.crt beside it", () => {
  using _folder = standIn({
    "certs/alice.pem": alice.key + alice.cert,
    "certs/ca.crt": authority.cert,
  });
  assert.equal(load().caFile, "./certs/ca.crt");
});

Deno.test("loadIdentity: several identities are an error that names them and how to choose", () => {
  using _folder = standIn({
    ...files("certs", "alice", alice),
    "certs/bob.pem": bundle(bob),
  });
  assertRefused(
    () => load(),
    /^Cannot choose among the identities in \.\/certs \(\.\/certs\/alice\.crt, \.\/certs\/bob\.pem\): name one, for instance "--ca .*", or rename yours to client\.pem\.$/,
  );
});

Deno.test("loadIdentity: none anywhere is an error that names the places", () => {
  using folder = standIn({ "certs/ca.crt": authority.cert });
  assertRefused(
    () => load({}, { environment: { HOME: folder.path } }),
    /^Cannot find an identity in \.\/certs or \/.*\/\.config\/job-worker: name one with --identity FILE/,
  );
  assertRefused(() => load(), /^Cannot find an identity in \.\/certs: /);
});

Deno.test("loadIdentity: flag before environment before default", () => {
  using _folder = standIn({
    "certs/client.pem": bundle(mallory, otherAuthority.cert),
    ...files("x", "alice", alice),
    ...files("x", "bob", bob),
    "alice.pem": bundle(alice),
    "bob.pem": bundle(bob),
  });
  const environment = { JOB_WORKER_IDENTITY: "bob.pem" };
  assert.equal(holderOf(load()), "mallory");
  assert.equal(holderOf(load({}, { environment })), "bob");
  assert.equal(holderOf(load({ identity: "alice.pem" }, { environment })), "alice");
  const three = { ca: "x/ca.crt", cert: "x/alice.crt", key: "x/alice.key" };
  assert.equal(holderOf(load(three, { environment })), "alice");
  const variables = {
    JOB_WORKER_CA: "x/ca.crt",
    JOB_WORKER_CERT: "x/bob.crt",
    JOB_WORKER_KEY: "x/bob.key",
  };
  assert.equal(holderOf(load({}, { environment: variables })), "bob");
  assert.equal(holderOf(load({ identity: "alice.pem" }, { environment: variables })), "alice");
  const pair = { cert: "x/alice.crt", key: "x/alice.key" };
  assert.equal(holderOf(load(pair, { environment: variables })), "alice");
});

Deno.test("loadIdentity: --ca goes before the bundle's own CA, and that before the variable", () => {
  using _folder = standIn({
    "alice.pem": bundle(alice),
    "other.crt": otherAuthority.cert,
  });
  const environment = { JOB_WORKER_CA: "other.crt" };
  assert.equal(load({ identity: "alice.pem" }, { environment }).caFile, "alice.pem");
  assertRefused(
    () => load({ identity: "alice.pem", ca: "other.crt" }),
    /other\.crt .*did not sign/,
  );
  assertRefused(
    () => load({}, { environment: { ...environment, JOB_WORKER_IDENTITY: "alice.pem" } }),
    /other\.crt .*did not sign/,
  );
});

Deno.test("loadIdentity: a named file is never completed by a default one", () => {
  using _folder = standIn(files("certs", "client", alice));
  const complaints: readonly (readonly [IdentityFiles, RegExp])[] = [
    [{ ca: "certs/ca.crt" }, /: --cert and --key missing\. Name all three/],
    [{ cert: "certs/client.crt" }, /: --ca and --key missing/],
    [{ key: "certs/client.key", ca: "certs/ca.crt" }, /: --cert missing/],
  ];
  for (const [flags, message] of complaints) assertRefused(() => load(flags), message, 2);
  assertRefused(
    () => load({}, { environment: { JOB_WORKER_CA: "certs/ca.crt" } }),
    /--cert and --key missing/,
    2,
  );
});

Deno.test("loadIdentity: a bundle together with single files is refused", () => {
  assertRefused(() => load({ identity: "a", cert: "b" }), /^Cannot use --identity together/, 2);
  assertRefused(
    () => load({}, { environment: { JOB_WORKER_IDENTITY: "a", JOB_WORKER_KEY: "b" } }),
    /^Cannot use JOB_WORKER_IDENTITY together/,
    2,
  );
});

Deno.test("loadIdentity: each unusable file is named with what is wrong and what to do", () => {
  const damaged = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
  const badKey = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
  const encrypted = badKey.replaceAll("PRIVATE", "ENCRYPTED PRIVATE");
  using _folder = standIn({
    "text.pem": "hello",
    "key.pem": alice.key,
    "nokey.pem": alice.cert + authority.cert,
    "noca.pem": alice.key + alice.cert,
    "cut.pem": alice.key + alice.cert.slice(0, -10),
    "damaged.pem": alice.key + damaged + authority.cert,
    "badkey.pem": badKey + alice.cert + authority.cert,
    "encrypted.pem": encrypted + alice.cert + authority.cert,
    "mixed.pem": bob.key + alice.cert + authority.cert,
    "foreign.pem": bundle(mallory),
  });
  const complaints: readonly (readonly [string, RegExp])[] = [
    ["none.pem", /^Cannot read none\.pem: there is no such file\. Name the right one/],
    [".", /^Cannot read \.: it is a directory\. Name the right one/],
    ["text.pem", /^Cannot find a private key in text\.pem: it is not a PEM file\. Name a PEM file/],
    ["nokey.pem", /^Cannot find a private key in nokey\.pem: it holds only CERTIFICATE\. Name a/],
    ["key.pem", /^Cannot find a certificate in key\.pem: it holds only PRIVATE KEY\. Name a PEM/],
    [
      "cut.pem",
      /^Cannot find a certificate in cut\.pem: it is cut off, "-----END CERTIFICATE-----" is missing/,
    ],
    ["noca.pem", /^Cannot find a CA certificate in noca\.pem: name it with --ca FILE\.$/],
    ["damaged.pem", /^Cannot read the certificate in damaged\.pem: it is damaged \(.*\)\. Get a/],
    ["badkey.pem", /^Cannot read the key in badkey\.pem: it is damaged \(.*\)\. Get a new copy/],
    ["encrypted.pem", /^Cannot use the key in encrypted\.pem: it is encrypted\. Decrypt it with/],
    [
      "mixed.pem",
      /^Cannot use the certificate in mixed\.pem .*the key in mixed\.pem does not match/,
    ],
    [
      "foreign.pem",
      /^Cannot use the certificate \(CN=mallory, foreign\.pem\): the CA in foreign\.pem \(CN=test CA\) did not sign it; CN=.* did\. Name the right CA/,
    ],
  ];
  for (const [identity, message] of complaints) assertRefused(() => load({ identity }), message);
});

Deno.test("loadIdentity: a CA of the same name that did not sign is told from the one that did", async () => {
  const namesake = await Authority.create("test CA");
  using _folder = standIn({ "me.pem": bundle(alice, namesake.cert) });
  assertRefused(() => load({ identity: "me.pem" }), /did not sign it/);
});

Deno.test("loadIdentity: a certificate is used only within its dates", () => {
  using _folder = standIn({ "me.pem": bundle(alice) });
  const at = (days: number) => load({ identity: "me.pem" }, { nowMs: Date.now() + days * DAY_MS });
  at(0);
  assertRefused(
    () => at(11),
    /^Cannot use the certificate \(CN=alice, me\.pem\): it expired at \d{4}-.*Z\. Request a new one/,
  );
  assertRefused(
    () => at(-2),
    /^Cannot use the certificate \(CN=alice, me\.pem\): it is not valid before .*Z\. Check this/,
  );
});
