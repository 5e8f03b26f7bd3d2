/** When to warn that something is about to expire. Pure. */

const DAY_MS = 86_400_000;

/** A month to plan, a week to act, a day to hurry. */
const WARNING_DAYS: readonly number[] = [30, 7, 1];

/** What is left until something expires, as people say it. */
export function formatTimeLeft(leftMs: number): string {
  if (leftMs <= 0) return "has expired";
  const days = Math.floor(leftMs / DAY_MS);
  if (days > 1) return `expires in ${days} days`;
  return days === 1 ? "expires in 1 day" : `expires in ${Math.ceil(leftMs / 3_600_000)} h`;
}

/** Whether so little is left that a warning is due. */
export function isExpirySoon(leftMs: number): boolean {
  return leftMs <= Math.max(...WARNING_DAYS) * DAY_MS;
}

/** Remembers what has been warned of, so that each bound that is passed is told once. */
export class ExpiryWarnings {
  readonly #told = new Set<string>();

  /**
   * Whether a warning is due now.
   *
   * @param subject What expires, such as a file's name.
   */
  isDue(subject: string, atMs: number, nowMs: number): boolean {
    const leftMs = atMs - nowMs;
    const passed = [...WARNING_DAYS, 0].findLast((days) => leftMs <= days * DAY_MS);
    if (passed === undefined) return false;
    const mark = JSON.stringify([subject, atMs, passed]);
    if (this.#told.has(mark)) return false;
    this.#told.add(mark);
    return true;
  }
}
