import assert from "node:assert/strict";
import { CommanderError } from "commander";
import { LOG_DIR, VERSION } from "../../lib/server/build_info.ts";
import { readConfig, type ServerConfig } from "../../lib/server/config.ts";

/** The environment variables of a test, taken back after it; those of the caller are hidden. */
function environment(variables: Readonly<Record<string, string>>): Disposable {
  const before = Object.entries(Deno.env.toObject())
    .filter(([name]) => name.startsWith("JOB_WORKER_"));
  for (const [name] of before) Deno.env.delete(name);
  for (const [name, value] of Object.entries(variables)) Deno.env.set(name, value);
  return {
    [Symbol.dispose]() {
      for (const name of Object.keys(variables)) Deno.env.delete(name);
      for (const [name, value] of before) Deno.env.set(name, value);
    },
  };
}

/** What reading a command line prints and gives. */
function read(args: readonly string[], variables: Readonly<Record<string, string>> = {}) {
  using _environment = environment(variables);
  let out = "";
  let err = "";
  try {
    const { verb, config } = readConfig(args, {
      writeOut: (text) => out += text,
      writeErr: (text) => err += text,
    });
    return { verb, config, out, err };
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    return { exitCode: error.exitCode, out, err };
  }
}

function configOf(
  args: readonly string[],
  variables: Readonly<Record<string, string>> = {},
): ServerConfig {
  const { config, err } = read(args, variables);
  assert.ok(config !== undefined, err);
  return config;
}

/** One line on standard error that begins with the program's name. */
function assertRefused(
  args: readonly string[],
  message: RegExp,
  variables: Readonly<Record<string, string>> = {},
): void {
  const { exitCode, out, err } = read(args, variables);
  assert.equal(exitCode, 1, `${args.join(" ")} is accepted`);
  assert.equal(out, "");
  assert.match(err, /^worker-server: [^\n]+\n$/);
  assert.match(err, message);
}

Deno.test("readConfig: what the unit says goes before defaults, and after the rest", () => {
  const unit = {
    JOB_WORKER_LISTEN: "1.1.1.1:1",
    JOB_WORKER_MAX_JOBS: "7",
    JOB_WORKER_CGROUP_PARENT: "a/b",
    OTHER: "x",
  };
  using _environment = environment({ JOB_WORKER_MAX_JOBS: "8" });
  const { config } = readConfig(["doctor", "--cgroup-parent", "c"], {}, unit);
  assert.deepEqual([config.listen, config.maxJobs, config.cgroupParent], ["1.1.1.1:1", 8, "c"]);
  let err = "";
  const writeErr = (text: string) => err += text;
  assert.throws(() => readConfig(["doctor"], { writeErr }, { JOB_WORKER_MAX_JOBS: "many" }));
  assert.match(err, /^worker-server: JOB_WORKER_MAX_JOBS of the unit is "many": [^\n]+\n$/);
});

const KIB = 1024;
const MIB = 1024 ** 2;

/** Each setting: its flag, its default, and texts of other values. */
interface Setting {
  readonly flag: string;
  readonly name: keyof ServerConfig;
  readonly fallback: string | number | undefined;
  readonly accepted: Readonly<Record<string, ServerConfig[keyof ServerConfig]>>;
  readonly refused: readonly string[];
  /** What is said of a refused value. */
  readonly expected?: RegExp;
}

const NOT_COUNTS = ["", "-1", "1.5", "1e3", "0x10", " 1", "1 ", "many", "9007199254740992"];

function bound(flag: string, name: keyof ServerConfig, fallback: number): Setting {
  return {
    flag,
    name,
    fallback,
    accepted: { "1": 1, "9007199254740991": Number.MAX_SAFE_INTEGER, "max": Infinity },
    refused: [...NOT_COUNTS, "0", "Max", "Infinity", "unlimited"],
    expected: /Expected a whole number, 1 or more, or "max" for no bound\./,
  };
}

function file(flag: string, name: keyof ServerConfig, fallback: string): Setting {
  return { flag, name, fallback, accepted: { "/a b": "/a b", "x": "x" }, refused: [] };
}

const SETTINGS: readonly Setting[] = [
  {
    flag: "listen",
    name: "listen",
    fallback: "127.0.0.1:50051",
    accepted: {
      "0.0.0.0:1": "0.0.0.0:1",
      "[::]:65535": "[::]:65535",
      "[::ffff:10.0.0.7]:0": "[::ffff:10.0.0.7]:0",
      "host.example.com:50051": "host.example.com:50051",
    },
    refused: [
      "",
      "50051",
      ":50051",
      "host",
      "host:",
      "host:65536",
      "host:-1",
      "::1:50051",
      "a b:1",
    ],
    expected: /Expected HOST:PORT, such as 0\.0\.0\.0:50051 or \[::\]:50051\./,
  },
  file("ca", "ca", "/etc/job-worker/ca.crt"),
  file("cert", "cert", "/etc/job-worker/server.crt"),
  file("key", "key", "/etc/job-worker/server.key"),
  file("crl", "crl", "/etc/job-worker/ca.crl"),
  file("limits-dir", "limitsDir", "/etc/job-worker/limits"),
  {
    flag: "log-dir",
    name: "logDir",
    fallback: LOG_DIR,
    accepted: {
      [LOG_DIR]: LOG_DIR,
      [`${LOG_DIR}/a/b`]: `${LOG_DIR}/a/b`,
      [`${LOG_DIR}/..a`]: `${LOG_DIR}/..a`,
    },
    refused: [
      "",
      "logs",
      "/",
      "/var/log",
      `${LOG_DIR}/..`,
      `${LOG_DIR}/../x`,
      `${LOG_DIR}x`,
      "/tmp",
    ],
    expected: /This binary may write to \S+ and below only; another place is chosen when it is/,
  },
  {
    flag: "grace-period",
    name: "gracePeriodMs",
    fallback: 10_000,
    accepted: { "0": 0, "500ms": 500, "1.5": 1500, "2m": 120_000, "1h": 3_600_000 },
    refused: ["", "-1s", "10 s", "s", "1w", "Infinity", "61m", "3600001ms"],
    expected: /Expected (a duration such as 500ms, 10s, 2m, 1h or 7d|at most 1h)\./,
  },
  bound("max-processes", "maxProcesses", 4096),
  bound("max-jobs", "maxJobs", 4000),
  bound("max-jobs-per-user", "maxJobsPerUser", 2000),
  bound("max-waiting-jobs", "maxWaitingJobs", 10_000),
  bound("max-waiting-jobs-per-user", "maxWaitingJobsPerUser", 5000),
  bound("max-connections", "maxConnections", 10_000),
  bound("max-connections-per-user", "maxConnectionsPerUser", 2000),
  bound("max-handshakes", "maxHandshakes", 2000),
  {
    flag: "max-streams",
    name: "maxStreams",
    fallback: 2000,
    accepted: { "1": 1, "1000000": 1_000_000 },
    refused: [...NOT_COUNTS, "0", "1000001", "max"],
    expected: /Expected 1 to 1000000\./,
  },
  bound("max-open-calls", "maxOpenCalls", 5000),
  bound("max-call-rate", "maxCallRate", 5000),
  ...([["max-output", "maxOutputBytes"], ["audit-size", "auditSizeBytes"]] as const).map((
    [flag, name],
  ): Setting => ({
    flag,
    name,
    fallback: 256 * MIB,
    accepted: { "64K": 64 * KIB, "65536": 65_536, "1G": 1024 * MIB, "max": Infinity },
    refused: ["", "0", "65535", "63K", "-1", "64KB", "1.5M", "Max"],
    expected: /Expected (64K or more, or max|bytes such as 64M or 10G)\./,
  })),
  {
    flag: "retain-age",
    name: "retainAgeMs",
    fallback: 30 * 86_400_000,
    accepted: { "0": 0, "1d": 86_400_000, "90": 90_000, "10000d": 864_000_000_000 },
    refused: ["", "-1d", "max", "1 d", "1y"],
    expected: /Expected a duration such as/,
  },
  {
    flag: "retain-count",
    name: "retainCount",
    fallback: 100_000,
    accepted: { "0": 0, "7": 7 },
    refused: [...NOT_COUNTS, "max"],
    expected: /Expected a whole number, 0 or more\./,
  },
  {
    flag: "retain-bytes",
    name: "retainBytes",
    fallback: 50 * 1024 * MIB,
    accepted: { "0": 0, "10 MiB": 10 * MIB, "1T": 1024 ** 4 },
    refused: ["", "-1", "max", "1.5G", "9007199254740992", "1P"],
    expected: /Expected bytes such as 64M or 10G\./,
  },
  {
    flag: "memory-limit",
    name: "memoryLimitBytes",
    fallback: 1024 * MIB,
    accepted: { "64M": 64 * MIB, "0": Infinity, "max": Infinity, "2G": 2048 * MIB },
    refused: ["", "1", "63M", "67108863", "-1"],
    expected: /Expected (64M or more, or max|bytes such as 64M or 10G)\./,
  },
  {
    flag: "job-user",
    name: "jobUser",
    fallback: "root",
    accepted: { "nobody": "nobody", "job_worker-1": "job_worker-1" },
    refused: ["", "-x", "a b", "a:b", "../x", "1000"],
    expected: /Expected the name of a user of this host, such as nobody\./,
  },
  {
    flag: "owner-uids",
    name: "ownerUids",
    fallback: undefined,
    accepted: {
      "": undefined,
      "700000-765535": { first: 700_000, last: 765_535 },
      "65536-65536": { first: 65_536, last: 65_536 },
      "65536-4294967294": { first: 65_536, last: 4_294_967_294 },
    },
    refused: ["0-70000", "65535-70000", "700000", "700001-700000", "65536-4294967295", "a-b", "-"],
    expected: /Expected a range of uids from 65536 on/,
  },
  file("rules", "rules", ""),
  {
    flag: "metrics-listen",
    name: "metricsListen",
    fallback: "",
    accepted: { "": "", "127.0.0.1:9464": "127.0.0.1:9464" },
    refused: ["9464", "host:", "host:65536"],
    expected: /Expected HOST:PORT/,
  },
  {
    flag: "cgroup-parent",
    name: "cgroupParent",
    fallback: "job-worker",
    accepted: {
      "system.slice/job-worker.service": "system.slice/job-worker.service",
      "a@b:c-d_e": "a@b:c-d_e",
    },
    refused: ["", "/", "/a", "a/", "a//b", "..", "a/../b", "cgroup.procs", "a b", ".a", "a.slices"],
    expected: /Expected a group such as job-worker or system\.slice\/job-worker\.service\./,
  },
  {
    flag: "engine",
    name: "engine",
    fallback: "local",
    accepted: { local: "local" },
    refused: ["", "k8s", "Slurm"],
    expected: /Allowed choices are local, slurm/,
  },
  {
    flag: "shared-dir",
    name: "sharedDir",
    fallback: "",
    accepted: { "": "" },
    refused: ["/srv/share", "share", `${LOG_DIR}/../share`],
    expected: /This binary may write to .* and below only/,
  },
  {
    flag: "slurm-conf",
    name: "slurmConf",
    fallback: "",
    accepted: { "": "" },
    refused: [],
    expected: /nothing is refused/,
  },
  {
    flag: "user-map",
    name: "userMap",
    fallback: "",
    accepted: { "": "" },
    refused: [],
    expected: /nothing is refused/,
  },
  {
    flag: "role-oid",
    name: "roleOid",
    fallback: "1.2.840.10070.8.1",
    accepted: { "1.3.6.1.4.1.99999.1": "1.3.6.1.4.1.99999.1" },
    refused: ["", "1.2", "1.2.x", "2.5.29.37", "1.3.6.1.5.5.7.1.1", "3.1.1", "1.40.1"],
    expected: /Expected an OID such as 1\.2\.840\.10070\.8\.1, outside 2\.5\.29 and/,
  },
];

function variableOf(flag: string): string {
  return `JOB_WORKER_${flag.toUpperCase().replaceAll("-", "_")}`;
}

Deno.test("readConfig: the table of settings is complete, and so are the defaults", () => {
  const defaults = Object.fromEntries(SETTINGS.map(({ name, fallback }) => [name, fallback]));
  assert.deepEqual(read([]), { verb: "serve", config: defaults, out: "", err: "" });
});

for (const { flag, name, accepted, refused, expected = /^$/ } of SETTINGS) {
  Deno.test(`readConfig: --${flag} and its environment variable accept the same values`, () => {
    for (const [text, value] of Object.entries(accepted)) {
      assert.deepEqual(configOf([`--${flag}`, text])[name], value, text);
      assert.deepEqual(configOf([], { [variableOf(flag)]: text })[name], value, text);
    }
  });

  Deno.test(`readConfig: --${flag} goes before its environment variable`, () => {
    const [[first = "", value] = [], [other = ""] = []] = Object.entries(accepted);
    assert.deepEqual(configOf([`--${flag}`, first], { [variableOf(flag)]: other })[name], value);
  });

  if (refused.length === 0) continue;
  Deno.test(`readConfig: --${flag} and its environment variable refuse the same values`, () => {
    for (const text of refused) {
      assertRefused([`--${flag}=${text}`], expected);
      assertRefused(
        [`--${flag}=${text}`],
        new RegExp(`option '--${flag} <.*' argument '${RegExp.escape(text)}' is invalid`),
      );
      assertRefused([], expected, { [variableOf(flag)]: text });
      assertRefused(
        [],
        new RegExp(`value '${RegExp.escape(text)}' from env '${variableOf(flag)}' is invalid`),
        {
          [variableOf(flag)]: text,
        },
      );
    }
  });
}

Deno.test("readConfig: a setting changes no other", () => {
  for (const { flag, name, accepted } of SETTINGS) {
    const [[text = "", value] = []] = Object.entries(accepted);
    assert.deepEqual(configOf([`--${flag}`, text]), { ...configOf([]), [name]: value }, flag);
  }
});

Deno.test("readConfig: of a flag that is given twice the last one counts", () => {
  assert.equal(configOf(["--max-jobs", "1", "--max-jobs=2"]).maxJobs, 2);
});

Deno.test("readConfig: a wrong environment variable does not matter where the flag is given", () => {
  const variables = { JOB_WORKER_MAX_JOBS: "many" };
  assert.throws(() => configOf([], variables));
  assert.equal(configOf(["--max-jobs", "3"], variables).maxJobs, 3);
});

Deno.test("readConfig: doctor takes the same settings, before and after it", () => {
  for (const args of [["doctor", "--max-jobs", "3"], ["--max-jobs", "3", "doctor"]]) {
    const { verb, config } = read(args);
    assert.deepEqual([verb, config?.maxJobs], ["doctor", 3]);
  }
});

const WRONG_USE: readonly (readonly [args: string[], message: RegExp])[] = [
  [["--max-job", "1"], /unknown option '--max-job'/],
  [["-x"], /unknown option '-x'/],
  [["--no-rules"], /unknown option '--no-rules'/],
  [["--listen"], /option '--listen <host:port>' argument missing/],
  [["doctors"], /value 'doctors' is invalid for argument 'verb'\. Allowed choices are doctor\./],
  [["serve"], /value 'serve' is invalid/],
  [["doctor", "doctor"], /too many arguments/],
  [["doctor", "--max-jobs", "0"], /Expected a whole number, 1 or more/],
];

for (const [args, message] of WRONG_USE) {
  Deno.test(`readConfig: refuses ${args.join(" ")}`, () => {
    const { exitCode, out, err } = read(args);
    assert.equal(exitCode, 1);
    assert.equal(out, "");
    assert.match(err, /^worker-server: /);
    assert.match(err, message);
  });
}

Deno.test("readConfig: help and version are printed, and are not errors", () => {
  const help = read(["--help"]);
  assert.deepEqual([help.exitCode, help.err], [0, ""]);
  assert.match(help.out, /^Usage: worker-server \[options\] \[verb\]\n/);
  const text = help.out.replaceAll(/\s+/g, " ");
  for (const { flag } of SETTINGS) {
    assert.ok(text.includes(`--${flag} <`), flag);
    assert.ok(text.includes(`env: ${variableOf(flag)})`), flag);
  }
  assert.match(help.out, /Exit status: 0 after SIGTERM or SIGINT/);
  assert.deepEqual(read(["--version"]), { exitCode: 0, out: `${VERSION}\n`, err: "" });
});

Deno.test("readConfig: a cluster needs a shared folder, and runs jobs as the server's own user", () => {
  const sharedDir = `${LOG_DIR}/shared`;
  const slurm = ["--engine", "slurm"];
  const { engine, sharedDir: folder, slurmConf } = configOf(
    [...slurm, "--slurm-conf", "/etc/slurm.conf"],
    { JOB_WORKER_SHARED_DIR: sharedDir },
  );
  assert.deepEqual([engine, folder, slurmConf], ["slurm", sharedDir, "/etc/slurm.conf"]);
  assertRefused(slurm, /needs --shared-dir, a folder that all nodes have/);
  assertRefused(["--shared-dir", sharedDir], /give that too, or leave them out/);
  const shared = ["--shared-dir", sharedDir];
  assertRefused([...slurm, ...shared, "--job-user", "nobody"], /run as the server's own user/);
  assertRefused(
    [...slurm, ...shared, "--owner-uids", "700000-765535"],
    /run as the server's own user/,
  );
  const userMap = ["--user-map", "/etc/job-worker/users"];
  assert.equal(configOf([...slurm, ...shared, ...userMap]).userMap, "/etc/job-worker/users");
  assertRefused(userMap, /--user-map is for --engine slurm/);
});
