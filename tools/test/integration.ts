/** The integration tests: a build, certificates and keys for all, two files at a time, what is left. */
import { BIN_DIR, LOG_DIR } from "../../tests/support/binaries.ts";
import { makeKeys } from "../../tests/support/key_pool.ts";
import { makePki } from "../../tests/support/pki.ts";
import { join } from "node:path";
import { attackedBy, Attacks } from "./attacks.ts";
import { ROOT, runDeno } from "./deno.ts";
import { testFiles } from "./files.ts";
import { runGate } from "./gates.ts";
import { runInLanes } from "./lanes.ts";
import { findLeftovers } from "./leftovers.ts";
import type { Report } from "./report.ts";
import { addTests, PRELOAD } from "./suites.ts";

/** A file that runs longer than this hangs: it is ended and has failed. */
const FILE_TIMEOUT_MS = 15 * 60_000;

/** A single test that takes longer hangs. */
const TEST_TIMEOUT_MS = 10 * 60_000;

/** What a test ended may take a moment to vanish from the process table. */
const LEFTOVER_DEADLINE_MS = 5_000;

/** The folders of each suite that runs on binaries. */
const FOLDERS = {
  integration: ["tests/integration", "tests/fuzz"],
  cluster: ["tests/cluster"],
} as const;

/** A suite that runs on binaries. */
export type BinarySuite = keyof typeof FOLDERS;

/** Whether tests of a cluster also do what takes minutes: for themselves to read. */
const LONG_VARIABLE = "JOB_WORKER_TEST_LONG";

/** Files that measure shares of the processor, latencies or memory: what runs beside them would count. */
const ALONE: ReadonlySet<string> = new Set(
  ["abuse", "limits", "soak"].map((name) => `tests/integration/${name}_test.ts`),
);

/** By what was measured (`took` lines of a run): the others take less. */
const LONGEST_FIRST: readonly string[] = [
  "cluster/engine_failures",
  "cluster/engine",
  "cluster/conformance",
  "cluster/engine_sites",
  "cluster/node",
  "integration/documents",
  "integration/crash",
  "integration/slow_readers",
  "integration/tls",
  "integration/demo",
  "integration/server_command",
  "integration/resume",
  "integration/ui_page",
  "integration/renewal",
  "integration/certs",
  "integration/hand_over",
  "integration/bulk",
  "integration/package",
  "integration/streams",
  "integration/client_jobs",
  "integration/certs_revoke",
].map((name) => `tests/${name}_test.ts`);

/** Inputs for each fuzz target where attacks are all that is run: eight times the usual number. */
const ATTACK_FUZZ_RUNS = 4000;

/** What is run of the integration tests. */
export interface IntegrationOptions {
  /** A file, or a part of the tests' names. */
  readonly filter: string | undefined;
  /** Whether only attacks are run, the fuzzers for longer, and each is told in a line. */
  readonly onlyAttacks?: boolean;
  readonly suites: readonly BinarySuite[];
  /** Whether the longer forms of tests run. */
  readonly isLong?: boolean;
  /** What runs beside files that measure nothing, on what they leave of the processors. */
  readonly beside?: () => Promise<void>;
}

/** Runs the integration tests and the fuzzers against binaries that are built for them. */
export async function runIntegration(report: Report, options: IntegrationOptions): Promise<void> {
  const before = await findLeftovers({ binDir: BIN_DIR, logDir: LOG_DIR });
  const pki = await Deno.makeTempDir({ prefix: "job-worker-pki-" });
  const keys = await Deno.makeTempDir({ prefix: "job-worker-keys-" });
  try {
    const flags = ["--out", BIN_DIR, "--log-dir", LOG_DIR];
    const build = ["run", "--allow-all", "tools/build/main.ts", ...flags];
    await Promise.all([runGate(report, "binaries are built", build), makeKeys(keys)]);
    Deno.env.set("JOB_WORKER_TEST_KEYS", keys);
    await makePki(BIN_DIR, pki);
    const env = {
      JOB_WORKER_TEST_PKI: pki,
      JOB_WORKER_TEST_TIMEOUT_MS: String(TEST_TIMEOUT_MS),
      ...options.isLong ? { [LONG_VARIABLE]: "yes" } : {},
      ...options.onlyAttacks ? { JOB_WORKER_FUZZ_RUNS: String(ATTACK_FUZZ_RUNS) } : {},
    };
    await runFiles(report, options, env);
  } finally {
    Deno.env.delete("JOB_WORKER_TEST_KEYS");
    for (const folder of [pki, keys]) await Deno.remove(folder, { recursive: true });
  }
  await checkLeftovers(report, before);
  await removeLogDir();
}

async function runFiles(
  report: Report,
  { filter, onlyAttacks = false, suites, beside = () => Promise.resolve() }: IntegrationOptions,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const attacked = new Map<string, string>();
  const attacks = new Attacks();
  const every = (await Promise.all(suites.flatMap((suite) => FOLDERS[suite]).map(testFiles)))
    .flat();
  for (const file of every) {
    const what = attackedBy(await Deno.readTextFile(join(ROOT, file)));
    if (what !== undefined) attacked.set(file, what);
  }
  const all = onlyAttacks ? [...attacked.keys()] : every;
  const named = all.filter((file) => file.endsWith(`/${filter}_test.ts`));
  const files = named.length > 0 ? named : all;
  const byName = named.length > 0 || filter === undefined ? [] : [`--filter=${filter}`];
  const lanes = navigator.hardwareConcurrency;
  console.log(`\n== ${suites.join(" and ")} tests: ${files.length} files, ${lanes} at a time`);
  const options = { lanes, alone: ALONE, longestFirst: LONGEST_FIRST, beside };
  await runInLanes(files, options, async (file) => {
    const { ms, ...tests } = await runDeno(
      ["test", "--allow-all", "--no-check", PRELOAD, ...byName, file],
      { env, timeoutMs: FILE_TIMEOUT_MS },
    );
    console.log(`\n${tests.output.trimEnd()}`);
    addTests(report, file, tests);
    report.took({ name: file, ms });
    const what = attacked.get(file);
    if (what !== undefined) attacks.add({ file, attacked: what }, tests);
  });
  console.log(`\n== attacks\n${attacks.summary({ isShort: !onlyAttacks }).join("\n")}`);
}

/** Compares what of ours is on this host with what was there before the tests. */
async function checkLeftovers(report: Report, before: ReadonlySet<string>): Promise<void> {
  console.log("\n== leftovers");
  const deadlineMs = performance.now() + LEFTOVER_DEADLINE_MS;
  let left: string[];
  do {
    left = [...await findLeftovers({ binDir: BIN_DIR, logDir: LOG_DIR })]
      .filter((finding) => !before.has(finding));
    if (left.length > 0) await new Promise((wake) => setTimeout(wake, 100));
  } while (left.length > 0 && performance.now() < deadlineMs);
  for (const finding of left) console.log(`left behind: ${finding}`);
  report.settle("no control group, process or folder is left", left.length === 0);
}

/** Removes the log directory where the tests have left it empty; what is in it was reported. */
async function removeLogDir(): Promise<void> {
  const entries = await Array.fromAsync(Deno.readDir(LOG_DIR)).catch(() => undefined);
  if (entries?.length === 0) await Deno.remove(LOG_DIR);
}
