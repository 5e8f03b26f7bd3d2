/** The tests of a cluster that break nothing, on one that is there already, as the user who runs this. */
import { testFiles } from "./files.ts";
import { runDeno } from "./deno.ts";
import type { Report } from "./report.ts";
import { addTests, PRELOAD } from "./suites.ts";

/** Jobs may wait for their turn among those of others. */
const DEADLINE_MS = 5 * 60_000;
const TEST_TIMEOUT_MS = 15 * 60_000;
const FILE_TIMEOUT_MS = 60 * 60_000;

/** A cluster. */
export interface TestedSite {
  /** A folder on the share, with the same path on each node. */
  readonly folder: string;
  /** slurm.conf; empty: Slurm's default. */
  readonly confFile: string;
  /** Where jobs go; empty: the default one. */
  readonly partition: string;
}

/** Runs them one file after the other; what needs a cluster of its own says that it is skipped. */
export async function runSite(
  report: Report,
  { folder, confFile, partition }: TestedSite,
  filter: string | undefined,
): Promise<void> {
  console.log(`\n== tests on a cluster that is there, in ${folder}`);
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
      { env, isShown: true, timeoutMs: FILE_TIMEOUT_MS },
    );
    addTests(report, file, tests);
    report.took({ name: file, ms });
  }
}
