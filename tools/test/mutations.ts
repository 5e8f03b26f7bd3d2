/**
 * Breaks the code in small ways, one at a time in a copy of the repository, and runs the unit tests
 * that must notice. A mutation that they survive counts as a failed test.
 */
import { dirname, join } from "node:path";
import type { Mutation } from "../../tests/mutations/mutation.ts";
import { runProgram } from "../run_program.ts";
import { ROOT, runDeno } from "./deno.ts";
import { runQueue } from "./lanes.ts";
import type { Report } from "./report.ts";
import { PRELOAD, UNIT_PERMISSIONS } from "./suites.ts";

const FOLDER = "tests/mutations";

/** A broken program may wait for ever: that, too, is noticed. */
const TEST_TIMEOUT_MS = 10_000;
const RUN_TIMEOUT_MS = 60_000;

/** A run mostly waits: for its files, and for what a mutation has broken. */
const RUNS_PER_PROCESSOR = 4;

/** Not copied, since no mutation is in them; what is generated and installed is linked. */
const LINKED = ["build", "node_modules"];
const LEFT_OUT = [...LINKED, ".git", "bin"];

/** Runs the mutations whose name or file has the filter in it. */
export async function runMutations(report: Report, filter: string | undefined): Promise<void> {
  const mutations = (await readMutations())
    .filter(({ name, file }) => filter === undefined || `${file}: ${name}`.includes(filter));
  console.log(`\n== mutations: ${mutations.length}`);
  const beganMs = performance.now();
  await Deno.mkdir(join(ROOT, "build"), { recursive: true });
  const work = await Deno.makeTempDir({ dir: join(ROOT, "build"), prefix: "mutations-" });
  try {
    const copies: string[] = [];
    const survivors: Mutation[] = [];
    const settle = (mutation: Mutation, isNoticed: boolean) =>
      report.settle(`mutation ${mutation.file}: ${mutation.name}`, isNoticed);
    const isNoticed = async (mutation: Mutation) => {
      const copy = copies.pop() ?? await copyRepository(work);
      const noticed = await isKilled(copy, mutation);
      copies.push(copy);
      return noticed;
    };
    await runQueue(
      mutations,
      RUNS_PER_PROCESSOR * navigator.hardwareConcurrency,
      async (mutation) => {
        if (await isNoticed(mutation)) settle(mutation, true);
        else survivors.push(mutation);
      },
    );
    // Beside other tests a busy machine may keep apart what a test has happen at once: a survivor has to be one twice.
    await runQueue(survivors, 1, async (mutation) => settle(mutation, await isNoticed(mutation)));
  } finally {
    await Deno.remove(work, { recursive: true });
  }
  report.took({ name: "mutations", ms: performance.now() - beganMs });
}

async function readMutations(): Promise<Mutation[]> {
  const entries = await Array.fromAsync(Deno.readDir(join(ROOT, FOLDER)));
  const names = entries.map(({ name }) => name).filter((name) => name !== "mutation.ts").sort();
  const modules = await Promise.all(
    names.map((name) =>
      import(join(ROOT, FOLDER, name)) as Promise<{ MUTATIONS: readonly Mutation[] }>
    ),
  );
  return modules.flatMap(({ MUTATIONS }) => MUTATIONS);
}

async function copyRepository(work: string): Promise<string> {
  const copy = await Deno.makeTempDir({ dir: work });
  const entries = await Array.fromAsync(Deno.readDir(ROOT));
  const copied = entries.map(({ name }) => name).filter((name) => !LEFT_OUT.includes(name));
  await runProgram("cp", ["-a", ...copied, copy], { cwd: ROOT });
  for (const name of LINKED) await Deno.symlink(join(ROOT, name), join(copy, name));
  return copy;
}

/** Whether a test fails over the mutation. What is said of it is printed where none does. */
async function isKilled(copy: string, { file, from, to, tests }: Mutation): Promise<boolean> {
  const path = join(copy, file);
  const source = await Deno.readTextFile(path);
  const parts = source.split(from);
  if (parts.length !== 2) {
    console.log(`${file} has ${parts.length - 1} times, instead of once: ${from}`);
    return false;
  }
  await Deno.writeTextFile(path, parts.join(to));
  try {
    const files = tests.map((name) => `tests/unit/${name}_test.ts`);
    const { output, succeeded, timedOut } = await runDeno(
      ["test", "--no-check", "--fail-fast", ...UNIT_PERMISSIONS, PRELOAD, ...files],
      {
        cwd: copy,
        env: {
          JOB_WORKER_TEST_TIMEOUT_MS: String(TEST_TIMEOUT_MS),
          // A test that fails may leave a folder: it goes with the copy.
          TMPDIR: dirname(copy),
        },
        timeoutMs: RUN_TIMEOUT_MS,
        isPatient: true,
      },
    );
    // A file that cannot be loaded fails as well, and says nothing of the tests.
    const isFailed = timedOut || !succeeded && /^FAILED \| .*\b[1-9]\d* failed/m.test(output);
    if (!isFailed) console.log(output.trimEnd().slice(-2000));
    return isFailed;
  } finally {
    await Deno.writeTextFile(path, source);
  }
}
