/** worker-certs as an operator meets it: the compiled binary, judged by plain openssl. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { rolesOfCertificate } from "../../lib/tls/role.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { keyArguments } from "../support/key_pool.ts";
import { testUnless } from "../support/skip.ts";
import config from "../../deno.json" with { type: "json" };

const ROLE_OID = "1.2.840.10070.8.1";

/** What a program printed, and how it ended. */
interface Ended {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A folder for one test, removed after it. */
function testFolder(): Disposable & { path: string; of: (name: string) => string } {
  const path = Deno.makeTempDirSync({ prefix: "certs-test-" });
  return {
    path,
    of: (name) => join(path, name),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

async function command(
  program: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "uid" | "gid" | "cwd" | "env"> = {},
): Promise<Ended> {
  const ended = await new Deno.Command(program, { args: [...args], stdin: "null", ...options })
    .output();
  const decoder = new TextDecoder();
  return { code: ended.code, out: decoder.decode(ended.stdout), err: decoder.decode(ended.stderr) };
}

function certs(...args: string[]): Promise<Ended> {
  return command(join(BIN_DIR, "worker-certs"), args);
}

/** Runs worker-certs where it has to work, quietly. */
async function make(...args: string[]): Promise<string> {
  const ended = await certs(...args);
  assert.deepEqual({ code: ended.code, err: ended.err }, { code: 0, err: "" }, args.join(" "));
  return ended.out;
}

/** The same with a key that was made before, where the test is not about keys. */
function makeQuickly(...args: string[]): Promise<string> {
  return make(...args, ...keyArguments(args));
}

async function openssl(...args: string[]): Promise<Ended> {
  return await command("openssl", args);
}

async function opensslText(...args: string[]): Promise<string> {
  const { code, out, err } = await openssl(...args);
  assert.equal(code, 0, `openssl ${args.join(" ")}: ${err}`);
  return out;
}

/** One line on stderr that begins with the program's name, nothing on stdout, the given status. */
function assertRefused(ended: Ended, code: number, message: RegExp): void {
  assert.equal(ended.code, code, ended.err);
  assert.equal(ended.out, "");
  assert.match(ended.err, /^worker-certs: [^\n]+\n$/);
  assert.match(ended.err, message);
  assert.doesNotMatch(ended.err, /\bat \S+:[0-9]+|file:\/\/|Error:/);
}

function modeOf(path: string): number {
  return (Deno.lstatSync(path).mode ?? 0) & 0o777;
}

/** The files of a folder, not of those within. */
function contents(folder: { path: string }): Record<string, string> {
  const files = [...Deno.readDirSync(folder.path)].filter(({ isFile }) => isFile);
  const names = files.map(({ name }) => name).sort();
  return Object.fromEntries(
    names.map((name) => [name, Deno.readTextFileSync(join(folder.path, name))]),
  );
}

/** A certificate's DER, the way a TLS peer hands it over. */
function derOf(path: string): Uint8Array {
  const [, body = ""] = /-----BEGIN CERTIFICATE-----([^-]+)/.exec(Deno.readTextFileSync(path)) ??
    [];
  return Uint8Array.fromBase64(body.replaceAll("\n", ""));
}

/** One CA with a client and a server for all tests that only look; made once: keys take seconds. */
const shared = testFolder();
globalThis.addEventListener("unload", () => shared[Symbol.dispose]());
let sharedPki: Promise<string> | undefined;
function pki(): Promise<string> {
  sharedPki ??= (async () => {
    const dir = shared.of("pki");
    await make("init", "--dir", dir);
    await make("issue", "--dir", dir, "--name", "alice", "--role", "writer", "--bundle");
    const names = "localhost,127.0.0.1,::1,*.example.com,::ffff:10.0.0.7";
    await make("issue", "--dir", dir, "--name", "server", "--server", "--san", names);
    return dir;
  })();
  return sharedPki;
}

Deno.test("worker-certs init: makes a CA that openssl calls one", async () => {
  const dir = await pki();
  const text = await opensslText("x509", "-in", join(dir, "ca.crt"), "-noout", "-text");
  assert.match(text, /Version: 3/);
  assert.equal(text.match(/Signature Algorithm: sha256WithRSAEncryption/g)?.length, 2);
  assert.match(text, /Public-Key: \(4096 bit\)/);
  assert.match(text, /Issuer: CN = Job Worker CA\n/);
  assert.match(text, /Subject: CN = Job Worker CA\n/);
  assert.match(text, /Basic Constraints: critical\s+CA:TRUE, pathlen:0\n/);
  assert.match(text, /Key Usage: critical\s+Certificate Sign, CRL Sign\n/);
  assert.match(text, /Subject Key Identifier: \s+([0-9A-F]{2}:){19}/);
  assert.match(await opensslText("pkey", "-in", join(dir, "ca.key"), "-check"), /Key is valid/);
});

Deno.test("worker-certs issue: makes a client that openssl accepts as one", async () => {
  const dir = await pki();
  const [ca, certificate] = [join(dir, "ca.crt"), join(dir, "alice.crt")];
  const verify = ["verify", "-x509_strict", "-CAfile", ca, "-purpose"];
  await opensslText(...verify, "sslclient", certificate);
  assert.notEqual((await openssl(...verify, "sslserver", certificate)).code, 0);
  const text = await opensslText("x509", "-in", certificate, "-noout", "-text");
  assert.equal(text.match(/Signature Algorithm: sha256WithRSAEncryption/g)?.length, 2);
  assert.match(text, /Public-Key: \(4096 bit\)/);
  assert.match(text, /Subject: CN = alice\n/);
  assert.match(text, /Basic Constraints: critical\s+CA:FALSE\n/);
  assert.match(text, /X509v3 Key Usage: critical\s+Digital Signature\n/);
  assert.match(text, /Extended Key Usage: \s+TLS Web Client Authentication\n/);
  assert.match(text, /1\.2\.840\.10070\.8\.1: \n\s+\.\.writer\n/);
  assert.match(text, /Authority Key Identifier: \s+([0-9A-F]{2}:){19}/);
  const key = await opensslText("pkey", "-in", join(dir, "alice.key"), "-pubout");
  assert.equal(await opensslText("x509", "-in", certificate, "-noout", "-pubkey"), key);
});

Deno.test("worker-certs issue: makes a server that openssl accepts under each of its names", async () => {
  const dir = await pki();
  const [ca, certificate] = [join(dir, "ca.crt"), join(dir, "server.crt")];
  const verify = ["verify", "-x509_strict", "-CAfile", ca, "-purpose"];
  await opensslText(...verify, "sslserver", certificate);
  assert.notEqual((await openssl(...verify, "sslclient", certificate)).code, 0);
  for (const name of ["localhost", "worker.example.com"]) {
    await opensslText(...verify, "sslserver", "-verify_hostname", name, certificate);
  }
  for (const address of ["127.0.0.1", "::1", "::ffff:10.0.0.7"]) {
    await opensslText(...verify, "sslserver", "-verify_ip", address, certificate);
  }
  const other = [...verify, "sslserver", "-verify_hostname", "example.org", certificate];
  assert.notEqual((await openssl(...other)).code, 0);
  const text = await opensslText("x509", "-in", certificate, "-noout", "-text");
  assert.match(text, /Extended Key Usage: \s+TLS Web Server Authentication\n/);
  assert.doesNotMatch(text, /1\.2\.840\.10070/);
});

Deno.test("worker-certs issue: writes roles that openssl and lib/tls/role.ts read", async () => {
  const dir = await pki();
  const options = ["--name", "both", "--role", "writer,reader", "--role", "reader"];
  await makeQuickly("issue", "--dir", dir, ...options, "--oid", "1.3.6.1.4.1.99999.1");
  const path = join(dir, "both.crt");
  assert.deepEqual(rolesOfCertificate(derOf(path), "1.3.6.1.4.1.99999.1"), ["reader", "writer"]);
  assert.deepEqual(rolesOfCertificate(derOf(path)), []);
  assert.deepEqual(rolesOfCertificate(derOf(join(dir, "alice.crt"))), ["writer"]);
  const parsed = await opensslText("asn1parse", "-in", join(dir, "alice.crt"));
  const [, dump] = /:1\.2\.840\.10070\.8\.1\n.*OCTET STRING +\[HEX DUMP\]:(\w+)/.exec(parsed) ?? [];
  assert.equal(dump, "0C06777269746572");
});

Deno.test("worker-certs: writes keys for their owner alone, certificates for all", async () => {
  using folder = testFolder();
  const dir = folder.of("deep/pki");
  const script = 'umask 0; "$0" init --dir "$1" && "$0" issue --dir "$1" --name a --role reader ' +
    "--bundle";
  const { code } = await command("/bin/sh", ["-c", script, join(BIN_DIR, "worker-certs"), dir]);
  assert.equal(code, 0);
  for (const path of [dir, join(dir, "issued")]) assert.equal(modeOf(path), 0o700);
  for (const name of ["ca.key", "a.key", "a.pem"]) assert.equal(modeOf(join(dir, name)), 0o600);
  for (const name of ["ca.crt", "a.crt"]) assert.equal(modeOf(join(dir, name)), 0o644);
  assert.deepEqual(Object.keys(contents({ path: dir })), [
    "a.crt",
    "a.key",
    "a.pem",
    "ca.crt",
    "ca.key",
  ]);
});

Deno.test("worker-certs issue --bundle: puts key, certificate and CA into one file", async () => {
  const dir = await pki();
  const text = (name: string) => Deno.readTextFileSync(join(dir, name));
  assert.equal(text("alice.pem"), text("alice.key") + text("alice.crt") + text("ca.crt"));
});

Deno.test("worker-certs: replaces nothing without --force, and says what is there", async () => {
  using folder = testFolder();
  const dir = folder.path;
  const issue = ["issue", "--dir", dir, "--name", "a", "--role", "reader"];
  await make("init", "--dir", dir);
  await make(...issue, "--bundle");
  const before = contents(folder);
  assertRefused(
    await certs("init", "--dir", dir),
    1,
    /ca\.crt and \S+ca\.key: already there; use --force/,
  );
  assertRefused(await certs(...issue), 1, /a\.crt and \S+a\.key: already there; use --force/);
  Deno.removeSync(folder.of("a.key"));
  assertRefused(await certs(...issue), 1, /cannot write \S+a\.crt: already there; .* replace it/);
  Deno.removeSync(folder.of("a.crt"));
  assertRefused(await certs(...issue, "--bundle"), 1, /cannot write \S+a\.pem: already there/);
  const { "a.key": _key, "a.crt": _certificate, ...left } = before;
  assert.deepEqual(contents(folder), left);

  assert.match(await make(...issue), /a\.pem is of an earlier certificate/);
  assert.match(await make("init", "--dir", dir, "--force"), /no longer accepted/);
  await make(...issue, "--bundle", "--force");
  const after = contents(folder);
  assert.deepEqual(Object.keys(after), Object.keys(before));
  for (const [name, text] of Object.entries(after)) assert.notEqual(text, before[name], name);
  await opensslText("verify", "-CAfile", folder.of("ca.crt"), folder.of("a.crt"));
});

Deno.test("worker-certs: leaves nothing behind when it is refused", async () => {
  using folder = testFolder();
  const dir = folder.of("pki");
  assertRefused(await certs("init", "--dir", dir, "--days", "0"), 2, /--days "0"/);
  const name = ["issue", "--dir", dir, "--name", "a"];
  assertRefused(
    await certs(...name, "--role", "reader"),
    1,
    /the folder \S+pki does not exist; run worker-certs init --dir \S+pki first/,
  );
  Deno.mkdirSync(dir);
  assertRefused(
    await certs(...name, "--role", "reader"),
    1,
    /there is no CA in \S+pki; run worker-certs init/,
  );
  assert.deepEqual(contents({ path: dir }), {});
});

Deno.test("worker-certs issue: refuses wrong use with status 2 and what to do", async () => {
  const dir = await pki();
  const issue = (...args: string[]) => certs("issue", "--dir", dir, ...args);
  const before = contents({ path: dir });
  const cases: [string[], RegExp][] = [
    [["--name", "b"], /without a role: add --role reader or --role writer/],
    [["--name", "b", "--role", "admin"], /unknown role "admin"; roles are reader and writer/],
    [["--name", "b", "--role", "reader,root"], /unknown role "root"/],
    [["--name", "b", "--role", ""], /no role is named/],
    [["--name", "b", "--server"], /without names: add --san/],
    [["--name", "b", "--server", "--san", "localhost", "--role", "reader"], /a server a role/],
    [["--name", "b", "--server", "--san", "localhost", "--oid", "1.2.3"], /a server a role/],
    [["--name", "b", "--server", "--san", "localhost:1"], /"localhost:1" in --san/],
    [["--name", "b", "--role", "reader", "--san", "localhost"], /--san for a client/],
    [["--name", "b", "--role", "reader", "--oid", "2.5.29.19"], /--oid "2.5.29.19"/],
    [["--name", "b", "--role", "reader", "--days", "1d"], /--days "1d"/],
    [["--name", "b", "--role", "reader", "--days", "9999"], /the CA ends on .* --days 36\d\d or/],
    [["--name", "../b", "--role", "reader"], /it becomes a file name/],
    [["--name", "-b", "--role", "reader"], /it becomes a file name/],
    [["--name", "ca", "--role", "reader", "--force"], /these files are the CA's/],
    [["--role", "reader"], /required option '--name <name>' not specified/],
    [["--name", "b", "--rule", "reader"], /unknown option '--rule' \(Did you mean --role\?\)/],
    [["--name", "b", "--role"], /argument missing/],
    [["--name", "b", "--role", "reader", "more"], /too many arguments/],
  ];
  for (const [args, message] of cases) assertRefused(await issue(...args), 2, message);
  assertRefused(await certs("issue", "--dir", "", "--name", "b", "--role", "reader"), 2, /--dir/);
  assertRefused(await certs("init", "--dir", dir, "--name", " x"), 2, /CA name " x"/);
  assertRefused(await certs("sign"), 2, /unknown command 'sign'/);
  assertRefused(await certs("show"), 2, /missing required argument 'file'/);
  assertRefused(await certs("show", "--oid", "x", join(dir, "ca.crt")), 2, /--oid "x"/);
  assert.deepEqual(contents({ path: dir }), before);
});

Deno.test("worker-certs issue: cuts a certificate to its CA's life, and keeps the CA's name", async () => {
  using folder = testFolder();
  const dir = folder.path;
  await makeQuickly("init", "--dir", dir, "--days", "3", "--name", "root");
  const issue = ["issue", "--dir", dir, "--role", "reader"];
  assertRefused(await certs(...issue, "--name", "root"), 2, /it is the CA's own/);
  assertRefused(await certs(...issue, "--name", "a", "--days", "4"), 2, /use --days 2 or less/);
  assert.match(
    await makeQuickly(...issue, "--name", "a"),
    /and no longer, because the CA ends then/,
  );
  const end = async (name: string) =>
    await opensslText("x509", "-in", folder.of(name), "-noout", "-enddate");
  assert.equal(await end("a.crt"), await end("ca.crt"));
  assert.doesNotMatch(await makeQuickly(...issue, "--name", "b", "--days", "2"), /no longer/);
  assert.notEqual(await end("b.crt"), await end("ca.crt"));
});

Deno.test("worker-certs issue: refuses CA files that do not fit, are damaged or too weak", async () => {
  using folder = testFolder();
  const dir = await pki();
  const issue = () => certs("issue", "--dir", folder.path, "--name", "a", "--role", "reader");
  const put = (name: string, text: string) => Deno.writeTextFileSync(folder.of(name), text);
  const certificate = Deno.readTextFileSync(join(dir, "ca.crt"));
  put("ca.crt", certificate);
  assertRefused(await issue(), 1, /ca\.key is missing/);
  put("ca.key", Deno.readTextFileSync(join(dir, "alice.key")));
  assertRefused(await issue(), 1, /ca\.key does not belong to \S+ca\.crt/);
  put("ca.key", "garbage");
  assertRefused(await issue(), 1, /ca\.key: it holds no private key/);
  put("ca.crt", certificate.slice(0, 200));
  assertRefused(await issue(), 1, /ca\.crt: it is cut off/);
  put("ca.crt", Deno.readTextFileSync(join(dir, "alice.crt")));
  put("ca.key", Deno.readTextFileSync(join(dir, "alice.key")));
  assertRefused(await issue(), 1, /ca\.crt is not the certificate of a CA/);
  for (const algorithm of [["rsa:2048"], ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]]) {
    await opensslText(
      ...["req", "-x509", "-newkey", ...algorithm, "-noenc", "-subj", "/CN=weak"],
      ...["-keyout", folder.of("ca.key"), "-out", folder.of("ca.crt")],
    );
    assertRefused(await issue(), 1, /is not an RSA key of 4096 bits/);
  }
  assert.deepEqual(Object.keys(contents(folder)), ["ca.crt", "ca.key"]);
});

Deno.test("worker-certs: takes existing keys for a CA and a server, and openssl accepts both", async () => {
  using folder = testFolder();
  const dir = folder.of("pki");
  const key = async (name: string) => {
    const file = folder.of(name);
    await opensslText(
      ...["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:4096", "-out", file],
    );
    return file;
  };
  const [caKey, serverKey] = await Promise.all([key("ca-key.pem"), key("server-key.pem")]);
  await make("init", "--dir", dir, "--key", caKey);
  const issue = ["issue", "--dir", dir, "--name", "server", "--server", "--san", "localhost"];
  await make(...issue, "--key", serverKey);
  const [ca, certificate] = [join(dir, "ca.crt"), join(dir, "server.crt")];
  await opensslText(
    ...["verify", "-x509_strict", "-CAfile", ca, "-purpose", "sslserver"],
    certificate,
  );
  const publicKey = await opensslText("pkey", "-in", serverKey, "-pubout");
  assert.equal(await opensslText("x509", "-in", certificate, "-noout", "-pubkey"), publicKey);
  assert.deepEqual(Object.keys(contents({ path: dir })), ["ca.crt", "ca.key", "server.crt"]);
  assertRefused(await certs(...issue, "--force", "--key", caKey), 1, /it is the key of the CA/);
  assertRefused(await certs(...issue, "--force", "--key", ""), 2, /an empty --key/);
  assertRefused(await certs("init", "--dir", folder.of("x"), "--key", ca), 1, /no private key/);
});

Deno.test("worker-certs issue: signs with a CA that openssl made, whatever its name", async () => {
  using folder = testFolder();
  await opensslText(
    ...["req", "-x509", "-newkey", "rsa:4096", "-noenc", "-days", "30", "-utf8"],
    ...["-subj", '/C=DE/O=Größe, "A" + B/CN=Old CA', "-addext", "subjectKeyIdentifier=none"],
    ...["-keyout", folder.of("ca.key"), "-out", folder.of("ca.crt")],
  );
  await makeQuickly("issue", "--dir", folder.path, "--name", "a", "--role", "reader");
  await opensslText("verify", "-CAfile", folder.of("ca.crt"), folder.of("a.crt"));
});

Deno.test("worker-certs issue: refuses an expired CA and one from the future", async () => {
  using folder = testFolder();
  const dir = await pki();
  Deno.copyFileSync(join(dir, "ca.key"), folder.of("ca.key"));
  Deno.writeTextFileSync(folder.of("index"), "");
  Deno.writeTextFileSync(
    folder.of("conf"),
    `[ca]\ndefault_ca=own\n[own]\ndatabase=${folder.of("index")}\nnew_certs_dir=${folder.path}\n` +
      "default_md=sha256\npolicy=any\nrand_serial=yes\nunique_subject=no\nx509_extensions=ext\n" +
      "[any]\ncommonName=supplied\n[ext]\nbasicConstraints=critical,CA:TRUE\n" +
      "[req]\ndistinguished_name=dn\n[dn]\n",
  );
  const base = ["-config", folder.of("conf")];
  await opensslText(
    ...["req", ...base, "-new", "-key", folder.of("ca.key"), "-subj", "/CN=x"],
    ...["-out", folder.of("csr")],
  );
  const times: [string, string, RegExp][] = [
    ["20200101000000Z", "20210101000000Z", /expired on 2021-01-01T00:00:00.000Z; make a new one/],
    ["20990101000000Z", "20990201000000Z", /not valid before 2099-01-01.* check this host's clock/],
  ];
  for (const [start, end, message] of times) {
    await opensslText(
      ...["ca", ...base, "-batch", "-selfsign", "-notext", "-in", folder.of("csr")],
      ...["-keyfile", folder.of("ca.key"), "-startdate", start, "-enddate", end],
      ...["-out", folder.of("ca.crt")],
    );
    const issue = ["issue", "--dir", folder.path, "--name", "a", "--role", "reader"];
    assertRefused(await certs(...issue), 1, message);
    const shown = await make("show", folder.of("ca.crt"));
    assert.match(shown, start < "2025" ? /\(EXPIRED\)/ : /\(NOT YET VALID\)/);
  }
});

testUnless(Deno.uid() === 0 ? undefined : "only root can be somebody else", {
  name: "worker-certs: says so when it may not read or write",
  fn: async () => {
    using folder = testFolder();
    const dir = await pki();
    Deno.chmodSync(shared.path, 0o755);
    Deno.chmodSync(folder.path, 0o755);
    const asNobody = (...args: string[]) =>
      command(join(BIN_DIR, "worker-certs"), args, { uid: 65534, gid: 65534 });
    const inFolder = ["--dir", folder.path];
    assertRefused(await asNobody("init", ...inFolder), 1, /cannot write .*: permission denied/);
    for (const name of ["ca.crt", "ca.key"]) {
      Deno.copyFileSync(join(dir, name), folder.of(name));
    }
    assertRefused(
      await asNobody("issue", ...inFolder, "--name", "a", "--role", "reader"),
      1,
      /cannot read \S+ca\.key: permission denied/,
    );
    assertRefused(
      await asNobody("issue", "--dir", dir, "--name", "a", "--role", "reader"),
      1,
      /cannot look at \S+: permission denied/,
    );
    Deno.chmodSync(folder.of("ca.key"), 0o644);
    assertRefused(
      await asNobody("issue", ...inFolder, "--name", "a", "--role", "reader"),
      1,
      /cannot make the folder \S+issued: permission denied/,
    );
    const text = await asNobody("show", folder.of("ca.crt"), join(dir, "alice.key"));
    assert.equal(text.code, 1);
    assert.match(text.out, /Subject: +CN=Job Worker CA\n/);
    assert.match(text.err, /^worker-certs: cannot read \S+alice\.key: permission denied\n$/);
    assert.deepEqual(Object.keys(contents(folder)), ["ca.crt", "ca.key"]);
  },
});

Deno.test("worker-certs show: says of a bundle what openssl says", async () => {
  const dir = await pki();
  const bundle = join(dir, "alice.pem");
  const text = await make("show", bundle);
  const field = async (...args: string[]) =>
    (await opensslText("x509", "-in", bundle, "-noout", ...args)).replace(/^[^=]+=/, "").trim();
  const expected = {
    Subject: "CN=alice",
    Issuer: "CN=Job Worker CA",
    Serial: await field("-serial"),
    Usage: "client",
    Role: "writer",
    Names: "none",
    Key: "RSA 4096",
    Signature: "sha256WithRSAEncryption",
    "SHA-256": await field("-fingerprint", "-sha256"),
  };
  const [first = "", second = "", key] = text.split(/^\S.*\n/m).slice(1);
  for (const [name, value] of Object.entries(expected)) {
    assert.ok(first.includes(`  ${`${name}:`.padEnd(13)}${value}\n`), `${name}: ${value}\n${text}`);
  }
  assert.match(first, /Valid until: \S+ \(36[56] days left\)\n/);
  assert.match(second, /Subject: +CN=Job Worker CA\n[\s\S]*Usage: +CA\n/);
  assert.equal(key, "  fits certificate 1\n");
});

Deno.test("worker-certs show --json: tells the same to programs", async () => {
  const dir = await pki();
  const files = [join(dir, "server.crt"), join(dir, "alice.pem")];
  const shown = JSON.parse(await make("show", "--json", ...files));
  assert.deepEqual(shown.map(({ file }: { file: string }) => file), files);
  const [server, alice] = shown;
  assert.deepEqual(server.certificates[0].names, [
    "DNS:localhost",
    "IP:127.0.0.1",
    "IP:::1",
    "DNS:*.example.com",
    "IP:::ffff:a00:7",
  ]);
  assert.deepEqual(server.certificates[0].usages, ["server"]);
  assert.equal(server.privateKey, null);
  assert.deepEqual(alice.certificates[0].roles, ["writer"]);
  assert.equal(alice.certificates[0].state, "valid");
  assert.deepEqual(alice.privateKey, { fitsCertificate: 1, error: null });
});

Deno.test("worker-certs show: shows what it can and fails for the rest", async () => {
  const dir = await pki();
  const names = ["nothing", "ca.key", "alice.crt"].map((name) => join(dir, name));
  const { code, out, err } = await certs("show", ...names, dir);
  assert.equal(code, 1);
  assert.match(out, /^\S+alice\.crt\n {2}Subject: +CN=alice\n/);
  assert.deepEqual(err.split("\n").map((line) => line.replace(/ \/\S+:/, ":")), [
    "worker-certs: cannot read: there is no such file or folder",
    "worker-certs: cannot show: it holds a key and no certificate",
    "worker-certs: cannot read: it is a folder",
    "",
  ]);
  const json = await certs("show", "--json", join(dir, "nothing"));
  assert.deepEqual({ code: json.code, out: json.out }, { code: 1, out: "[]\n" });
});

Deno.test("worker-certs show: reads keys and certificates of other kinds", async () => {
  using folder = testFolder();
  const kinds: [string[], string, RegExp][] = [
    [["rsa:2048", "-sha384"], "RSA 2048", /^sha384WithRSAEncryption$/],
    [["ec", "-pkeyopt", "ec_paramgen_curve:P-384"], "EC P-384", /^ecdsa-with-SHA256$/],
    [["ed25519"], "Ed25519", /^Ed25519$/],
  ];
  for (const [algorithm, key, signature] of kinds) {
    await opensslText(
      ...["req", "-x509", "-newkey", ...algorithm, "-noenc", "-subj", "/CN=x"],
      ...["-keyout", folder.of("key"), "-out", folder.of("crt")],
    );
    const texts = ["crt", "key"].map((name) => Deno.readTextFileSync(folder.of(name)));
    Deno.writeTextFileSync(folder.of("pem"), texts.join(""));
    const [shown] = JSON.parse(await make("show", "--json", folder.of("pem")));
    assert.equal(shown.certificates[0].key, key);
    assert.match(shown.certificates[0].signature, signature);
    assert.deepEqual(shown.privateKey, { fitsCertificate: 1, error: null }, key);
  }
});

/** The recipe of docs/certificates.md as it stands there, run in a folder. */
async function runRecipe(folder: string): Promise<void> {
  const page = join(import.meta.dirname ?? ".", "..", "..", "docs", "certificates.md");
  const [, recipe] = /With plain openssl[\s\S]*?```sh\n([\s\S]*?)```/.exec(
    await Deno.readTextFile(page),
  ) ?? [];
  assert.ok(recipe !== undefined);
  const { code, err } = await command("/bin/sh", ["-euc", recipe], { cwd: folder });
  assert.equal(code, 0, err);
}

Deno.test("docs/certificates.md: the openssl recipe makes what worker-certs makes", async () => {
  using folder = testFolder();
  await runRecipe(folder.path);
  const ca = folder.of("ca.crt");
  const verify = ["verify", "-x509_strict", "-CAfile", ca, "-purpose"];
  await opensslText(...verify, "sslclient", folder.of("bob.crt"));
  await opensslText(...verify, "sslserver", "-verify_ip", "127.0.0.1", folder.of("server.crt"));
  assert.deepEqual(rolesOfCertificate(derOf(folder.of("bob.crt"))), ["writer"]);
  const [shown] = JSON.parse(await make("show", "--json", folder.of("bob.pem")));
  const { roles, usages, key, signature } = shown.certificates[0];
  assert.deepEqual({ roles, usages, key, signature, privateKey: shown.privateKey }, {
    roles: ["writer"],
    usages: ["client"],
    key: "RSA 4096",
    signature: "sha256WithRSAEncryption",
    privateKey: { fitsCertificate: 1, error: null },
  });
  for (const name of ["ca.key", "bob.key", "bob.pem", "server.key"]) {
    assert.equal(modeOf(folder.of(name)), 0o600, name);
  }
  // The CA of either tool serves the other.
  await makeQuickly("issue", "--dir", folder.path, "--name", "carol", "--role", "reader");
  await opensslText(...verify, "sslclient", folder.of("carol.crt"));
});

Deno.test("lib/tls/role.ts: refuses what openssl can put into the extension", async () => {
  using folder = testFolder();
  const values: [string, string][] = [
    ["ASN1:PRINTABLESTRING:writer", "wrong-type"],
    ["ASN1:IA5STRING:writer", "wrong-type"],
    ["ASN1:BMPSTRING:writer", "wrong-type"],
    ["ASN1:INTEGER:1", "wrong-type"],
    ["ASN1:NULL", "wrong-type"],
    ["ASN1:OCTETSTRING:writer", "wrong-type"],
    ["ASN1:SEQWRAP,UTF8String:writer", "wrong-type"],
    ["ASN1:EXPLICIT:0,UTF8String:writer", "wrong-type"],
    ["ASN1:IMPLICIT:0,UTF8String:writer", "wrong-type"],
    ["ASN1:UTF8String:", "empty"],
    ["ASN1:UTF8String:Writer", "unknown-role"],
    ["ASN1:UTF8String:writer,admin", "unknown-role"],
    ["DER:0C06777269746572:00", "not-der"],
    ["DER:7772697465:72", "not-der"],
    ["DER:2C080C06777269746572", "wrong-type"],
  ];
  await opensslText("genrsa", "-out", folder.of("key"), "2048");
  for (const [value, kind] of values) {
    await opensslText(
      ...["req", "-x509", "-new", "-key", folder.of("key"), "-subj", "/CN=x"],
      ...["-addext", `${ROLE_OID}=${value}`, "-out", folder.of("crt")],
    );
    assert.throws(() => rolesOfCertificate(derOf(folder.of("crt"))), { kind }, value);
    assert.match(await make("show", folder.of("crt")), /Role: +MALFORMED, no access: /, value);
  }
});

Deno.test("worker-certs --help and --version: answer on every verb with examples", async () => {
  assert.equal(await make("--version"), `${config.version}\n`);
  assert.match(await make("--help"), /Examples:\n {2}worker-certs init[\s\S]*Exit status: 0/);
  for (const verb of ["init", "issue", "show"]) {
    const help = await make(verb, "--help");
    assert.match(help, new RegExp(`^Usage: worker-certs ${verb} `));
    assert.match(help, new RegExp(`Examples:\n {2}worker-certs ${verb} `));
    assert.equal(await make("help", verb), help);
  }
  const { code, out, err } = await certs();
  assert.deepEqual({ code, out }, { code: 2, out: "" });
  assert.match(err, /^Usage: worker-certs /);
});

Deno.test("worker-certs: prints without colours and reads no environment", async () => {
  const env = { FORCE_COLOR: "1", CLICOLOR_FORCE: "1", NO_COLOR: "" };
  const binary = join(BIN_DIR, "worker-certs");
  const coloured = await command(binary, ["--help"], { env });
  assert.deepEqual(coloured, { code: 0, out: await make("--help"), err: "" });
});

Deno.test("worker-certs show: ends quietly when its reader goes away", async () => {
  const dir = await pki();
  const files = new Array(200).fill('"$1"').join(" ");
  const script = `"$0" show ${files} | head -n 1; exit "\${PIPESTATUS[0]}"`;
  const args = ["-c", script, join(BIN_DIR, "worker-certs"), join(dir, "alice.crt")];
  const { code, out, err } = await command("/bin/bash", args);
  assert.deepEqual({ code, out, err }, { code: 0, out: `${join(dir, "alice.crt")}\n`, err: "" });
});
