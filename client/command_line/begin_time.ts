/** Reads the time at which a job may begin. Pure. */
import { parseDurationMs } from "../../common/quantities.ts";

/** `14:30`, perhaps with seconds. */
export const TIME_OF_DAY = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/;

/** `2026-05-04`, perhaps with a time of day, perhaps with a time zone. */
const DATE =
  /^(2\d{3})-(\d\d)-(\d\d)(?:[T ]((?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?)(Z|[+-]\d\d:\d\d)?)?$/;

/** From now on. */
const DURATION = /^(?:\+|in\s+)\s*(\S+)$/i;

/**
 * Reads a time of day (its next occurrence), a date and a time, or a duration from now (`+2h`, `in 2h`).
 * Without a zone it is in that of this process. A time that is over is accepted: the job may begin.
 *
 * @param nowMs Milliseconds since 1970-01-01 UTC.
 * @returns The same.
 * @throws {RangeError} The text is not a time.
 */
export function parseBeginMs(text: string, nowMs: number): number {
  const beginMs = fromNow(text, nowMs) ?? nextTimeOfDay(text, nowMs) ?? parseDateMs(text);
  // The Date is invalid beyond the years that it can hold.
  if (beginMs !== undefined && !Number.isNaN(new Date(beginMs).getTime())) return beginMs;
  throw new RangeError('Expected a time such as 14:30, 2026-05-04T14:30, +2h or "in 2h".');
}

function fromNow(text: string, nowMs: number): number | undefined {
  const duration = DURATION.exec(text)?.[1];
  return duration === undefined ? undefined : nowMs + parseDurationMs(duration);
}

function nextTimeOfDay(text: string, nowMs: number): number | undefined {
  const match = TIME_OF_DAY.exec(text);
  if (match === null) return undefined;
  const [hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  const today = new Date(nowMs);
  today.setHours(hours, minutes, seconds, 0);
  if (today.getTime() > nowMs) return today.getTime();
  // A day is not always 24 hours long.
  const tomorrow = new Date(nowMs);
  tomorrow.setDate(tomorrow.getDate() + 1);
  return tomorrow.setHours(hours, minutes, seconds, 0);
}

/** A date and a time, in milliseconds since 1970-01-01 UTC; undefined: the text is none. */
export function parseDateMs(text: string): number | undefined {
  const match = DATE.exec(text);
  if (match === null) return undefined;
  const [, year = "", month = "", day = "", time = "00:00", zone = ""] = match;
  // Date.parse takes 30 February for 2 March.
  const midnight = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  if (midnight.toISOString().slice(0, 10) !== `${year}-${month}-${day}`) return undefined;
  return Date.parse(`${year}-${month}-${day}T${time}${zone}`);
}
