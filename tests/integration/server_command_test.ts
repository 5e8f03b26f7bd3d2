/** worker-server as an operator meets it: flags, files, messages, exit statuses and signals. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import config from "../../deno.json" with { type: "json" };
import { testUnless } from "../support/skip.ts";
import { BIN_DIR, LOG_DIR } from "../support/binaries.ts";
import { assertStatus } from "../support/client.ts";
import { testPki } from "../support/pki.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { CLIENT_EXTENSIONS, makeOtherAuthority, signCertificate } from "../support/openssl.ts";

const SERVER = join(BIN_DIR, "worker-server");

/** A server that should have refused to start is ended after this time, and the test fails. */
const REFUSAL_DEADLINE_MS = 20_000;

const DAY_MS = 86_400_000;
const NOBODY_ID = 65_534;

/** Every setting of the server, by its flag. */
type Settings = Record<string, string>;

/** A test's own folders, and settings with which a server starts. */
class Place implements AsyncDisposable {
  readonly folder: string;
  readonly logDir: string;
  readonly group: string;
  readonly settings: Settings;

  private constructor(folder: string, files: (name: string) => string) {
    const name = folder.slice(folder.lastIndexOf("-") + 1);
    this.folder = folder;
    this.logDir = join(LOG_DIR, name);
    this.group = `job-worker-test-${name}`;
    this.settings = {
      "listen": "127.0.0.1:0",
      "ca": files("ca.crt"),
      "cert": files("server.crt"),
      "key": files("server.key"),
      "limits-dir": folder,
      "log-dir": this.logDir,
      "cgroup-parent": this.group,
    };
  }

  static async make(): Promise<Place> {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-server-" });
    return new Place(folder, (await testPki()).file);
  }

  /** The command line with these settings changed. */
  args(changes: Settings = {}): string[] {
    return Object.entries({ ...this.settings, ...changes })
      .flatMap(([flag, value]) => [`--${flag}`, value]);
  }

  /** A server that is refused leaves neither groups nor processes. */
  async assertNothingLeft(): Promise<void> {
    for await (const { name } of Deno.readDir("/sys/fs/cgroup")) {
      for (const group of [join(name, this.group), this.group]) {
        const info = await Deno.stat(join("/sys/fs/cgroup", group)).catch(() => undefined);
        assert.equal(info, undefined, `the control group ${group} is left`);
      }
    }
    for await (const { name } of Deno.readDir("/proc")) {
      if (!/^\d+$/.test(name)) continue;
      const command = await Deno.readTextFile(`/proc/${name}/cmdline`).catch(() => "");
      assert(!command.includes(this.group), `a process is left: ${command}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
    await Deno.remove(this.logDir, { recursive: true }).catch(() => {});
  }
}

interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program that should end by itself, with an environment of its own. */
async function ended(program: string, options: Deno.CommandOptions): Promise<Ended> {
  const output = await new Deno.Command(program, {
    clearEnv: true,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(REFUSAL_DEADLINE_MS),
    ...options,
  }).spawn().output();
  const decoder = new TextDecoder();
  const [stdout, stderr] = [output.stdout, output.stderr].map((bytes) => decoder.decode(bytes));
  return { code: output.code, stdout: stdout ?? "", stderr: stderr ?? "" };
}

/** One clear line on standard error, nothing else, and the exit status. */
function assertRefusal(result: Ended, code: number, message: RegExp): void {
  assert.equal(result.code, code, result.stderr);
  assert.equal(result.stdout, "");
  assert.match(result.stderr, /^worker-server: [^\n]+\n$/);
  assert.match(result.stderr, message);
  assert.doesNotMatch(result.stderr, / at \S+:\d|file:\/\/|Error\b|undefined|\[object/);
}

/** Starts a server with settings changed, and asserts that it says why not. */
async function assertRefused(place: Place, changes: Settings, message: RegExp): Promise<void> {
  assertRefusal(await ended(SERVER, { args: place.args(changes) }), 1, message);
  await place.assertNothingLeft();
}

function environmentName(flag: string): string {
  return `JOB_WORKER_${flag.toUpperCase().replaceAll("-", "_")}`;
}

function environmentOf(settings: Settings): Record<string, string> {
  return Object.fromEntries(
    Object.entries(settings).map(([flag, value]) => [environmentName(flag), value]),
  );
}

/** A running server, started by its command line alone. */
class RunningServer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<void>;
  log = "";

  constructor(options: Deno.CommandOptions) {
    this.#child = new Deno.Command(SERVER, {
      clearEnv: true,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      ...options,
    }).spawn();
    this.#drained = this.#drain();
  }

  /** What it says when it is ready. */
  async ready(): Promise<Record<string, string>> {
    let isGone = false;
    void this.#child.status.then(() => isGone = true);
    const line = await until("the server to be ready", () => {
      assert(!isGone, this.log);
      return this.log.split("\n").find((entry) => entry.includes('"message":"ready"'));
    });
    return JSON.parse(line);
  }

  async end(): Promise<Deno.CommandStatus> {
    this.#child.kill("SIGTERM");
    await this.#drained;
    return await this.#child.status;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended already.
    }
    await this.#drained;
    await this.#child.status;
  }

  async #drain(): Promise<void> {
    for await (const text of this.#child.stderr.pipeThrough(new TextDecoderStream())) {
      this.log += text;
    }
  }
}

/** Every flag with a value that no server takes: `[flag, value, what the message says]`. */
const BAD_VALUES: readonly (readonly [flag: string, value: string, message: RegExp])[] = [
  ["listen", "localhost", /HOST:PORT/],
  ["listen", ":50051", /HOST:PORT/],
  ["listen", "127.0.0.1:65536", /HOST:PORT/],
  ["listen", "127.0.0.1:80x", /HOST:PORT/],
  ["listen", "127.0.0.1:-1", /HOST:PORT/],
  ["listen", "", /HOST:PORT/],
  ["log-dir", "/var/log/other", /may write to/],
  ["log-dir", "relative", /may write to/],
  ["log-dir", `${LOG_DIR}/../other`, /may write to/],
  ["log-dir", `${LOG_DIR}-other`, /may write to/],
  ["grace-period", "soon", /./],
  ["grace-period", "-1s", /./],
  ["grace-period", "61m", /at most 1h/],
  ["max-processes", "0", /1 or more/],
  ["max-processes", "many", /./],
  ["max-jobs", "0", /1 or more/],
  ["max-jobs", "-1", /./],
  ["max-jobs-per-user", "0", /1 or more/],
  ["max-jobs-per-user", "many", /./],
  ["max-waiting-jobs", "0", /1 or more/],
  ["max-waiting-jobs-per-user", "many", /./],
  ["max-connections", "0", /1 or more/],
  ["max-connections-per-user", "0", /1 or more/],
  ["max-handshakes", "0", /1 or more/],
  ["max-streams", "0", /1 to 1000000/],
  ["max-streams", "max", /./],
  ["max-open-calls", "0", /1 or more, or "max"/],
  ["max-jobs", "none", /1 or more, or "max"/],
  ["max-call-rate", "0.5", /./],
  ["metrics-listen", "9464", /HOST:PORT/],
  ["metrics-listen", "localhost:x", /HOST:PORT/],
  ["audit-size", "1K", /64K or more/],
  ["audit-size", "all", /./],
  ["job-user", "", /name of a user/],
  ["job-user", "no one", /name of a user/],
  ["owner-uids", "0-10", /range of uids/],
  ["max-output", "1K", /64K or more/],
  ["max-output", "lots", /./],
  ["retain-age", "old", /./],
  ["retain-count", "-1", /./],
  ["retain-bytes", "1X", /./],
  ["memory-limit", "1M", /64M or more, or max/],
  ["memory-limit", "-1", /./],
  ["memory-limit", "lots", /./],
  ["cgroup-parent", "../other", /group such as/],
  ["cgroup-parent", "/job-worker", /group such as/],
  ["cgroup-parent", "job worker", /group such as/],
  ["engine", "kubernetes", /local, slurm/],
  ["shared-dir", "/srv/jobs", /may write to/],
  ["role-oid", "writer", /OID such as/],
  ["role-oid", "2.5.29.37", /OID such as/],
];

const FLAGS = [
  ...new Set([
    ...BAD_VALUES.map(([flag]) => flag),
    "ca",
    "cert",
    "key",
    "crl",
    "limits-dir",
    "rules",
    "slurm-conf",
    "user-map",
  ]),
];

Deno.test("worker-server: a bad value is refused by flag and by variable, each time by name", async (t) => {
  await using place = await Place.make();
  for (const [flag, value, message] of BAD_VALUES) {
    await t.step(`${flag} ${JSON.stringify(value)}`, async () => {
      const byFlag = await ended(SERVER, { args: place.args({ [flag]: value }) });
      assertRefusal(byFlag, 2, message);
      assert(byFlag.stderr.includes(`--${flag} `) && byFlag.stderr.includes(value), byFlag.stderr);
      const env = environmentOf({ ...place.settings, [flag]: value });
      const byVariable = await ended(SERVER, { env });
      assertRefusal(byVariable, 2, message);
      assert(byVariable.stderr.includes(environmentName(flag)), byVariable.stderr);
      await place.assertNothingLeft();
    });
  }
});

const BAD_COMMANDS: Readonly<Record<string, readonly string[]>> = {
  "an unknown flag": ["--debug"],
  "an unknown short flag": ["-x"],
  "a flag without its value": ["--listen"],
  "an unknown verb": ["serve"],
  "one argument too many": ["doctor", "now"],
};
for (const [what, args] of Object.entries(BAD_COMMANDS)) {
  Deno.test(`worker-server: ${what} is wrong usage`, async () => {
    const named = args.at(-1) ?? "";
    assertRefusal(await ended(SERVER, { args: [...args] }), 2, new RegExp(named));
  });
}

Deno.test("worker-server --help: names every flag, its variable and the exit statuses", async () => {
  for (const flag of ["--help", "-h"]) {
    const { code, stdout, stderr } = await ended(SERVER, { args: [flag] });
    assert.deepEqual({ code, stderr }, { code: 0, stderr: "" });
    for (const name of FLAGS) {
      assert(stdout.includes(`--${name} `), `--${name} is not explained`);
      assert(stdout.includes(environmentName(name)), `${environmentName(name)} is not named`);
    }
    const named = [...stdout.matchAll(/^ {2}--([a-z-]+) /gm)].map(([, name]) => name);
    assert.deepEqual(named.sort(), FLAGS.toSorted(), "a flag is not in this test");
    assert.match(stdout, /Exit status: 0 .*\n.*1 .* 2 .*\n75 /);
  }
});

Deno.test("worker-server --version: is the version of the product and nothing else", async () => {
  for (const flag of ["--version", "-V"]) {
    const result = await ended(SERVER, { args: [flag] });
    assert.deepEqual(result, { code: 0, stdout: `${config.version}\n`, stderr: "" });
  }
});

Deno.test("worker-server: variables alone are enough, and a file may be named by one", async () => {
  await using place = await Place.make();
  await using server = new RunningServer({ env: environmentOf(place.settings) });
  const ready = await server.ready();
  assert.equal(ready["listen"], "127.0.0.1:0");
  assert.equal(ready["logs"], place.logDir);
  assert.equal((await server.end()).code, 0);
  await place.assertNothingLeft();
});

Deno.test("worker-server: a flag goes before its variable, whatever stands in that", async () => {
  await using place = await Place.make();
  const env = environmentOf(Object.fromEntries(FLAGS.map((flag) => [flag, "/nonexistent"])));
  const rest: Settings = {
    "grace-period": "1s",
    "max-processes": "10",
    "max-jobs": "10",
    "max-jobs-per-user": "max",
    "max-waiting-jobs": "10",
    "max-waiting-jobs-per-user": "max",
    "max-connections": "100",
    "max-connections-per-user": "max",
    "max-handshakes": "100",
    "max-streams": "100",
    "max-open-calls": "100",
    "max-call-rate": "100",
    "max-output": "1M",
    "metrics-listen": "127.0.0.1:0",
    "audit-size": "1M",
    "job-user": "root",
    "owner-uids": "",
    "engine": "local",
    "shared-dir": "",
    "slurm-conf": "",
    "user-map": "",
    "rules": "",
    "retain-age": "1d",
    "retain-count": "10",
    "retain-bytes": "1G",
    "memory-limit": "max",
    "role-oid": "1.2.840.10070.8.1",
  };
  await using server = new RunningServer({ env, args: place.args(rest) });
  assert.equal((await server.ready())["logs"], place.logDir);
  assert.equal((await server.end()).code, 0);
});

/** The flags that name a file of the server's identity. */
const IDENTITY_FLAGS = ["ca", "cert", "key"] as const;

for (const flag of IDENTITY_FLAGS) {
  Deno.test(`worker-server --${flag}: a file that is missing or no PEM is named`, async () => {
    await using place = await Place.make();
    const file = join(place.folder, "file");
    const named = (problem: string) => new RegExp(`${file} ${problem}`);
    await assertRefused(place, { [flag]: file }, named(`does not exist; .*--${flag}`));
    const folder = await ended(SERVER, { args: place.args({ [flag]: place.folder }) });
    assertRefusal(folder, 1, new RegExp(`${place.folder} cannot be read .*--${flag}`));
    for (const content of ["", "certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n"]) {
      await Deno.writeTextFile(file, content);
      await assertRefused(place, { [flag]: file }, named("is not a PEM"));
    }
  });
}

Deno.test("worker-server: a file that the server may not read is named", async () => {
  await using place = await Place.make();
  await Deno.chmod(place.folder, 0o755);
  const binary = join(place.folder, "worker-server");
  await Deno.copyFile(SERVER, binary);
  const copies: Settings = {};
  for (const flag of IDENTITY_FLAGS) {
    const copy = copies[flag] = join(place.folder, flag);
    await Deno.copyFile(place.settings[flag] ?? "", copy);
    await Deno.chmod(copy, 0o644);
  }
  for (const flag of IDENTITY_FLAGS) {
    const file = copies[flag] ?? "";
    await Deno.chmod(file, 0o600);
    const args = place.args(copies);
    const result = await ended(binary, { args, uid: NOBODY_ID, gid: NOBODY_ID });
    assertRefusal(result, 1, new RegExp(`${file} cannot be read .*Permission denied.*--${flag}`));
    await Deno.chmod(file, 0o644);
  }
  const args = place.args(copies);
  const result = await ended(binary, { args, uid: NOBODY_ID, gid: NOBODY_ID });
  assertRefusal(result, 1, /run as root/);
});

Deno.test("worker-server: a certificate that clients would refuse is refused at once", async (t) => {
  const pki = await testPki();
  await using place = await Place.make();
  await makeOtherAuthority(pki, "command-ca");
  const extensions = [
    ...CLIENT_EXTENSIONS.filter((line) => !line.startsWith("extendedKeyUsage")),
    "extendedKeyUsage=serverAuth",
    "subjectAltName=DNS:localhost",
  ];
  const past = new Date(Date.now() - 1000);
  const future = new Date(Date.now() + DAY_MS);
  await signCertificate(pki, "server-other", { extensions, issuer: "command-ca" });
  await signCertificate(pki, "server-self", { extensions, issuer: "self" });
  await signCertificate(pki, "server-expired", { extensions, notAfter: past });
  await signCertificate(pki, "server-early", { extensions, notBefore: future });
  const cases: readonly (readonly [name: string, message: RegExp])[] = [
    ["server-other", /server-other\.crt is not signed by .*ca\.crt/],
    ["server-self", /server-self\.crt is not signed by .*ca\.crt/],
    ["server-expired", /server-expired\.crt has expired/],
    ["server-early", /server-early\.crt is not valid before/],
    ["alice", /alice\.crt has no host names/],
    ["ca", /ca\.crt has no host names/],
  ];
  for (const [name, message] of cases) {
    await t.step(name, async () => {
      const pair = { cert: pki.file(`${name}.crt`), key: pki.file(`${name}.key`) };
      await assertRefused(place, pair, message);
    });
  }
  await t.step("another certificate's key", async () => {
    await makeOtherAuthority(pki, "stray");
    const message = /the key .*stray\.key does not fit the certificate .*server\.crt/;
    await assertRefused(place, { key: pki.file("stray.key") }, message);
  });
  await t.step("a key with a passphrase", async () => {
    const key = join(place.folder, "locked.key");
    const command = ["rsa", "-aes128", "-passout", "pass:secret", "-in", pki.file("server.key")];
    assert.equal((await run("openssl", [...command, "-out", key])).code, 0);
    await assertRefused(
      place,
      { key },
      /locked\.key is not a PEM private key without a passphrase/,
    );
  });
  await t.step("a CA that has expired", async () => {
    const text = { extensions: ["basicConstraints=critical,CA:TRUE"], notAfter: past };
    await signCertificate(pki, "old-ca", { ...text, issuer: "self" });
    await signCertificate(pki, "server-old", { extensions, issuer: "old-ca" });
    const files = {
      ca: pki.file("old-ca.crt"),
      cert: pki.file("server-old.crt"),
      key: pki.file("server-old.key"),
    };
    await assertRefused(place, files, /old-ca\.crt has expired/);
  });
});

Deno.test("worker-server --limits-dir: a folder that is missing or none is named", async () => {
  await using place = await Place.make();
  const folder = join(place.folder, "limits");
  await assertRefused(place, { "limits-dir": folder }, /limits does not exist; .*--limits-dir/);
  await Deno.writeTextFile(folder, "50%");
  await assertRefused(place, { "limits-dir": folder }, /limits is not a folder; .*--limits-dir/);
});

Deno.test("worker-server --listen: an address that cannot be had is named", async (t) => {
  await using place = await Place.make();
  await t.step("a busy port", async () => {
    using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const listen = `127.0.0.1:${(listener.addr as Deno.NetAddr).port}`;
    const message = new RegExp(`cannot listen on ${listen}: another program uses this port; .*`);
    await assertRefused(place, { listen }, message);
  });
  // An address of TEST-NET-3 (RFC 5737) and a name of RFC 6761: nobody has these.
  for (const listen of ["203.0.113.1:50051", "nobody.invalid:50051"]) {
    await t.step(listen, async () => {
      await assertRefused(place, { listen }, new RegExp(`cannot listen on ${listen}: .*--listen`));
    });
  }
});

Deno.test("worker-server --log-dir: a link that leads out is refused, and nothing made there", async () => {
  await using place = await Place.make();
  const outside = join(place.folder, "outside");
  await Deno.mkdir(outside, { mode: 0o700 });
  await Deno.mkdir(place.logDir, { recursive: true, mode: 0o700 });
  const link = join(place.logDir, "link");
  await Deno.symlink(outside, link);
  for (const logDir of [link, join(link, "below"), join(link, "below", "it")]) {
    await assertRefused(
      place,
      { "log-dir": logDir },
      /is reached through a symbolic link; use the folder/,
    );
  }
  assert.deepEqual([...Deno.readDirSync(outside)], []);
});

Deno.test("worker-server --log-dir: a folder that others may change is refused", async (t) => {
  await using place = await Place.make();
  const inner = join(place.logDir, "inner");
  await Deno.mkdir(inner, { recursive: true, mode: 0o700 });
  const settings = { "log-dir": inner };
  for (const folder of [inner, place.logDir]) {
    const named = (problem: string) => new RegExp(`${problem} ${folder}; run`);
    for (const mode of [0o770, 0o702, 0o1777]) {
      await t.step(`${folder === inner ? "itself" : "above"} ${mode.toString(8)}`, async () => {
        await Deno.chmod(folder, mode);
        await assertRefused(place, settings, named("others may write to the log directory"));
        await Deno.chmod(folder, 0o700);
      });
    }
    await t.step(`${folder === inner ? "itself" : "above"} of another user`, async () => {
      await Deno.chown(folder, NOBODY_ID, 0);
      await assertRefused(place, settings, named("another user owns the log directory"));
      await Deno.chown(folder, 0, 0);
    });
  }
  await using server = new RunningServer({ args: place.args(settings) });
  await server.ready();
  assert.equal((await server.end()).code, 0);
});

Deno.test("worker-server: what an earlier one left open is closed, and what others may change is told", async () => {
  await using place = await Place.make();
  const database = join(place.logDir, "jobs.db");
  const settings: Settings = {
    key: join(place.folder, "server.key"),
    rules: join(place.folder, "r"),
  };
  await Deno.copyFile(place.settings["key"] ?? "", settings["key"] ?? "");
  await Deno.chmod(settings["key"] ?? "", 0o644);
  await Deno.writeTextFile(settings["rules"] ?? "", '{"rules":[]}');
  await Deno.chmod(settings["rules"] ?? "", 0o666);
  await Deno.mkdir(place.logDir, { recursive: true, mode: 0o755 });
  new DatabaseSync(database).exec(
    "CREATE TABLE early (a); PRAGMA user_version = 0; DROP TABLE early",
  );
  await Deno.chmod(database, 0o644);
  const doctor = await ended(SERVER, { args: ["doctor", ...place.args(settings)] });
  assert.match(
    doctor.stdout,
    new RegExp(`^warning  log directory +others can look into ${place.logDir}:`, "m"),
  );
  for (const problem of ["read or change the key", "change"]) {
    const line = new RegExp(
      `^warning  file permissions +others may ${problem} \\S+.*: run chmod`,
      "m",
    );
    assert.match(doctor.stdout, line);
  }
  assert.equal((Deno.statSync(place.logDir).mode ?? 0) & 0o777, 0o755, "doctor changes nothing");
  await using server = new RunningServer({ args: place.args(settings) });
  await server.ready();
  assert.equal((Deno.statSync(place.logDir).mode ?? 0) & 0o777, 0o700);
  for (const file of [database, `${database}-wal`]) {
    assert.equal((Deno.statSync(file).mode ?? 0) & 0o777, 0o600, file);
  }
  for (
    const line of [
      "others could look into the log directory; now only root can",
      "others could read the records of jobs; now only root can",
      `others may read or change the key ${settings["key"]}: run chmod 600`,
      `others may change ${settings["rules"]}, and with it who may do what here: run chmod go-w`,
    ]
  ) assert(server.log.includes(line), `${line}\n${server.log}`);
  assert.equal((await server.end()).code, 0);
});

Deno.test("worker-server doctor: looks at what the server's unit says, and leaves its groups alone", async () => {
  await using place = await Place.make();
  const file = join(place.folder, "server.env");
  await Deno.writeTextFile(file, `JOB_WORKER_LIMITS_DIR="${place.folder}"\n`);
  for (const limit of ["cpu", "memory", "disk_io"]) {
    await Deno.writeTextFile(join(place.folder, `${limit}_limit.txt`), "max\n");
  }
  const fake = join(place.folder, "systemctl");
  const shown = [
    "LoadState=loaded",
    `Environment=JOB_WORKER_CGROUP_PARENT=${place.group} JOB_WORKER_JOB_USER=nobody`,
    `EnvironmentFiles=${file} (ignore_errors=yes)`,
  ];
  await Deno.writeTextFile(fake, `#!/bin/sh\nprintf '%s\\n' '${shown.join("' '")}'\n`);
  await Deno.chmod(fake, 0o755);
  // In a namespace of mounts of its own, the host has this systemctl.
  const script = 'mount --bind "$0" "$(command -v systemctl)" && exec "$@"';
  const flags = ["ca", "cert", "key", "log-dir"]
    .flatMap((flag) => [`--${flag}`, place.settings[flag] ?? ""]);
  // The group of a server that runs.
  const [found = ""] = ["unified", "."].map((tree) => join("/sys/fs/cgroup", tree))
    .filter((tree) => Deno.readTextFileSync("/proc/self/mounts").includes(` ${tree} cgroup2 `))
    .map((tree) => join(tree, place.group));
  await Deno.mkdir(found);
  const args = ["-m", "sh", "-c", script, fake, SERVER, "doctor", ...flags];
  const { stdout } = await ended("unshare", { args });
  await Deno.remove(found);
  await place.assertNothingLeft();
  for (
    const line of [
      `settings +of the command line and the environment, then of job-worker.service, ${file}`,
      `control groups +cgroup \\S+, jobs below ${place.group}`,
      "job user +jobs run as nobody",
      `limit files +${place.folder}: no limits`,
    ]
  ) assert.match(stdout, new RegExp(`^ok +${line}$`, "m"), stdout);
});

Deno.test("worker-server --log-dir: a file in its place is named", async () => {
  await using place = await Place.make();
  await Deno.mkdir(LOG_DIR, { recursive: true, mode: 0o700 });
  await Deno.writeTextFile(place.logDir, "");
  const message = new RegExp(`the log directory ${place.logDir} is not a folder; move`);
  await assertRefused(place, {}, message);
  await assertRefused(place, { "log-dir": join(place.logDir, "below") }, message);
});

Deno.test("worker-server --shared-dir: a folder that is not there is not made, since no node would see it", async () => {
  await using place = await Place.make();
  await Deno.mkdir(LOG_DIR, { recursive: true, mode: 0o700 });
  const sharedFolder = join(place.logDir, "shared");
  await assertRefused(
    place,
    { engine: "slurm", "shared-dir": sharedFolder },
    new RegExp(`there is no shared folder ${sharedFolder}: mount the site's shared file system`),
  );
});

Deno.test("worker-server --log-dir: records that are none, or of a newer version, are named", async () => {
  await using place = await Place.make();
  await Deno.mkdir(place.logDir, { recursive: true, mode: 0o700 });
  const file = join(place.logDir, "jobs.db");
  await Deno.writeTextFile(file, "no database, but text of some length ".repeat(100), {
    mode: 0o600,
  });
  const refused = (why: string) =>
    new RegExp(`cannot open the records of jobs in ${file}: ${why};`);
  await assertRefused(place, {}, refused("file is not a database"));
  assert.match(await Deno.readTextFile(file), /^no database/, "the file was changed");
  await Deno.remove(file);
  const database = new DatabaseSync(file);
  database.exec("PRAGMA user_version = 1000000");
  database.close();
  await Deno.chmod(file, 0o600);
  await assertRefused(place, {}, refused("it was written by a newer version of worker-server"));
});

Deno.test("worker-server: a second one on the same log directory says so, and harms nothing", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("sleep", "600");
  await using place = await Place.make();
  const message = new RegExp(`another worker-server uses the log directory ${server.logDir}; stop`);
  await assertRefused(place, { "log-dir": server.logDir }, message);
  // Also where everything is the same, as when a unit is started twice.
  const { code, stderr } = await ended(SERVER, { args: server.args() });
  assert.equal(code, 1);
  assert.match(stderr, message);
  assert.equal((await client.query(id)).state, "JOB_STATE_RUNNING");
  await client.stop(id);
});

/** Runs a script as root in mounts of its own; `"$@"` is the server's command line. */
function inOwnMounts(script: string, place: Place): Promise<Ended> {
  const env = { PATH: Deno.env.get("PATH") ?? "" };
  const command = ["--mount", "/bin/sh", "-ec", `${script}\nexec "$@"`, "sh", SERVER];
  return ended("unshare", { args: [...command, ...place.args()], env });
}

async function mountsRefused(): Promise<string | undefined> {
  const { code } = await run("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"])
    .catch(() => ({ code: 1 }));
  return code === 0 ? undefined : "mounts of one's own cannot be made here";
}

const NO_MOUNTS = await mountsRefused();

const HOSTS: readonly (readonly [what: string, script: string, message: RegExp])[] = [
  [
    "control groups that cannot be written",
    "while read -r _ folder _; do case $folder in /sys/*) mount -o remount,ro,bind $folder;; esac; " +
    "done </proc/mounts",
    /cannot make the control group \/sys\/fs\/cgroup\/\S+: Read-only file system .*; run as root/,
  ],
  [
    "no control groups",
    "umount -R /sys/fs/cgroup",
    /no control groups are mounted below \/sys\/fs\/cgroup/,
  ],
  [
    "a log directory that cannot be written",
    `mount -t tmpfs -o ro,mode=700 none ${LOG_DIR}`,
    /cannot make the log directory \S+: Read-only file system/,
  ],
  [
    "a log directory without room",
    `mount -t tmpfs -o mode=700,nr_inodes=2 none ${LOG_DIR}`,
    /(cannot open the records of jobs in|cannot make the log directory) \S+: .*; /,
  ],
];
for (const [what, script, message] of HOSTS) {
  testUnless(NO_MOUNTS, {
    name: `worker-server: a host with ${what} is told in one line`,
    fn: async () => {
      await using place = await Place.make();
      await Deno.mkdir(LOG_DIR, { recursive: true, mode: 0o700 });
      assertRefusal(await inOwnMounts(script, place), 1, message);
      await place.assertNothingLeft();
    },
  });
}

async function isAlive(pid: number): Promise<boolean> {
  return await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
}

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test({
    name: `worker-server: ${signal} ends calls with UNAVAILABLE and itself with 0, and no job`,
    // grpc-js goes on trying for a while to reach a server that is gone.
    sanitizeOps: false,
    sanitizeResources: false,
    fn: async () => {
      await using server = await TestServer.start();
      const client = server.client();
      const quiet = await client.shell("trap '' TERM; echo ready; while :; do sleep 0.1; done");
      const busy = await client.shell("while :; do echo line; sleep 0.01; done");
      await client.untilOutput(quiet, /ready/);
      const { pid } = await client.query(quiet);
      const reader = server.client("bob");
      const calls = [
        client.output(quiet),
        client.output(busy),
        client.wait(quiet),
        reader.wait(busy),
        client.stop(quiet, 600_000),
      ];
      const refusals = calls.map((call) => assertStatus(call, status.UNAVAILABLE, /shutting down/));
      await until("the stop to be under way", async () => {
        return (await client.query(quiet)).state === "JOB_STATE_STOPPING";
      });
      // What is answered after a call on the same connection shows that the call has arrived.
      await reader.query(busy);
      const ending = server.end(signal);
      await Promise.all(refusals);
      const { code, signal: killedBy } = await ending;
      assert.deepEqual({ code, killedBy }, { code: 0, killedBy: null });
      assert.match(server.log, /"message":"stopped; running jobs go on"/);
      const { port } = server;
      await assert.rejects(
        Deno.connect({ hostname: "127.0.0.1", port }),
        Deno.errors.ConnectionRefused,
      );
      await assertStatus(client.query(quiet), status.UNAVAILABLE);
      assert(await isAlive(pid), "the job has ended with the server");
      await server.launch();
      const again = server.client();
      assert.equal((await again.query(busy)).state, "JOB_STATE_RUNNING");
      await Promise.all([again.stop(quiet, 0), again.stop(busy, 0)]);
      assert(!await isAlive(pid));
    },
  });
}

Deno.test({
  name: "worker-server: a Stop that is under way at SIGTERM is carried out and answered",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using server = await TestServer.start();
    const client = server.client();
    const gate = join(server.folder, "gate");
    const script = "trap '' TERM; echo ready; while [ ! -e \"$1\" ]; do sleep 0.01; done";
    const id = await client.shell(script, gate);
    await client.untilOutput(id, /ready/);
    const stopped = client.stop(id, 600_000);
    const waited = assertStatus(client.wait(id), status.UNAVAILABLE, /shutting down/);
    await until("the stop to be under way", async () => {
      return (await client.query(id)).state === "JOB_STATE_STOPPING";
    });
    const ending = server.end();
    await waited;
    await Deno.writeTextFile(gate, "");
    await stopped;
    assert.equal((await ending).code, 0);
  },
});

Deno.test({
  name:
    "worker-server: neither a reader that does not read nor a second signal keeps it from ending",
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using server = await TestServer.start();
    const client = server.client();
    const id = await client.start("head", "-c", "50000000", "/dev/zero");
    await client.wait(id);
    const stream = client.raw.Stream({ jobID: id });
    stream.on("error", () => {}); // It is not read: how it ends is not seen.
    await new Promise((resolve) => stream.once("metadata", resolve));
    const { pid } = server;
    const ending = server.end("SIGTERM");
    Deno.kill(pid, "SIGINT");
    assert.equal((await ending).code, 0);
    stream.cancel();
  },
});
