/** Durations and sizes as users read them. Pure. */
import { DURATION_UNITS_MS, KIB, SECOND_MS } from "../../common/units.ts";

/** `3s`, `12m`, `5h`, `2d`: whole units, of the largest that fits. */
export function describeDuration(durationMs: number): string {
  for (const unit of ["d", "h", "m"]) {
    const unitMs = DURATION_UNITS_MS[unit] ?? Infinity;
    if (durationMs >= unitMs) return `${Math.floor(durationMs / unitMs)}${unit}`;
  }
  return `${Math.max(0, Math.floor(durationMs / SECOND_MS))}s`;
}

/**
 * `268435456` as `256 MiB`.
 *
 * @param options Whether two digits are enough, as where there is little room.
 */
export function binaryBytes(bytes: number, { isShort = false } = {}): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= KIB && unit < units.length - 1) {
    value /= KIB;
    unit += 1;
  }
  return `${Number(value.toFixed(isShort && value >= 10 ? 0 : 1))} ${units[unit]}`;
}
