/**
 * Runs what CI runs: the static gates, the unit tests, a build, the integration tests against its
 * binaries, a look at what they left behind, and the tests in a guest with a kernel of its own.
 *
 * Usage: deno task test [unit|integration|vm] [FILTER]
 *
 * The last line is `N passed, N failed, N skipped`; the exit status is 0 when nothing failed.
 * Imports nothing that has to be installed first: the first gate is what installs it.
 */
import { resolve } from "node:path";
import process from "node:process";
import { BIN_DIR, LOG_DIR } from "../../tests/support/binaries.ts";
import { makePki } from "../../tests/support/pki.ts";
import { findLeftovers } from "./leftovers.ts";
import {
  type Duration,
  FileTimer,
  readDurations,
  readSkips,
  readTally,
  readTotal,
  readUnexplained,
  slowest,
  type Tally,
  tookLine,
} from "./output.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "..");

/** Debian packages that tests call, by a program of theirs or a file that is there with them. */
const PACKAGES: Readonly<Record<string, string>> = {
  chromium: "chromium",
  fish: "fish",
  ip: "iproute2",
  jq: "jq",
  openssl: "openssl",
  zsh: "zsh",
  // A client in another language.
  protoc: "protobuf-compiler",
  "/usr/share/grpc-proto/grpc/health/v1/health.proto": "grpc-proto",
  "/usr/lib/python3/dist-packages/google/protobuf/__init__.py": "python3-protobuf",
  "/usr/lib/python3/dist-packages/grpc/__init__.py": "python3-grpcio",
};

/** A suite that runs longer than this hangs: it is ended and counts as failed. */
const SUITE_TIMEOUT_MS = 55 * 60_000;

/** How many of the slowest files, guests and gates are named at the end. */
const SHOWN_DURATIONS = 10;

/** What a test ended may take a moment to vanish from the process table. */
const LEFTOVER_DEADLINE_MS = 5_000;

/** Unit tests need no network, so they get none. */
const UNIT_PERMISSIONS = ["read", "write", "env", "run", "sys"].map((name) => `--allow-${name}`);

const SUITES = ["unit", "integration", "vm"] as const;
type Suite = typeof SUITES[number];

const total = { passed: 0, failed: 0, skipped: 0 };
const failures: string[] = [];
const skips: string[] = [];
const durations: Duration[] = [];

function settle(name: string, passed: boolean): void {
  if (passed) {
    total.passed++;
  } else {
    total.failed++;
    failures.push(name);
  }
  console.log(`${name} ... ${passed ? "ok" : "FAILED"}`);
}

/** Runs a command of Deno that passes or fails as a whole: it counts as one test. */
async function runGate(name: string, args: string[]): Promise<void> {
  console.log(`\n== ${name}: deno ${args.join(" ")}`);
  const beganMs = performance.now();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).spawn();
  settle(name, (await child.status).success);
  took({ name, ms: performance.now() - beganMs });
}

/** Notes and prints how long a part of the run took. */
function took(duration: Duration): void {
  durations.push(duration);
  console.log(tookLine(duration));
}

/** Runs a command of Deno and shows what it prints as it comes. */
async function runShown(
  args: string[],
  env: Record<string, string> = {},
): Promise<{ output: string; succeeded: boolean; files: readonly Duration[] }> {
  const timer = new FileTimer();
  const child = new Deno.Command(Deno.execPath(), {
    args,
    cwd: ROOT,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    signal: AbortSignal.timeout(SUITE_TIMEOUT_MS),
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const chunk of child.stdout) {
    process.stdout.write(chunk);
    const text = decoder.decode(chunk, { stream: true });
    timer.add(text);
    output += text;
  }
  return { output, succeeded: (await child.status).success, files: timer.durations };
}

/** Adds what tests came to, and notes why some were skipped. */
function settleAll(name: string, tally: Tally, output: string): void {
  total.passed += tally.passed;
  total.failed += tally.failed;
  total.skipped += tally.skipped;
  if (tally.failed > 0) failures.push(`${name} tests (${tally.failed} failed, see above)`);
  skips.push(...readSkips(output));
}

async function runSuite(
  name: string,
  args: string[],
  env: Record<string, string> = {},
): Promise<void> {
  console.log(`\n== ${name} tests`);
  const { output, succeeded, files } = await runShown(["test", ...args], env);
  for (const file of files) took(file);
  settleAll(name, readTally(output, succeeded), output);
  const unexplained = readUnexplained(output);
  if (unexplained.length > 0) settle(`reasons for ignoring ${unexplained.join(", ")}`, false);
}

/** Runs the tests in a guest; their runner says at the end what they came to. */
async function runGuest(filters: string[]): Promise<void> {
  console.log("\n== guest tests");
  const { output, succeeded } = await runShown([
    "run",
    "--allow-all",
    "tools/vm/main.ts",
    ...filters,
  ]);
  durations.push(...readDurations(output));
  settleAll("guest", readTotal(output, succeeded), output);
}

/** Compares what of ours is on this host with what was there before the tests. */
async function checkLeftovers(before: ReadonlySet<string>): Promise<void> {
  console.log("\n== leftovers");
  const deadlineMs = performance.now() + LEFTOVER_DEADLINE_MS;
  let left: string[];
  do {
    left = [...await findLeftovers({ binDir: BIN_DIR, logDir: LOG_DIR })]
      .filter((finding) => !before.has(finding));
    if (left.length > 0) await new Promise((wake) => setTimeout(wake, 100));
  } while (left.length > 0 && performance.now() < deadlineMs);
  for (const finding of left) console.log(`left behind: ${finding}`);
  settle("no control group, process or folder is left", left.length === 0);
}

/** Removes the log directory where the tests have left it empty; what is in it was reported. */
async function removeLogDir(): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(LOG_DIR)).catch(() => undefined);
  if (entries?.length === 0) await Deno.remove(LOG_DIR);
}

/** Installs what tests call, where that can be done; elsewhere those tests say that they skip. */
async function installPrograms(): Promise<void> {
  const missing = [];
  for (const [program, name] of Object.entries(PACKAGES)) {
    if (!await isInstalled(program)) missing.push(name);
  }
  if (missing.length === 0 || Deno.uid() !== 0 || !await isInstalled("apt-get")) return;
  console.log(`\n== installing ${missing.join(", ")}`);
  for (const args of [["update"], ["install", "--yes", "--no-install-recommends", ...missing]]) {
    await new Deno.Command("apt-get", {
      args: ["-qq", ...args],
      env: { DEBIAN_FRONTEND: "noninteractive" },
      stdin: "null",
      stdout: "null",
      stderr: "inherit",
    }).output();
  }
}

/** Whether there is a program of this name, or a file of this path. */
async function isInstalled(program: string): Promise<boolean> {
  if (program.startsWith("/")) {
    return await Deno.stat(program).then(() => true, () => false);
  }
  for (const folder of (Deno.env.get("PATH") ?? "").split(":")) {
    const info = await Deno.stat(`${folder}/${program}`).catch(() => undefined);
    if (info?.isFile) return true;
  }
  return false;
}

async function prepare(): Promise<void> {
  await runGate("the lock fits deno.json", ["install", "--quiet", "--frozen"]);
  await runGate("code is generated", ["run", "--allow-all", "tools/build/gen.ts"]);
}

async function runIntegration(filter: string[]): Promise<void> {
  const flags = ["--out", BIN_DIR, "--log-dir", LOG_DIR];
  await runGate("binaries are built", ["run", "--allow-all", "tools/build/main.ts", ...flags]);
  const before = await findLeftovers({ binDir: BIN_DIR, logDir: LOG_DIR });
  const folders = ["tests/integration", "tests/fuzz"];
  const pki = await Deno.makeTempDir({ prefix: "job-worker-pki-" });
  try {
    await makePki(BIN_DIR, pki);
    const args = ["--allow-all", "--no-check", ...filter, ...folders];
    await runSuite("integration", args, { JOB_WORKER_TEST_PKI: pki });
  } finally {
    await Deno.remove(pki, { recursive: true });
  }
  await checkLeftovers(before);
  await removeLogDir();
}

async function main(args: string[]): Promise<void> {
  const [suite, ...filters] = args;
  const only = SUITES.find((name) => name === suite);
  if (filters.length > 1 || (suite !== undefined && only === undefined)) {
    console.error(`usage: deno task test [${SUITES.join("|")}] [FILTER]`);
    Deno.exit(2);
  }
  try {
    await runAll(only, filters);
  } catch (error) {
    console.error(error);
    settle("the test run itself", false);
  }
  console.log(`\nthe ${SHOWN_DURATIONS} slowest parts of ${durations.length}:`);
  for (const duration of slowest(durations, SHOWN_DURATIONS)) console.log(tookLine(duration));
  console.log(tookLine({ name: "the whole run", ms: performance.now() }));
  for (const line of skips) console.log(line);
  for (const name of failures) console.log(`FAILED ${name}`);
  console.log(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`);
  process.exitCode = total.failed === 0 ? 0 : 1;
}

async function runAll(only: Suite | undefined, filters: string[]): Promise<void> {
  const filter = filters.map((text) => `--filter=${text}`);
  await prepare();
  if (only === undefined) {
    await runGate("code is formatted", ["fmt", "--check"]);
    await runGate("code is linted", ["lint", "--quiet"]);
    await runGate("types are checked", ["check", "--quiet", "."]);
  }
  if (only === undefined || only === "unit") {
    await runSuite("unit", [...UNIT_PERMISSIONS, ...filter, "tests/unit"]);
  }
  if (only === undefined || only === "integration") {
    await installPrograms();
    await runIntegration(filter);
  }
  if (only === undefined || only === "vm") await runGuest(filters);
}

await main(Deno.args);
