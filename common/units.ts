/** Units of time and of size, as users write them and see them. */

export const SECOND_MS = 1_000;
export const MINUTE_MS = 60 * SECOND_MS;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

export const KIB = 1024;
export const MIB = KIB ** 2;
export const GIB = KIB ** 3;
export const TIB = KIB ** 4;

/** Milliseconds by the unit that a user writes. */
export const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: SECOND_MS,
  m: MINUTE_MS,
  h: HOUR_MS,
  d: DAY_MS,
};

/** Bytes by the letter that a user writes: 1024-based, as the kernel's own files have them. */
export const BINARY_UNITS_BYTES: Readonly<Record<string, number>> = {
  "": 1,
  K: KIB,
  M: MIB,
  G: GIB,
  T: TIB,
};

/** Bytes by the unit of a rate: decimal, or binary where it has an `i`. In upper case. */
export const RATE_UNITS_BYTES: Readonly<Record<string, number>> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB,
  MIB,
  GIB,
  TIB,
};
