/** Writes numbers as options and limit files take them: exactly, in the largest unit that allows that. */
import { BINARY_UNITS_BYTES, DURATION_UNITS_MS, RATE_UNITS_BYTES } from "./units.ts";

const { B = 1, KB = NaN, MB = NaN, GB = NaN, TB = NaN } = RATE_UNITS_BYTES;

/** A duration, such as `90s` or `2h`; 0 has no unit. */
export function writtenDuration(durationMs: number): string {
  return inUnits(durationMs, DURATION_UNITS_MS);
}

/** A number of bytes, such as `512M`. */
export function writtenBytes(bytes: number): string {
  return inUnits(bytes, BINARY_UNITS_BYTES);
}

/** Bytes a second, such as `10MB/s`. */
export function writtenRate(bytes: number): string {
  return `${inUnits(bytes, { B, KB, MB, GB, TB })}/s`;
}

function inUnits(value: number, units: Readonly<Record<string, number>>): string {
  const [largest] = Object.entries(units)
    .filter(([, size]) => value >= size && value % size === 0)
    .sort(([, one], [, other]) => other - one);
  return largest === undefined ? String(value) : `${value / largest[1]}${largest[0]}`;
}
