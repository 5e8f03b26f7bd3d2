/**
 * Holds the compiled binaries under load, draws what the server uses over time, and fails where it
 * grows, or where a client loses a byte or a call. Or kills them by the thousand, and accounts for
 * every id, exit status and byte.
 *
 * Usage: deno task soak [--minutes N] [--memory-limit SIZE] [--out FILE.svg]
 *        deno task soak --kills N [--storms N] [--seed N]
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { parseBytes } from "../common/quantities.ts";
import { soakKills } from "./kills.ts";
import { draw } from "./picture.ts";
import { soak } from "./run.ts";
import { describeDamage } from "./storm/storm.ts";
import { findGrowth } from "./verdict.ts";
import { BIN_DIR, LOG_DIR } from "../tests/support/binaries.ts";
import { runBuild } from "../tools/build/run.ts";

const ROOT = resolve(import.meta.dirname ?? ".", "..");

interface Arguments {
  readonly minutes: number;
  readonly limitBytes: number;
  readonly out: string;
  /** How many processes to kill; undefined for a soak over time. */
  readonly kills: number | undefined;
  /** Storms beside each other, each over a server of its own. */
  readonly storms: number;
  readonly seed: number;
}

function readArguments(args: string[]): Arguments {
  const { values } = parseArgs({
    // `deno task soak -- --kills N` hands on the two dashes.
    args: args[0] === "--" ? args.slice(1) : args,
    options: {
      "minutes": { type: "string", default: "30" },
      "memory-limit": { type: "string", default: "256M" },
      "out": { type: "string", default: join(ROOT, "build", "soak.svg") },
      "kills": { type: "string" },
      "storms": { type: "string", default: "2" },
      "seed": { type: "string", default: `${Math.floor(Math.random() * 2 ** 32)}` },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`Cannot soak for "${values.minutes}": give minutes above 0`);
  const kills = values.kills === undefined ? undefined : readCount("kills", values.kills, 1);
  const storms = readCount("storms", values.storms, 1);
  const seed = readCount("seed", values.seed, 0);
  const limitBytes = parseBytes(values["memory-limit"]);
  return { minutes, limitBytes, out: resolve(values.out), kills, storms, seed };
}

function readCount(option: string, text: string, least: number): number {
  const count = Number(text);
  if (text !== "" && Number.isSafeInteger(count) && count >= least) return count;
  throw new Error(`Cannot read --${option} ${text}: give a whole number from ${least}`);
}

/** Holds the server under load; returns what has grown, a line each. */
async function soakOverTime({ minutes, limitBytes, out }: Arguments): Promise<string[]> {
  const { samples, handOvers, rounds } = await soak({ durationMs: minutes * 60_000, limitBytes });
  await Deno.writeTextFile(out, draw(samples));
  console.log(
    `soak: ${rounds} rounds of calls and ${handOvers} hand-overs, nothing lost; drawn in ${out}`,
  );
  return findGrowth(samples, limitBytes);
}

try {
  const options = readArguments(Deno.args);
  await runBuild(BIN_DIR, { logDir: LOG_DIR });
  const { kills, storms, seed } = options;
  let growth: string[] = [];
  if (kills === undefined) {
    growth = await soakOverTime(options);
  } else {
    console.log(`soak: ${kills} kills, seed ${seed}`);
    const damage = await soakKills({ kills, storms, seed }, (line) => console.log(`soak: ${line}`));
    console.log(`soak: ${describeDamage(damage)}; nothing lost`);
  }
  for (const line of growth) console.error(`soak: ${line}`);
  // A connection of grpc-js may linger for a while.
  Deno.exit(growth.length === 0 ? 0 : 1);
} catch (error) {
  console.error(`soak: ${error instanceof Error ? error.message : String(error)}`);
  Deno.exit(1);
}
