/**
 * Holds the compiled binaries under load, draws what the server uses over time, and fails where it
 * grows, or where a client loses a byte or a call.
 *
 * Usage: deno task soak [--minutes N] [--memory-limit SIZE] [--out FILE.svg]
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseBytes } from "../common/quantities.ts";
import { draw } from "./picture.ts";
import { soak } from "./run.ts";
import { findGrowth } from "./verdict.ts";
import { BIN_DIR, LOG_DIR } from "../tests/support/binaries.ts";
import { runBuild } from "../tools/build/run.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "..");

function readArguments(args: string[]): { minutes: number; limitBytes: number; out: string } {
  const { values } = parseArgs({
    args,
    options: {
      "minutes": { type: "string", default: "30" },
      "memory-limit": { type: "string", default: "256M" },
      "out": { type: "string", default: join(ROOT, "build", "soak.svg") },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`Cannot soak for "${values.minutes}": give minutes above 0`);
  return { minutes, limitBytes: parseBytes(values["memory-limit"]), out: resolve(values.out) };
}

try {
  const { minutes, limitBytes, out } = readArguments(Deno.args);
  await runBuild(BIN_DIR, LOG_DIR);
  const { samples, handOvers, rounds } = await soak({ durationMs: minutes * 60_000, limitBytes });
  await Deno.writeTextFile(out, draw(samples));
  console.log(
    `soak: ${rounds} rounds of calls and ${handOvers} hand-overs, nothing lost; drawn in ${out}`,
  );
  const growth = findGrowth(samples, limitBytes);
  for (const line of growth) console.error(`soak: ${line}`);
  // A connection of grpc-js may linger for a while.
  Deno.exit(growth.length === 0 ? 0 : 1);
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`);
  Deno.exit(1);
}
