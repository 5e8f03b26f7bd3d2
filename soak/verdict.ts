/** Whether a server stayed level under load. */
import type { Sample } from "./sample.ts";

const MIB_BYTES = 1024 ** 2;

/** What is judged, and how much more than before is still level: this and a quarter. */
const TOLERANCES = { descriptors: 32, threads: 4, queryMs: 100 } as const;

/**
 * With fewer samples, a second apart, the time of a query says more of the machine than of the server:
 * other work on it can halve its speed for as long as a third of them takes.
 */
const MIN_SAMPLES_OF_TIME = 180;

/** A server may be past its limit by what comes within a second and what is in flight. */
const MEMORY_TOLERANCE_BYTES = 64 * MIB_BYTES;

/**
 * Compares the last third of the samples with the middle one, by their medians; the first third
 * warms up. Memory is held to its limit, which is what makes it level.
 *
 * @param limitBytes The memory limit that the server was given.
 * @returns What has grown, one line each; nothing where all is level.
 */
export function findGrowth(samples: readonly Sample[], limitBytes: number): string[] {
  const third = Math.floor(samples.length / 3);
  if (third === 0) return ["there are fewer than three samples: let it run for longer"];
  const middle = samples.slice(third, 2 * third);
  const last = samples.slice(2 * third);
  const found: string[] = [];
  for (const name of ["descriptors", "threads", "queryMs"] as const) {
    if (name === "queryMs" && samples.length < MIN_SAMPLES_OF_TIME) continue;
    const [before, after] = [median(middle, name), median(last, name)];
    if (after <= before * 1.25 + TOLERANCES[name]) continue;
    found.push(`${name} grew from ${Math.round(before)} to ${Math.round(after)}`);
  }
  const peakBytes = Math.max(...samples.map(({ residentBytes }) => residentBytes));
  if (peakBytes > limitBytes * 1.25 + MEMORY_TOLERANCE_BYTES) {
    const [peak, limit] = [peakBytes, limitBytes].map((bytes) => Math.round(bytes / MIB_BYTES));
    found.push(`memory reached ${peak} MiB, with a limit of ${limit} MiB`);
  }
  return found;
}

function median(samples: readonly Sample[], name: keyof typeof TOLERANCES): number {
  const values = samples.map((sample) => sample[name]).sort((a, b) => a - b);
  return values[Math.floor(values.length / 2)] ?? 0;
}
