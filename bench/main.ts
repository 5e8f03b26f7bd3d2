/**
 * Measures the compiled binaries beside what a user would use instead, prints a table and writes it
 * as JSON.
 *
 * Usage: deno task bench [NAME...] [--short] [--out FILE] [--readme]
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { benchmarks } from "./all.ts";
import { describeMachine, thisMachine } from "./machine.ts";
import { type Result, toResult, toSummary, toTable } from "./table.ts";
import { World } from "./world.ts";
import { BIN_DIR, LOG_DIR } from "../tests/support/binaries.ts";
import { runBuild } from "../tools/build/run.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "..");

/** The table's place in a document, between two comments. */
const PLACE = /(<!-- benchmarks -->\n)[^]*(<!-- \/benchmarks -->)/;

function report(line: string): void {
  console.error(`bench: ${line}`);
}

async function measure({ names, isShort }: Arguments): Promise<Result[]> {
  await using world = await World.open(report, isShort);
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

/** Puts a table into a document. @throws {Error} The document has no place for it. */
async function showIn(name: string, table: string): Promise<void> {
  const file = join(ROOT, name);
  const text = await Deno.readTextFile(file);
  if (!PLACE.test(text)) throw new Error(`there is no place for the table in ${file}`);
  await Deno.writeTextFile(
    file,
    text.replace(PLACE, (_, begin, end) => `${begin}\n${table}\n\n${end}`),
  );
  report(`shown in ${file}`);
}

interface Arguments {
  readonly names: string[];
  /** Whether each thing is measured once. */
  readonly isShort: boolean;
  readonly out: string;
  /** Whether README.md and docs/performance.md are to show the results. */
  readonly readme: boolean;
}

function readArguments(args: string[]): Arguments {
  const { values, positionals } = parseArgs({
    args,
    options: {
      out: { type: "string" },
      readme: { type: "boolean", default: false },
      short: { type: "boolean", default: false },
    },
    allowPositionals: true,
  });
  const known = benchmarks.map(({ name }) => name);
  const unknown = positionals.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`Cannot run the benchmark ${unknown}: there are ${known.join(", ")}`);
  }
  if (values.readme && (positionals.length > 0 || values.short)) {
    throw new Error("Cannot show a part of the table: leave out the names, and --short");
  }
  const out = resolve(values.out ?? join(ROOT, "build", "bench.json"));
  return { names: positionals, isShort: values.short, out, readme: values.readme };
}

try {
  const given = readArguments(Deno.args);
  const { out, readme } = given;
  await runBuild(BIN_DIR, { logDir: LOG_DIR });
  const machine = await thisMachine();
  const results = await measure(given);
  await Deno.writeTextFile(out, `${JSON.stringify({ machine, results }, null, 2)}\n`);
  const description = describeMachine(machine);
  const text = `${toTable(results)}\n\n${description}`;
  console.log(`\n${text}`);
  report(`written to ${out}`);
  if (readme) {
    await showIn("docs/performance.md", text);
    await showIn("README.md", `${toSummary(results)}\n\n${description}`);
  }
  // A connection of grpc-js may linger for a while.
  Deno.exit(0);
} catch (error) {
  report(error instanceof Error ? error.message : String(error));
  Deno.exit(1);
}
