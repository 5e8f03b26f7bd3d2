/**
 * Reads numbers, durations and sizes that users write. The functions throw plain errors whose message
 * says what was expected; the option parser puts the option's name before it.
 */
import { BINARY_UNITS_BYTES, DURATION_UNITS_MS } from "./units.ts";

/**
 * Reads a duration: a number with `ms`, `s`, `m`, `h` or `d`; without a unit it is in seconds.
 *
 * @returns Milliseconds, rounded.
 * @throws {RangeError} The text is not a duration.
 */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const unitMs = DURATION_UNITS_MS[match?.[2] ?? "s"] ?? NaN;
  const durationMs = Math.round(Number(match?.[1]) * unitMs);
  if (!Number.isSafeInteger(durationMs)) {
    throw new RangeError(`Expected a duration such as 500ms, 10s, 2m, 1h or 7d.`);
  }
  return durationMs;
}

/**
 * Reads a count: a whole number, 0 or more.
 *
 * @throws {RangeError} The text is not a count, or above 2^53 - 1.
 */
export function parseCount(text: string): number {
  const count = countWithin(text, 0, Number.MAX_SAFE_INTEGER);
  if (count === undefined) throw new RangeError(`Expected a whole number, 0 or more.`);
  return count;
}

/**
 * Reads a whole number within bounds.
 *
 * @returns Undefined where the text is not one; the caller's message says so.
 */
export function countWithin(text: string, least: number, most: number): number | undefined {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  return count >= least && count <= most ? count : undefined;
}

/**
 * Reads a number of bytes: a whole number, with K, M, G or T (1024-based; KiB and so on are the same).
 *
 * @throws {RangeError} The text is not a number of bytes, or above 2^53 - 1.
 */
export function parseBytes(text: string): number {
  const bytes = text.includes(".") ? undefined : binaryBytesOf(text);
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`Expected bytes such as 64M or 10G.`);
  return bytes ?? NaN;
}

/**
 * Reads a number with a binary unit: `256M`, `1.5 GiB`, `4096B` or `4096`.
 *
 * @returns Bytes, perhaps with a fraction; undefined where the text is not such a number.
 */
export function binaryBytesOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:iB)?|B)?$/i.exec(text);
  const unitBytes = BINARY_UNITS_BYTES[(match?.[2] ?? "").toUpperCase()];
  return match === null || unitBytes === undefined ? undefined : Number(match[1]) * unitBytes;
}
