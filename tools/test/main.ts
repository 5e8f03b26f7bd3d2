/**
 * Runs what CI runs: the static gates, the unit tests, a build, the integration tests against its
 * binaries, a look at what they left behind, and the tests in guests with kernels of their own.
 * Beside the integration tests, those run that need a Slurm cluster, and the mutations: those compute,
 * where integration tests mostly wait, and give way to them.
 *
 * Usage: deno task test [unit|mutations|integration|cluster|vm] [--long] [FILTER]
 *        deno task test cluster --site FOLDER [--conf FILE] [--partition NAME] [FILTER]
 *        deno task check
 *        deno task attack [FILTER]
 *
 * FILTER is a file of tests without its folder and `_test.ts`, or a part of the tests' names. `check`
 * is what needs neither root nor a build: gates, unit tests and mutations. `attack` is those of the
 * integration tests and fuzzers whose file says what it attacks, with more inputs, and says of each
 * whether it held. `--site` tests a Slurm cluster that is there, instead of ones that are made for it:
 * FOLDER is on its share, FILE its slurm.conf.
 *
 * The last line is `N passed, N failed, N skipped`; the exit status is 0 when nothing failed.
 * Imports nothing that has to be installed first: the first gate is what installs it.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { runGate } from "./gates.ts";
import { runIntegration } from "./integration.ts";
import { runMutations } from "./mutations.ts";
import { installPrograms } from "./programs.ts";
import { Report } from "./report.ts";
import { runSite, type TestedSite } from "./site.ts";
import { runGuests, runUnit } from "./suites.ts";

const SUITES = ["check", "unit", "mutations", "integration", "cluster", "attack", "vm"] as const;
type Suite = typeof SUITES[number];

const BINARY_SUITES = ["integration", "cluster"] as const;

const USAGE = `usage: deno task test [${SUITES.join("|")}] [--long] [FILTER]
       deno task test cluster --site FOLDER [--conf FILE] [--partition NAME] [FILTER]`;

const HELP = `${USAGE}

FILTER is a file of tests without its folder and _test.ts, or a part of the tests' names.
--long: tests of clusters also do what takes minutes.

--site tests a Slurm cluster that is there. As the user who calls it, it runs some 60 short jobs,
which use one core each and little memory, one or two at a time; it stops no part of the cluster and
changes no configuration. FOLDER is on the share, with the same path on each node; in it, the run
makes a folder of its own. At its end, also after Ctrl-C, it cancels what is left of its jobs and
removes that folder. It takes some minutes where jobs begin at once; one that has waited for 5
minutes fails its test. Nodes need ps. FILE is slurm.conf unless Slurm's default, NAME the partition
unless the default one.`;

const report = new Report();

/** Formatting and linting take a second or two; types are checked beside what is given. */
async function runStaticGates(beside: () => Promise<void>): Promise<void> {
  await runGate(report, "code is formatted", ["fmt", "--check"]);
  await runGate(report, "code is linted", ["lint", "--quiet"]);
  await Promise.all([runGate(report, "types are checked", ["check", "--quiet", "."]), beside()]);
}

async function runAll(
  only: Suite | undefined,
  { filter, isLong, site }: {
    filter: string | undefined;
    /** Tests of a cluster then do what takes minutes, too. */
    isLong: boolean;
    site: TestedSite | undefined;
  },
): Promise<void> {
  const includes = (...suites: Suite[]) => only === undefined || suites.includes(only);
  await runGate(report, "the lock fits deno.json", ["install", "--quiet", "--frozen"]);
  await runGate(report, "code is generated", ["run", "--allow-all", "tools/build/gen.ts"]);
  if (site !== undefined) return await runSite(report, site, filter);
  if (includes("check")) await runStaticGates(() => runUnit(report, filter));
  else if (includes("unit")) await runUnit(report, filter);
  const isWhole = only === undefined;
  if (!isWhole && includes("check", "mutations")) await runMutations(report, filter);
  const suites = BINARY_SUITES.filter((suite) => includes(suite, "attack"));
  if (suites.length > 0) {
    await installPrograms();
    await runIntegration(report, {
      filter,
      suites,
      isLong,
      onlyAttacks: only === "attack",
      ...isWhole ? { beside: () => runMutations(report, filter) } : {},
    });
  }
  if (includes("vm")) await runGuests(report, filter);
}

function readArguments(args: readonly string[]) {
  try {
    const { values, positionals } = parseArgs({
      // `deno task attack -- FILTER` hands on the two dashes.
      args: args.filter((arg) => arg !== "--"),
      allowPositionals: true,
      options: {
        help: { type: "boolean", short: "h", default: false },
        long: { type: "boolean", default: false },
        site: { type: "string" },
        conf: { type: "string", default: "" },
        partition: { type: "string", default: "" },
      },
    });
    if (values.help) {
      console.log(HELP);
      Deno.exit(0);
    }
    const { long: isLong, site: folder, conf: confFile, partition } = values;
    const [name, filter, ...more] = positionals;
    const suite = SUITES.find((one) => one === name);
    if (more.length > 0) throw new Error(`too many words: ${more.join(" ")}`);
    if (name !== undefined && suite === undefined) throw new Error(`there is no suite ${name}`);
    if (folder === undefined && confFile + partition !== "") {
      throw new Error("--conf and --partition are for --site FOLDER");
    }
    if (folder === undefined) return { suite, filter, isLong, site: undefined };
    if (suite !== "cluster") throw new Error("--site is for the suite cluster");
    return { suite, filter, isLong, site: { folder, confFile, partition } };
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : error}\n${USAGE}`);
    Deno.exit(2);
  }
}

async function main(args: readonly string[]): Promise<void> {
  const { suite, filter, site, isLong } = readArguments(args);
  try {
    await runAll(suite, { filter, isLong, site });
  } catch (error) {
    console.error(error);
    report.settle("the test run itself", false);
  }
  report.print(performance.now());
  process.exitCode = report.isGood ? 0 : 1;
}

await main(Deno.args);
