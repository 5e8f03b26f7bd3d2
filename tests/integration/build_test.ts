import assert from "node:assert/strict";
import { join } from "node:path";
import { elfLength } from "../../tools/build/denort.ts";
import { BIN_DIR, LOG_DIR } from "../support/binaries.ts";

const BUILD = join(import.meta.dirname ?? ".", "..", "..", "tools", "build", "main.ts");
const BINARIES = ["worker-server", "worker-client", "worker-certs"] as const;

/** `deno compile` writes this mark, a length of 8 bytes, and JSON, behind the runtime. */
const MARK = "d3n0l4nd";

/** Permissions as a compiled binary holds them: null is none, an empty list is without bounds. */
interface Held {
  [name: string]: string[] | boolean | null;
}

async function permissionsIn(binary: string): Promise<Held> {
  using file = await Deno.open(join(BIN_DIR, binary));
  const start = new Uint8Array(64);
  await file.read(start);
  await file.seek(elfLength(start), Deno.SeekMode.Start);
  const head = new Uint8Array(16);
  await file.read(head);
  assert.equal(new TextDecoder().decode(head.subarray(0, 8)), MARK);
  const json = new Uint8Array(Number(new DataView(head.buffer).getBigUint64(8, true)));
  await file.read(json);
  return (JSON.parse(new TextDecoder().decode(json)) as { permissions: Held }).permissions;
}

const NOTHING: Held = {
  allow_run: null,
  deny_run: null,
  allow_read: null,
  deny_read: null,
  ignore_read: null,
  allow_write: null,
  deny_write: null,
  allow_net: null,
  deny_net: null,
  allow_env: null,
  deny_env: null,
  ignore_env: [],
  allow_sys: null,
  deny_sys: null,
  allow_ffi: null,
  deny_ffi: null,
  deny_import: [],
  prompt: false,
};

const EXPECTED: Readonly<Record<typeof BINARIES[number], Held>> = {
  "worker-server": {
    ...NOTHING,
    allow_run: ["/bin/sh"],
    allow_read: [],
    allow_write: ["/sys/fs/cgroup", LOG_DIR],
    allow_net: [],
    allow_env: ["JOURNAL_STREAM", "NOTIFY_SOCKET"],
  },
  "worker-client": {
    ...NOTHING,
    allow_read: [],
    allow_write: [],
    allow_net: [],
    allow_env: [
      "APPDATA",
      "HOME",
      "LANG",
      "LC_ALL",
      "LC_CTYPE",
      "NO_COLOR",
      "TERM",
      "USERPROFILE",
      "XDG_CONFIG_HOME",
    ],
  },
  "worker-certs": { ...NOTHING, allow_read: [], allow_write: [] },
};

for (const binary of BINARIES) {
  Deno.test(`permissions: ${binary} holds what is written here and nothing else`, async () => {
    const { allow_import: _bounded, allow_env: env, ...held } = await permissionsIn(binary);
    const { allow_env: named, ...expected } = EXPECTED[binary];
    assert.deepEqual(held, expected);
    assert.ok(env === null || Array.isArray(env) && env.length > 0, "every variable is named");
    const others = env?.filter((name) => !name.startsWith("JOB_WORKER_")) ?? [];
    assert.deepEqual(others.sort(), named ?? []);
  });
}

async function run(
  program: string,
  options: Deno.CommandOptions = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    stdin: "null",
    ...options,
  }).output();
  const text = new TextDecoder();
  return { code, stdout: text.decode(stdout), stderr: text.decode(stderr) };
}

for (const binary of BINARIES) {
  Deno.test(`${binary}: runs alone, in an empty folder, with an empty environment`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-build-" });
    try {
      const alone = join(folder, binary);
      await Deno.copyFile(join(BIN_DIR, binary), alone);
      for (const flag of ["--help", "--version"]) {
        const { code, stdout, stderr } = await run(alone, {
          args: [flag],
          cwd: folder,
          clearEnv: true,
        });
        assert.deepEqual({ flag, code, stderr }, { flag, code: 0, stderr: "" });
        assert.notEqual(stdout.trim(), "");
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

async function runBuild(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ code: number; stderr: string }> {
  const command = ["run", "--allow-all", BUILD, ...args];
  const { code, stderr } = await run(Deno.execPath(), { args: command, env });
  return { code, stderr };
}

Deno.test("build: what is unchanged is not made again", async () => {
  const before = await Deno.stat(join(BIN_DIR, "worker-server"));
  const { code, stderr } = await runBuild(["--out", BIN_DIR, "--log-dir", LOG_DIR]);
  assert.equal(code, 0, stderr);
  const current = BINARIES.map((binary) => `build: ${binary} is up to date`);
  assert.deepEqual(stderr.trim().split("\n"), current);
  const after = await Deno.stat(join(BIN_DIR, "worker-server"));
  assert.equal(after.mtime?.getTime(), before.mtime?.getTime());
});

Deno.test("build: the log directory can come from the environment, and the flag goes first", async () => {
  const env = { JOB_WORKER_BUILD_LOG_DIR: "relative" };
  const refused = await runBuild(["--out", BIN_DIR], env);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /log directory "relative": give an absolute path/);
  const taken = await runBuild(["--out", BIN_DIR, "--log-dir", LOG_DIR], env);
  assert.equal(taken.code, 0, taken.stderr);
});

const REFUSED: readonly (readonly [what: string, args: string[], env: Record<string, string>])[] = [
  ["an unknown flag", ["--debug"], {}],
  ["a shared log directory", ["--log-dir", "/var/log"], {}],
  ["a comma in the log directory", ["--log-dir", "/srv/jobs,/etc"], {}],
  ["a runtime that is not there", [], { DENORT_BIN: "/nonexistent/denort" }],
  ["an unknown target", ["--target", "riscv64gc-unknown-linux-gnu"], {}],
  [
    "a runtime for another system",
    ["--target", "x86_64-pc-windows-msvc"],
    { DENORT_BIN: join(BIN_DIR, "worker-client") },
  ],
];
for (const [what, args, env] of REFUSED) {
  Deno.test(`build: ${what} stops it with one line and nothing is made`, async () => {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-build-" });
    try {
      const out = join(folder, "bin");
      const { code, stderr } = await runBuild(["--out", out, ...args], env);
      assert.equal(code, 1);
      assert.match(stderr, /^build: [^\n]+\n$/);
      const made = await Array.fromAsync(Deno.readDir(out)).catch(() => []);
      assert.deepEqual(made, []);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("code cache: no binary keeps code where everyone may put some", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-build-" });
  try {
    for (const binary of BINARIES) {
      for (const _ of ["writes a cache", "reads it"]) {
        const { code } = await run(join(BIN_DIR, binary), {
          args: ["--version"],
          env: { TMPDIR: folder },
        });
        assert.equal(code, 0);
      }
    }
    assert.deepEqual(await Array.fromAsync(Deno.readDir(folder)), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
