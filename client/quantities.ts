/**
 * What users write as numbers and durations. The functions throw plain errors whose message says
 * what was expected; the option parser puts the option's name before it.
 */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

/**
 * Reads a duration: a number with `ms`, `s`, `m` or `h`; without a unit it is seconds.
 *
 * @returns Milliseconds, rounded.
 * @throws {RangeError} The text is no duration.
 */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  const durationMs = Math.round(Number(match?.[1]) * (UNIT_MS[match?.[2] ?? "s"] ?? NaN));
  if (!Number.isSafeInteger(durationMs)) {
    throw new RangeError(`Expected a duration such as 500ms, 10s, 2m or 1h.`);
  }
  return durationMs;
}

/**
 * Reads a count: a whole number, 0 or more.
 *
 * @throws {RangeError} The text is none, or beyond 2^53.
 */
export function parseCount(text: string): number {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!Number.isSafeInteger(count)) throw new RangeError(`Expected a whole number, 0 or more.`);
  return count;
}
