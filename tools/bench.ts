/**
 * Measures the compiled binaries beside what a user would use instead, prints a table and writes it
 * as JSON.
 *
 * Usage: deno task bench [NAME...] [--out FILE]
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { benchmarks } from "../bench/all.ts";
import { describeMachine, thisMachine } from "../bench/machine.ts";
import { type Result, toResult, toTable } from "../bench/table.ts";
import { World } from "../bench/world.ts";
import { BIN_DIR, LOG_DIR } from "../tests/binaries.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "..");

function report(line: string): void {
  console.error(`bench: ${line}`);
}

async function build(): Promise<void> {
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", join(ROOT, "tools/build.ts"), "--out", BIN_DIR, "--log-dir", LOG_DIR],
    stdin: "null",
    stdout: "inherit",
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("the binaries could not be built; see above");
}

async function measure(names: readonly string[]): Promise<Result[]> {
  await using world = await World.open(report);
  const results: Result[] = [];
  for (const benchmark of benchmarks) {
    if (names.length > 0 && !names.includes(benchmark.name)) continue;
    report(`${benchmark.name}: ${benchmark.measures}`);
    const begin = performance.now();
    const rows = await benchmark.run(world);
    results.push(...rows.map((row) => toResult(benchmark.name, row)));
    report(`${benchmark.name}: done in ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  }
  return results;
}

function readArguments(args: string[]): { names: string[]; out: string } {
  const { values, positionals } = parseArgs({
    args,
    options: { out: { type: "string" } },
    allowPositionals: true,
  });
  const known = benchmarks.map(({ name }) => name);
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`Cannot run the benchmark ${unknown}: there are ${known.join(", ")}`);
  }
  return { names: positionals, out: resolve(values.out ?? join(ROOT, "build", "bench.json")) };
}

try {
  const { names, out } = readArguments(Deno.args);
  await build();
  const machine = await thisMachine();
  const results = await measure(names);
  await Deno.writeTextFile(out, `${JSON.stringify({ machine, results }, null, 2)}\n`);
  console.log(`\n${toTable(results)}\n\n${describeMachine(machine)}`);
  report(`written to ${out}`);
  // A connection of grpc-js may linger for a while.
  Deno.exit(0);
} catch (error) {
  report(error instanceof Error ? error.message : String(error));
  Deno.exit(1);
}
