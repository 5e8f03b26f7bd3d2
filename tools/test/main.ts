/**
 * Runs what CI runs: the static gates, the unit tests, the mutations, a build, the integration tests
 * against its binaries, a look at what they left behind, and the tests in guests with kernels of
 * their own. Beside the integration tests, those run that need a Slurm cluster.
 *
 * Usage: deno task test [unit|mutations|integration|cluster|vm] [--long] [FILTER]
 *        deno task check
 *        deno task attack [FILTER]
 *
 * FILTER is a file of tests without its folder and `_test.ts`, or a part of the tests' names. `check`
 * is what needs neither root nor a build: gates, unit tests and mutations. `attack` is those of the
 * integration tests and fuzzers whose file says what it attacks, with more inputs, and says of each
 * whether it held.
 *
 * The last line is `N passed, N failed, N skipped`; the exit status is 0 when nothing failed.
 * Imports nothing that has to be installed first: the first gate is what installs it.
 */
import process from "node:process";
import { runGate } from "./gates.ts";
import { runIntegration } from "./integration.ts";
import { runMutations } from "./mutations.ts";
import { installPrograms } from "./programs.ts";
import { Report } from "./report.ts";
import { runGuests, runUnit } from "./suites.ts";

const SUITES = ["check", "unit", "mutations", "integration", "cluster", "attack", "vm"] as const;
type Suite = typeof SUITES[number];

const BINARY_SUITES = ["integration", "cluster"] as const;

/** Tests of a cluster then do what takes minutes, too. */
const LONG_FLAG = "--long";

const report = new Report();

async function runStaticGates(): Promise<void> {
  await runGate(report, "code is formatted", ["fmt", "--check"]);
  await runGate(report, "code is linted", ["lint", "--quiet"]);
  await runGate(report, "types are checked", ["check", "--quiet", "."]);
}

async function runAll(
  only: Suite | undefined,
  { filter, isLong }: { filter: string | undefined; isLong: boolean },
): Promise<void> {
  const includes = (...suites: Suite[]) => only === undefined || suites.includes(only);
  await runGate(report, "the lock fits deno.json", ["install", "--quiet", "--frozen"]);
  await runGate(report, "code is generated", ["run", "--allow-all", "tools/build/gen.ts"]);
  if (includes("check")) await runStaticGates();
  if (includes("check", "unit")) await runUnit(report, filter);
  if (includes("check", "mutations")) await runMutations(report, filter);
  const suites = BINARY_SUITES.filter((suite) => includes(suite, "attack"));
  if (suites.length > 0) {
    await installPrograms();
    await runIntegration(report, { filter, suites, isLong, onlyAttacks: only === "attack" });
  }
  if (includes("vm")) await runGuests(report, filter);
}

async function main(args: readonly string[]): Promise<void> {
  // `deno task attack -- FILTER` hands on the two dashes.
  const [suite, filter, ...more] = args.filter((arg) => arg !== "--" && arg !== LONG_FLAG);
  const only = SUITES.find((name) => name === suite);
  if (more.length > 0 || (suite !== undefined && only === undefined)) {
    console.error(`usage: deno task test [${SUITES.join("|")}] [FILTER]`);
    Deno.exit(2);
  }
  try {
    await runAll(only, { filter, isLong: args.includes(LONG_FLAG) });
  } catch (error) {
    console.error(error);
    report.settle("the test run itself", false);
  }
  report.print(performance.now());
  process.exitCode = report.isGood ? 0 : 1;
}

await main(Deno.args);
