/** The library as the build hands it out: alone in a folder, on both runtimes, and its document. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { blocksOf } from "../support/document_commands.ts";
import { readDocument, ROOT } from "../support/documents.ts";
import { testUnless } from "../support/skip.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { inTime } from "../support/wait.ts";

const ENVIRONMENT = { NO_COLOR: "1" };

/** A folder with the module, its types and what else is given, and nothing of the repository. */
async function place(
  files: Readonly<Record<string, string>>,
): Promise<AsyncDisposable & { folder: string }> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-library-" });
  for (const name of ["worker-client.js", "worker-client.d.ts"]) {
    await Deno.copyFile(join(BIN_DIR, name), join(folder, name));
  }
  for (const [name, text] of Object.entries(files)) {
    await Deno.writeTextFile(join(folder, name), text);
  }
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** The document's blocks as one program, each in a scope of its own. */
async function documentProgram(): Promise<string> {
  const [first, ...others] = blocksOf(await readDocument("docs/library.md"))
    .filter(({ language }) => language === "ts");
  assert(first !== undefined && others.length > 8, "the document has lost its examples");
  const imports = ({ text }: { text: string }) => text.match(/^import .*\n/gm) ?? [];
  return [
    'import process from "node:process";\n',
    ...others.flatMap(imports),
    first.text,
    ...others.map(({ text }) => `{\n${text.replaceAll(/^import .*\n/gm, "")}}\n`),
    "client.close();\n",
  ].join("");
}

Deno.test("docs/library.md: what it shows is what the types allow, and does what it says", async () => {
  await using server = await TestServer.start();
  const program = (await documentProgram()).replaceAll("worker1:50051", server.address);
  const bundle = await Deno.readTextFile(server.pki.file("alice.pem"));
  await using home = await place({ "program.ts": program, "alice.pem": bundle });
  const cwd = home.folder;
  const checked = await run(Deno.execPath(), ["check", "--no-config", "program.ts"], {
    cwd,
    env: ENVIRONMENT,
  });
  assert.equal(checked.code, 0, checked.stderr);
  // The permissions that the document names, and no others.
  const flags = [
    "--no-config",
    "--no-prompt",
    `--allow-net=localhost,127.0.0.1:${server.port}`,
    "--allow-read=alice.pem",
  ];
  const { code, stdout, stderr } = await run(Deno.execPath(), ["run", ...flags, "program.ts"], {
    cwd,
    env: ENVIRONMENT,
  });
  assert.equal(code, 0, stderr);
  assertShown(stdout);
});

/** Asserts that the document's program has printed what it says. */
function assertShown(stdout: string): void {
  const expected = [
    /^localhost:\d+ alice \d{4}-/,
    /^true (running|exited) \d{4}-/,
    /^exited 3$/,
    /^true$/,
    /^\d+ bytes, the next one is \d+$/,
    /^line 2$/,
    /^line 3$/,
    /^1 done$/,
    /^job [0-9a-f-]{36}$/,
    /^3$/,
    /^[0-9a-f-]{36} alice (\d+|null)$/,
    /^\d+\.\d+\.\d+ \[ ["']writer["'] \]$/,
    /^NOT_FOUND No job /,
  ];
  const lines = stdout.split("\n");
  for (const pattern of expected) {
    const index = lines.findIndex((line) => pattern.test(line));
    assert.notEqual(index, -1, `nothing like ${pattern} in its place:\n${stdout}`);
    lines.splice(0, index + 1);
  }
}

/** What both runtimes are told to do. */
const PROGRAM = `
import { JobWorkerClient } from "./worker-client.js";
const [server, identity] = globalThis.Deno?.args ?? process.argv.slice(2);
const client = await JobWorkerClient.connect({ server, identity });
const { exitCode, output } = await client.run(["sh", "-c", "echo hello; exit 3"]);
console.log(exitCode, new TextDecoder().decode(output).trim());
const jobID = await client.start(["head", "-c", "20000000", "/dev/zero"]);
let length = 0;
for await (const chunk of client.stream(jobID)) length += chunk.length;
console.log(length);
console.log((await client.stats({ intervalMs: 10 })).length, (await client.info()).yourName);
await client.query("nobody-there").catch(({ code }) => console.log(code));
await client.wait(jobID, { signal: AbortSignal.abort("enough") }).catch((reason) => console.log(reason));
client.close();
`;
const PRINTED = "3 hello\n20000000\n0 alice\nNOT_FOUND\nenough\n";

Deno.test("library: the module is all that a program needs on Deno, and ends when it is closed", async () => {
  await using server = await TestServer.start();
  await using home = await place({ "program.js": PROGRAM });
  const args = [
    ...["run", "--no-config", "--no-prompt", "--allow-net", "--allow-read", "program.js"],
    ...[server.address, server.pki.file("alice.pem")],
  ];
  const { code, stdout, stderr } = await run(Deno.execPath(), args, {
    cwd: home.folder,
    env: ENVIRONMENT,
  });
  assert.deepEqual([code, stdout], [0, PRINTED], stderr);
});

Deno.test("library: without its permissions it says what it lacks", async () => {
  await using server = await TestServer.start();
  await using home = await place({ "program.js": PROGRAM });
  const cases: [string[], RegExp][] = [
    [["--allow-net"], /JobWorkerError: Cannot read .*alice\.pem: .*--allow-read/],
    [["--allow-read"], /JobWorkerError: Cannot connect to localhost/],
  ];
  for (const [flags, message] of cases) {
    const { code, stderr } = await run(
      Deno.execPath(),
      [
        "run",
        "--no-config",
        "--no-prompt",
        ...flags,
        "program.js",
        server.address,
        server.pki.file("alice.pem"),
      ],
      { cwd: home.folder, env: ENVIRONMENT },
    );
    assert.equal(code, 1);
    assert.match(stderr, message);
  }
});

async function nodeVersion(): Promise<number> {
  const found = await run("/bin/sh", ["-c", "node --version"]);
  return Number(/^v(\d+)/.exec(found.stdout)?.[1] ?? 0);
}

const NODE_MISSING = await nodeVersion() >= 20 ? undefined : "Node 20 or newer is not there";

testUnless(NODE_MISSING, {
  name: "docs/library.md: what it shows also runs on Node",
  async fn() {
    await using server = await TestServer.start();
    const program = (await documentProgram()).replaceAll("worker1:50051", server.address);
    const bundle = await Deno.readTextFile(server.pki.file("alice.pem"));
    await using home = await place({ "program.mjs": program, "alice.pem": bundle });
    const { code, stdout, stderr } = await run("node", ["program.mjs"], { cwd: home.folder });
    assert.equal(code, 0, stderr);
    assertShown(stdout);
  },
});

/** Finds the server and the identity without being told. */
const SEARCHING_PROGRAM = `
import { JobWorkerClient } from "./worker-client.js";
const client = JobWorkerClient.fromEnvironment();
console.log(client.server, (await client.info()).yourName);
client.close();
try {
  JobWorkerClient.fromEnvironment({ identity: "/nowhere" });
} catch ({ code, message }) {
  console.log(code, message);
}
`;

testUnless(NODE_MISSING, {
  name: "library: fromEnvironment finds variables, contexts and default places on Node",
  async fn() {
    await using server = await TestServer.start();
    const bundle = await Deno.readTextFile(server.pki.file("alice.pem"));
    await using home = await place({ "program.mjs": SEARCHING_PROGRAM, "only.pem": bundle });
    const settings = join(home.folder, "job-worker");
    await Deno.mkdir(settings);
    await Deno.rename(join(home.folder, "only.pem"), join(settings, "only.pem"));
    const expected = `${server.address} alice\n` +
      "IDENTITY Cannot read /nowhere: there is no such file. " +
      'Name the right one with the option "identity", or with the option "ca", ' +
      'the option "cert" and the option "key".\n';
    const searched = async (env: Record<string, string>) => {
      const withHome = { XDG_CONFIG_HOME: home.folder, ...env };
      const { stdout, stderr } = await run("node", ["program.mjs"], {
        cwd: home.folder,
        env: withHome,
      });
      assert.equal(stdout, expected, stderr);
    };
    await searched({ JOB_WORKER_SERVER: server.address });
    const contexts = { only: { server: server.address } };
    const config = JSON.stringify({ current: "only", contexts });
    await Deno.writeTextFile(join(settings, "config.json"), config);
    await searched({});
  },
});

testUnless(NODE_MISSING, {
  name: "library: the same module works on Node",
  async fn() {
    await using server = await TestServer.start();
    await using home = await place({ "program.mjs": PROGRAM });
    const args = ["program.mjs", server.address, server.pki.file("alice.pem")];
    const { code, stdout, stderr } = await run("node", args, { cwd: home.folder });
    assert.deepEqual([code, stdout], [0, PRINTED], stderr);
  },
});

Deno.test("library: its types refuse what makes no sense", async () => {
  const program = `
import { Gap, JobWorkerClient } from "./worker-client.js";
const client = JobWorkerClient.open({ identity: "x" });
// @ts-expect-error: a command is an array.
client.start("ls -la");
// @ts-expect-error: there is no such state.
client.list({ states: ["done"] });
// @ts-expect-error: there is no such option.
client.start(["ls"], { timeout: 5 });
// @ts-expect-error: a chunk may be a gap.
for await (const chunk of client.stream("x")) new TextDecoder().decode(chunk);
// @ts-expect-error: an exit code may be null.
const code: number = (await client.wait("x")).exitCode;
// @ts-expect-error: the constructor is private.
new JobWorkerClient();
export { code, Gap };
`;
  await using home = await place({ "program.ts": program });
  const options = { cwd: home.folder, env: ENVIRONMENT };
  const { code, stderr } = await run(
    Deno.execPath(),
    ["check", "--no-config", "program.ts"],
    options,
  );
  assert.equal(code, 0, stderr);
});

const EXAMPLE = join(ROOT, "examples", "fan_out.ts");

function fanOut(server: TestServer, ...args: string[]): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", "--allow-net", "--allow-read", "--allow-env", EXAMPLE, ...args],
    env: { ...ENVIRONMENT, ...server.cliEnvironment() },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
}

async function ended(
  child: Deno.ChildProcess,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const { code, stdout, stderr } = await inTime("the program to end", child.output());
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

Deno.test("examples/fan_out.ts: runs commands over servers, so many at a time", async () => {
  await using server = await TestServer.start();
  const file = join(server.folder, "commands.txt");
  await Deno.writeTextFile(file, "# all\n\necho one; echo more\nexit 3\n  echo two\n");
  const twice = ["--server", server.address, "--server", server.address];
  const all = await ended(fanOut(server, ...twice, "--parallel", "3", "--keep-going", file));
  assert.equal(all.code, 1, all.stderr);
  assert.deepEqual(all.stdout.split("\n").sort(), ["", "[1] more", "[1] one", "[3] two"]);
  assert.match(all.stderr, /^\[2\] failed: 3$/m);
  assert.match(all.stderr, /2 of 3 commands succeeded/);
  await Deno.writeTextFile(file, "true\n");
  assert.equal((await ended(fanOut(server, file))).code, 0);
});

Deno.test("examples/fan_out.ts: a failure and Ctrl-C stop what runs", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const file = join(server.folder, "commands.txt");
  const running = async () => (await client.list({ states: ["JOB_STATE_RUNNING"] })).jobs.length;
  await Deno.writeTextFile(file, "exec sleep 600\nsleep 0.5; exit 1\necho never\n");
  const failed = await ended(fanOut(server, file));
  assert.equal(failed.code, 1, failed.stderr);
  assert.match(failed.stderr, /^\[1\] stopped$/m);
  assert.doesNotMatch(failed.stdout, /never/);
  assert.equal(await running(), 0);
  await Deno.writeTextFile(file, "exec sleep 600\nexec sleep 600\n");
  const child = fanOut(server, file);
  await until("both jobs to run", async () => await running() === 2);
  child.kill("SIGINT");
  const interrupted = await ended(child);
  assert.deepEqual([interrupted.code, await running()], [1, 0], interrupted.stderr);
});

Deno.test("examples/fan_out.ts: reports usage errors", async () => {
  await using server = await TestServer.start();
  const file = join(server.folder, "commands.txt");
  await Deno.writeTextFile(file, "true\n");
  const cases: [string[], RegExp][] = [
    [[], /Name one file/],
    [["/nowhere"], /No such file/],
    [["--parallel", "0", file], /--parallel 0 is not valid: expected a whole number, 1 or more/],
    [["--identity", "/nowhere", file], /Cannot read \/nowhere/],
    [["--server", "a:b:c", file], /a:b:c/],
  ];
  for (const [args, message] of cases) {
    const { code, stderr } = await ended(fanOut(server, ...args));
    assert.equal(code, 2, stderr);
    assert.match(stderr, message);
  }
});
