/**
 * Tries inputs by the hundred thousand on all that parses.
 *
 * Usage: deno task fuzz [--runs N] [--seed N] [--filter TEXT]
 *
 * The same targets run in the tests, with few inputs. A finding prints the seed that brings it back.
 */
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import process from "node:process";
import { runBuild } from "../../tools/build/run.ts";
import { BIN_DIR, LOG_DIR } from "../support/binaries.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "20000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    filter: { type: "string" },
  },
});

console.log(`fuzz: ${values.runs} inputs for each target, seed ${values.seed}`);
await runBuild(BIN_DIR, { logDir: LOG_DIR });
const filter = values.filter === undefined ? [] : [`--filter=${values.filter}`];
const { success } = await new Deno.Command(Deno.execPath(), {
  args: ["test", "--allow-all", "--no-check", ...filter, "tests/fuzz"],
  cwd: ROOT,
  env: { JOB_WORKER_FUZZ_RUNS: values.runs, JOB_WORKER_FUZZ_SEED: values.seed },
  stdin: "null",
}).spawn().status;
process.exitCode = success ? 0 : 1;
