/** When to warn that something expires soon. Pure. */
import { DAY_MS, HOUR_MS } from "../../common/units.ts";

/** Warnings are given this long before the end. */
const WARNING_DAYS: readonly number[] = [30, 7, 1];

/**
 * The time left until something expires, for people.
 *
 * @returns Such as `expires in 5 days`; whole days rounded down, less than a day in hours.
 */
export function formatTimeLeft(leftMs: number): string {
  if (leftMs <= 0) return "has expired";
  const days = Math.floor(leftMs / DAY_MS);
  if (days > 1) return `expires in ${days} days`;
  return days === 1 ? "expires in 1 day" : `expires in ${Math.ceil(leftMs / HOUR_MS)} h`;
}

/** Whether the first warning is due: 30 days or less are left. */
export function isExpirySoon(leftMs: number): boolean {
  return leftMs <= Math.max(...WARNING_DAYS) * DAY_MS;
}

/** Remembers the warnings that were given, so that each is given once. */
export class ExpiryWarnings {
  readonly #given = new Set<string>();

  /**
   * Whether a warning is due now.
   *
   * @param subject What expires, such as a file's name.
   * @param atMs When it expires, in milliseconds since 1970-01-01 UTC.
   * @param nowMs The present, likewise.
   */
  isDue(subject: string, atMs: number, nowMs: number): boolean {
    const leftMs = atMs - nowMs;
    const passed = [...WARNING_DAYS, 0].findLast((days) => leftMs <= days * DAY_MS);
    if (passed === undefined) return false;
    const mark = JSON.stringify([subject, atMs, passed]);
    if (this.#given.has(mark)) return false;
    this.#given.add(mark);
    return true;
  }
}
