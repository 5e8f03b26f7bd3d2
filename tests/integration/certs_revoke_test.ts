/** Renewing and revoking as an operator does: the compiled tool, judged by openssl and the server. */
// Attacks: the calls of revoked certificates.
import { status } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { runCerts } from "../support/pki.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const OTHER_OID = "1.2.840.10070.8.77";

/** A CA with bob (reader) and a server, made once. */
const CA = await makeAuthority();
const OTHER_CA = await makeAuthority();

async function makeAuthority(): Promise<string> {
  const folder = await Deno.makeTempDir({ prefix: "certs-revoke-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  await runCerts(BIN_DIR, ["init", "--dir", folder]);
  await Promise.all([
    runCerts(BIN_DIR, ["issue", "--dir", folder, "--name", "bob", "--role", "reader", "--bundle"]),
    runCerts(BIN_DIR, [
      "issue",
      "--dir",
      folder,
      "--name",
      "server",
      "--server",
      "--san",
      "localhost,10.0.0.7",
    ]),
    runCerts(BIN_DIR, [
      "issue",
      "--dir",
      folder,
      "--name",
      "odd",
      "--role",
      "writer",
      "--oid",
      OTHER_OID,
    ]),
  ]);
  return folder;
}

/** Runs the tool where it has to work. */
async function certs(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(join(BIN_DIR, "worker-certs"), args);
  assert.equal(code, 0, stderr);
  return stdout;
}

/** A copy of the CA's folder, for one test. */
async function copyOf(folder: string): Promise<Disposable & { path: string }> {
  const path = await Deno.makeTempDir({ prefix: "certs-revoke-copy-" });
  const { code, stderr } = await run("cp", ["-a", `${folder}/.`, path]);
  assert.equal(code, 0, stderr);
  return { path, [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }) };
}

/** What stands in a certificate or a list, by the tool itself. */
async function shown(file: string) {
  const [description] = JSON.parse(await certs("show", "--json", file));
  return description;
}

async function serialOf(file: string): Promise<string> {
  return (await shown(file)).certificates[0].serial;
}

/** Whether openssl, with the CA's list, takes a certificate. */
async function isGood(folder: string, file: string): Promise<boolean> {
  const [ca, crl] = [join(folder, "ca.crt"), join(folder, "ca.crl")];
  const { code, stderr } = await run("openssl", [
    "verify",
    "-crl_check",
    "-CAfile",
    ca,
    "-CRLfile",
    crl,
    file,
  ]);
  if (code !== 0) assert.match(stderr, /certificate revoked/);
  return code === 0;
}

/** All files of a folder and what is in them. */
async function contentOf(folder: string): Promise<Record<string, string>> {
  const content: Record<string, string> = {};
  for await (const { name, isFile } of Deno.readDir(folder)) {
    if (isFile) content[name] = await Deno.readTextFile(join(folder, name));
  }
  return content;
}

/** Asserts that the tool refuses in one line, and has changed nothing. */
async function assertRefused(folder: string, args: readonly string[], message: RegExp, code = 1) {
  const before = await contentOf(folder);
  const ended = await run(join(BIN_DIR, "worker-certs"), args);
  assert.equal(ended.code, code, ended.stderr);
  assert.equal(ended.stdout, "");
  assert.match(ended.stderr, /^worker-certs: [^\n]+\n$/);
  assert.match(ended.stderr, message);
  assert.deepEqual(await contentOf(folder), before);
}

Deno.test("renew: a revoked certificate is not renewed; issue lets its holder in again, and says so", async () => {
  using folder = await copyOf(CA);
  const inFolder = ["--dir", folder.path];
  const serial = await serialOf(join(folder.path, "bob.crt"));
  await certs("revoke", ...inFolder, "bob");
  for (const options of [[], ["--keep-key"], ["--revoke-old"]]) {
    await assertRefused(
      folder.path,
      ["renew", ...inFolder, "--name", "bob", ...options],
      new RegExp(`cannot renew "bob": its certificate, serial ${serial}, is revoked; .* --force`),
    );
  }
  const again = ["--name", "bob", "--role", "reader", "--force"];
  const key = ["--key", join(folder.path, "odd.key")];
  await Deno.remove(join(folder.path, "bob.key"));
  const text = await certs("issue", ...inFolder, ...again, ...key);
  assert.match(
    text,
    new RegExp(`^bob was revoked \\(serial ${serial}\\) and is let in again`, "m"),
  );
  const other = await certs("issue", ...inFolder, "--name", "dan", "--role", "reader", ...key);
  assert.doesNotMatch(other, /revoked/);
});

Deno.test("worker-certs: keys and a CA's folder that are open to others are told of, with the command", async () => {
  using folder = await copyOf(CA);
  const [dir, key] = [folder.path, join(folder.path, "ca.key")];
  const list = () => run(join(BIN_DIR, "worker-certs"), ["list", "--dir", dir]);
  assert.equal((await list()).stderr, "");
  await Deno.chmod(dir, 0o777);
  await Deno.chmod(key, 0o644);
  const { code, stderr } = await list();
  assert.equal(code, 0);
  assert.deepEqual(stderr.split("\n"), [
    `worker-certs: warning: other users may read or change ${key}: run chmod 600 ${key}`,
    `worker-certs: warning: other users may change ${dir}, and with it the CA: run chmod go-w ${dir}`,
    "",
  ]);
});

Deno.test("revoke: openssl then refuses that certificate, and takes the others", async () => {
  using folder = await copyOf(CA);
  const of = (name: string) => join(folder.path, name);
  const text = await certs("revoke", "--dir", folder.path, "--reason", "keyCompromise", "bob");
  assert.match(
    text,
    /^Revoked: bob, serial [0-9A-F]+, valid until [0-9-]{10}\nList 1, 1 certificate,/,
  );
  assert.equal(await isGood(folder.path, of("bob.crt")), false);
  assert.equal(await isGood(folder.path, of("odd.crt")), true);
  const [list] = (await shown(of("ca.crl"))).lists;
  assert.deepEqual([list.number, list.issuer], [1, "CN=Job Worker CA"]);
  assert.deepEqual(
    list.revoked.map(({ serial, reason }: { serial: string; reason: string }) => [
      serial,
      reason,
    ]),
    [[await serialOf(of("bob.crt")), "keyCompromise"]],
  );
  assert.equal(Date.parse(list.nextUpdate) - Date.parse(list.thisUpdate), 366 * 86_400_000);
  assert.match(await certs("show", of("ca.crl")), /Number: +1\n[^]*Revoked: +[0-9A-F]+ at/);
});

Deno.test("revoke: what is on the list stays on it, and the number grows with each", async () => {
  using folder = await copyOf(CA);
  const of = (name: string) => join(folder.path, name);
  await certs("revoke", "--dir", folder.path, "bob");
  const [first] = (await shown(of("ca.crl"))).lists;
  assert.match(
    await certs("revoke", "--dir", folder.path, "bob", "odd"),
    /Already revoked: bob/,
  );
  await certs("revoke", "--dir", folder.path, "--days", "7");
  const [third] = (await shown(of("ca.crl"))).lists;
  assert.equal(third.number, 3);
  assert.equal(third.revoked.length, 2);
  assert.deepEqual(third.revoked[0], first.revoked[0]);
  assert.equal(Date.parse(third.nextUpdate) - Date.parse(third.thisUpdate), 7 * 86_400_000);
});

Deno.test("revoke: without a certificate there is an empty list, which revokes nobody", async () => {
  using folder = await copyOf(CA);
  assert.match(await certs("revoke", "--dir", folder.path), /^List 1, 0 certificates/);
  assert.equal(await isGood(folder.path, join(folder.path, "bob.crt")), true);
});

Deno.test("revoke: by name, by serial number as anyone writes it, and by file", async () => {
  for (
    const target of [
      () => Promise.resolve("bob"),
      (path: string) => serialOf(join(path, "bob.crt")),
      async (path: string) => (await serialOf(join(path, "bob.crt"))).toLowerCase(),
      async (path: string) => (await serialOf(join(path, "bob.crt"))).match(/../g)?.join(":") ?? "",
      (path: string) => Promise.resolve(join(path, "bob.crt")),
      (path: string) => Promise.resolve(join(path, "bob.pem")),
    ]
  ) {
    using folder = await copyOf(CA);
    const text = await certs("revoke", "--dir", folder.path, await target(folder.path));
    assert.match(text, /^Revoked: bob,[^\n]+\nList 1, 1 certificate,/);
  }
});

Deno.test("revoke: a name stands for all its certificates, also those that were renewed", async () => {
  using folder = await copyOf(CA);
  const old = join(folder.path, "old.pem");
  await Deno.copyFile(join(folder.path, "bob.crt"), old);
  await certs("renew", "--dir", folder.path, "--name", "bob");
  assert.match(await certs("revoke", "--dir", folder.path, "bob"), /\nList 1, 2 certificates/);
  assert.equal(await isGood(folder.path, join(folder.path, "bob.crt")), false);
  assert.equal(await isGood(folder.path, old), false);
});

Deno.test("revoke: a CA from before there was a folder of what it has issued", async () => {
  using folder = await copyOf(CA);
  await Deno.remove(join(folder.path, "issued"), { recursive: true });
  await certs("revoke", "--dir", folder.path, "bob");
  assert.equal(await isGood(folder.path, join(folder.path, "bob.crt")), false);
});

Deno.test("revoke: what is no certificate of this CA is refused, and nothing changed", async () => {
  using folder = await copyOf(CA);
  const { path } = folder;
  const nothing = join(path, "nothing.txt");
  await Deno.writeTextFile(nothing, "hello\n");
  const revoke = (...targets: string[]) => ["revoke", "--dir", path, ...targets];
  await certs(...revoke());
  for (
    const [target, message] of [
      ["nobody", /cannot revoke "nobody": .* give the certificate's file/],
      ["00FF00FF", /no valid certificate with that name or serial/],
      ["", /cannot revoke ""/],
      [join(OTHER_CA, "bob.crt"), /holds no certificate that this CA has issued/],
      [join(path, "ca.crt"), /holds no certificate that this CA has issued/],
      [join(path, "bob.key"), /holds no certificate that this CA has issued/],
      [nothing, /holds no certificate that this CA has issued/],
      [path, /it is a folder/],
      ["a\nb", /cannot revoke "a\\nb"/],
    ] as const
  ) {
    await assertRefused(path, revoke(target), message);
    // One that is wrong keeps the good one off the list, too.
    await assertRefused(path, revoke("bob", target), message);
  }
});

Deno.test("revoke: wrong use is told, with exit status 2", async () => {
  using folder = await copyOf(CA);
  const { path } = folder;
  for (
    const [args, message] of [
      [["revoke", "--dir", "", "bob"], /empty --dir/],
      [["revoke", "--dir", path, "--reason", "dislike", "bob"], /keyCompromise/],
      [["revoke", "--dir", path, "--days", "0"], /--days/],
      [["renew", "--dir", path], /--name/],
      [["renew", "--dir", path, "--name", "../bob"], /cannot use the name/],
      [["renew", "--dir", path, "--name", "bob", "--days", "99999"], /--days/],
    ] as const
  ) {
    await assertRefused(path, args, message, 2);
  }
});

Deno.test("revoke: a list that is another CA's, damaged, or of the future is not gone on from", async () => {
  using folder = await copyOf(CA);
  const list = join(folder.path, "ca.crl");
  const revoke = ["revoke", "--dir", folder.path, "bob"];
  using other = await copyOf(OTHER_CA);
  await certs("revoke", "--dir", other.path);
  await Deno.copyFile(join(other.path, "ca.crl"), list);
  await assertRefused(folder.path, revoke, /not a list of this CA/);
  const text = await Deno.readTextFile(list);
  await Deno.writeTextFile(list, text.replace(/MII..../, "AAAAAAA"));
  await assertRefused(folder.path, revoke, /damaged/);
  await Deno.writeTextFile(list, text.slice(0, text.length / 2));
  await assertRefused(folder.path, revoke, /cut off/);
  await Deno.writeTextFile(list, "");
  await assertRefused(folder.path, revoke, /not a list of this CA/);
});

Deno.test("renew: a later end and another key, all else as it was", async () => {
  using folder = await copyOf(CA);
  for (const name of ["bob", "server"]) {
    const file = join(folder.path, `${name}.crt`);
    const [before] = (await shown(file)).certificates;
    const text = await certs("renew", "--dir", folder.path, "--name", name, "--days", "400");
    assert.match(text, new RegExp(`serial ${before.serial}, is valid until`));
    const [after] = (await shown(file)).certificates;
    for (const key of ["subject", "issuer", "usages", "roles", "names", "key"]) {
      assert.deepEqual(after[key], before[key]);
    }
    assert.notEqual(after.serial, before.serial);
    assert(Date.parse(after.notAfter) > Date.parse(before.notAfter));
    const key = join(folder.path, `${name}.key`);
    assert.notEqual(
      await Deno.readTextFile(key),
      await Deno.readTextFile(join(CA, `${name}.key`)),
    );
    assert.equal((await Deno.stat(key)).mode! & 0o777, 0o600);
  }
  const bundle = await shown(join(folder.path, "bob.pem"));
  assert.equal(bundle.certificates[0].serial, await serialOf(join(folder.path, "bob.crt")));
  assert.equal(bundle.privateKey.fitsCertificate, 1);
});

Deno.test("renew: --keep-key keeps it, --revoke-old revokes the one before", async () => {
  using folder = await copyOf(CA);
  const of = (name: string) => join(folder.path, name);
  const text = await certs(
    ...["renew", "--dir", folder.path, "--name", "bob", "--keep-key", "--revoke-old"],
  );
  assert.match(text, /Revoked: bob, serial/);
  assert.equal(
    await Deno.readTextFile(of("bob.key")),
    await Deno.readTextFile(join(CA, "bob.key")),
  );
  assert.equal(await isGood(folder.path, of("bob.crt")), true);
  assert.equal(await isGood(folder.path, join(CA, "bob.crt")), false);
});

Deno.test("renew: what cannot be renewed is refused, and nothing changed", async () => {
  using folder = await copyOf(CA);
  const { path } = folder;
  const renew = (
    name: string,
    ...rest: string[]
  ) => ["renew", "--dir", path, "--name", name, ...rest];
  await Deno.copyFile(join(OTHER_CA, "bob.crt"), join(path, "stranger.crt"));
  await Deno.copyFile(join(path, "odd.key"), join(path, "server.key"));
  await Deno.copyFile(join(path, "bob.key"), join(path, "keyless.crt"));
  for (
    const [args, message] of [
      [renew("nobody"), /there is no .*nobody\.crt; make it with worker-certs issue/],
      [renew("stranger"), /was not issued by this CA/],
      [renew("keyless"), /was not issued by this CA/],
      [renew("odd"), /it has no role; .* --oid/],
      [renew("server", "--keep-key"), /does not fit the certificate/],
    ] as const
  ) {
    await assertRefused(path, args, message);
  }
  await certs(...renew("odd", "--oid", OTHER_OID));
});

Deno.test("list: what was issued, and what of it is expiring or revoked", async () => {
  using folder = await copyOf(CA);
  await certs("renew", "--dir", folder.path, "--name", "server", "--days", "20", "--keep-key");
  await certs("revoke", "--dir", folder.path, "bob");
  const listed = JSON.parse(await certs("list", "--dir", folder.path, "--json"));
  const states = listed.map(({ name, state }: { name: string; state: string }) =>
    `${name} ${state}`
  );
  assert.deepEqual(states.sort(), ["bob revoked", "odd valid", "server expiring", "server valid"]);
  const table = await certs("list", "--dir", folder.path);
  assert.match(table, /^NAME +FOR +STATE +UNTIL +SERIAL\n/);
  assert.match(table, /^bob +client reader +revoked +[0-9-]{10} +[0-9A-F]+$/m);
  assert.equal(table.trimEnd().split("\n").length, 5);
});

Deno.test("list: a folder without a CA, and a damaged certificate, are told", async () => {
  using folder = await copyOf(CA);
  await Deno.writeTextFile(
    join(folder.path, "broken.crt"),
    "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
  );
  await assertRefused(folder.path, ["list", "--dir", folder.path], /broken\.crt: .* is damaged/);
  await assertRefused(folder.path, ["list", "--dir", "/nonexistent"], /does not exist/);
});

Deno.test("revoke: a server ends the streams of who is revoked, and goes on with the others", async () => {
  const folder = await Deno.makeTempDir({ prefix: "certs-revoke-list-" });
  const crl = join(folder, "ca.crl");
  try {
    await using server = await TestServer.start({ flags: ["--crl", crl] });
    const { pki } = server;
    for (const name of ["leaver", "stayer"]) await pki.issue(name, "reader");
    const job = await server.client().shell("echo ready; exec sleep 1000");
    const [leaving, staying] = ["leaver", "stayer"].map((name) => {
      const ended: { code?: number; details?: string; messages: number } = { messages: 0 };
      server.client(name).raw.Stream({ jobID: job })
        .on("data", () => ended.messages++)
        .on("error", ({ code, details }: { code: number; details: string }) => {
          Object.assign(ended, { code, details });
        });
      return ended;
    });
    assert(leaving && staying);
    await until("both streams", () => leaving.messages > 0 && staying.messages > 0);
    await certs("revoke", "--dir", pki.folder, "leaver");
    await Deno.copyFile(join(pki.folder, "ca.crl"), crl);
    await until("the stream's end", () => leaving.code !== undefined);
    assert.equal(leaving.code, status.UNAUTHENTICATED);
    assert.match(leaving.details ?? "", /revoked/);
    const refused = await server.cli(["query", job], "leaver");
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, /revoked/);
    assert.equal((await server.cli(["query", job], "stayer")).code, 0);
    assert.equal(staying.code, undefined);
    // Another certificate for the same name is not revoked.
    const again = ["issue", "--dir", pki.folder, "--name", "leaver", "--role", "reader", "--force"];
    await certs(...again, "--bundle");
    assert.equal((await server.cli(["query", job], "leaver")).code, 0);
    await server.client().stop(job, 0);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
