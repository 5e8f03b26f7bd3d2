/** The tests of a cluster that break nothing, on one that is there already, as the user who runs this. */
import { testFiles } from "./files.ts";
import { runDeno } from "./deno.ts";
import type { Report } from "./report.ts";
import { clearRunFolder, makeRunFolder, siteProblem } from "./site_folder.ts";
import { addTests, PRELOAD } from "./suites.ts";

/** Jobs may wait for their turn among those of others. */
const DEADLINE_MS = 5 * 60_000;
const TEST_TIMEOUT_MS = 15 * 60_000;
const FILE_TIMEOUT_MS = 60 * 60_000;

/** A cluster. */
export interface TestedSite {
  /** A folder on the share, with the same path on each node; the run makes one of its own in it. */
  readonly folder: string;
  /** slurm.conf; empty: Slurm's default. */
  readonly confFile: string;
  /** Where jobs go; empty: the default one. */
  readonly partition: string;
}

/** What ends a run early, as Ctrl-C does. */
const ENDING_SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Runs them one file after the other; what needs a cluster of its own says that it is skipped. At the end, also an
 * early one, what is left of their jobs is cancelled, and their folder is removed.
 */
export async function runSite(
  report: Report,
  site: TestedSite,
  filter: string | undefined,
): Promise<void> {
  console.log(`\n== tests on a cluster that is there, in ${site.folder}`);
  const problem = await siteProblem(site);
  if (problem !== undefined) {
    console.error(problem);
    return report.settle("the cluster can be tested", false);
  }
  const folder = await makeRunFolder(site);
  const ending = new AbortController();
  const end = () => ending.abort();
  for (const signal of ENDING_SIGNALS) Deno.addSignalListener(signal, end);
  try {
    await runFiles(report, { ...site, folder }, { filter, signal: ending.signal });
  } finally {
    await clear(report, { ...site, folder });
    for (const signal of ENDING_SIGNALS) Deno.removeSignalListener(signal, end);
  }
}

async function runFiles(
  report: Report,
  { folder, confFile, partition }: TestedSite,
  { filter, signal }: { readonly filter: string | undefined; readonly signal: AbortSignal },
): Promise<void> {
  const env = {
    JOB_WORKER_TEST_SITE: folder,
    JOB_WORKER_TEST_SITE_CONF: confFile,
    JOB_WORKER_TEST_SITE_PARTITION: partition,
    JOB_WORKER_TEST_DEADLINE_MS: String(DEADLINE_MS),
    JOB_WORKER_TEST_TIMEOUT_MS: String(TEST_TIMEOUT_MS),
  };
  const byName = filter === undefined ? [] : [`--filter=${filter}`];
  for (const file of await testFiles("tests/cluster")) {
    const { ms, ...tests } = await runDeno(
      ["test", "--allow-all", "--no-check", PRELOAD, ...byName, file],
      { env, isShown: true, timeoutMs: FILE_TIMEOUT_MS, signal },
    );
    if (signal.aborted) return report.settle("the tests run to their end", false);
    addTests(report, file, tests);
    report.took({ name: file, ms });
  }
}

async function clear(report: Report, { folder, confFile }: TestedSite): Promise<void> {
  try {
    const count = await clearRunFolder(folder, confFile);
    if (count > 0) console.log(`${count} jobs were left on the cluster: they are cancelled`);
    report.settle("nothing is left on the cluster", true);
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    report.settle(`nothing is left on the cluster: see ${folder}`, false);
  }
}
