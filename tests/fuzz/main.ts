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
import { BIN_DIR, LOG_DIR } from "../support/binaries.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

const { values } = parseArgs({
  options: {
    runs: { type: "string", default: "20000" },
    seed: { type: "string", default: String(Math.floor(Math.random() * 2 ** 31)) },
    filter: { type: "string" },
  },
});

async function deno(args: string[], env: Record<string, string> = {}): Promise<boolean> {
  const child = new Deno.Command(Deno.execPath(), { args, cwd: ROOT, env, stdin: "null" }).spawn();
  return (await child.status).success;
}

console.log(`fuzz: ${values.runs} inputs for each target, seed ${values.seed}`);
const isBuilt = await deno([
  ...["run", "--allow-all", "tools/build/main.ts", "--out", BIN_DIR, "--log-dir", LOG_DIR],
]);
const filter = values.filter === undefined ? [] : [`--filter=${values.filter}`];
const isFine = isBuilt && await deno(
  ["test", "--allow-all", "--no-check", ...filter, "tests/fuzz"],
  { JOB_WORKER_FUZZ_RUNS: values.runs, JOB_WORKER_FUZZ_SEED: values.seed },
);
process.exitCode = isFine ? 0 : 1;
