/**
 * What users write as numbers and durations. The functions throw plain errors whose message says
 * what was expected; the option parser puts the option's name before it.
 */

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const UNIT_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};

/**
 * Reads a duration: a number with `ms`, `s`, `m`, `h` or `d`; without a unit it is seconds.
 *
 * @returns Milliseconds, rounded.
 * @throws {RangeError} The text is no duration.
 */
export function parseDurationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(text);
  const durationMs = Math.round(Number(match?.[1]) * (UNIT_MS[match?.[2] ?? "s"] ?? NaN));
  if (!Number.isSafeInteger(durationMs)) {
    throw new RangeError(`Expected a duration such as 500ms, 10s, 2m, 1h or 7d.`);
  }
  return durationMs;
}

/**
 * Reads a count: a whole number, 0 or more.
 *
 * @throws {RangeError} The text is none, or beyond 2^53.
 */
export function parseCount(text: string): number {
  const count = countWithin(text, 0, Number.MAX_SAFE_INTEGER);
  if (count === undefined) throw new RangeError(`Expected a whole number, 0 or more.`);
  return count;
}

/** Reads a whole number within bounds; undefined: the text is none, for a caller that says which. */
export function countWithin(text: string, least: number, most: number): number | undefined {
  const count = /^\d+$/.test(text) ? Number(text) : NaN;
  return count >= least && count <= most ? count : undefined;
}

/**
 * Reads a number of bytes: a whole number, with K, M, G or T (1024-based; KiB and so on are the same).
 *
 * @throws {RangeError} The text is none, or beyond 2^53.
 */
export function parseBytes(text: string): number {
  const match = /^(\d+)\s*(?:([KMGT])(?:iB)?|B)?$/i.exec(text);
  const bytes = Number(match?.[1]) * (UNIT_BYTES[(match?.[2] ?? "").toUpperCase()] ?? NaN);
  if (!Number.isSafeInteger(bytes)) throw new RangeError(`Expected bytes such as 64M or 10G.`);
  return bytes;
}
