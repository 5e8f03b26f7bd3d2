/** Reads a time that is over. Pure. */
import { parseDurationMs } from "../../common/quantities.ts";
import { parseDateMs, TIME_OF_DAY } from "./begin_time.ts";

/**
 * Reads how long ago (`10m`, `2h`), a time of day (the last one), or a date and a time. Without a zone it is
 * in that of this process.
 *
 * @param nowMs Milliseconds since 1970-01-01 UTC.
 * @returns The same.
 * @throws {RangeError} The text is not a time.
 */
export function parsePastMs(text: string, nowMs: number): number {
  const timeMs = lastTimeOfDay(text, nowMs) ?? parseDateMs(text) ?? ago(text, nowMs);
  if (timeMs !== undefined && timeMs >= 0) return timeMs;
  throw new RangeError(
    "Expected how long ago, such as 10m or 7d, or a time: 14:30, 2026-05-04T14:30.",
  );
}

function ago(text: string, nowMs: number): number | undefined {
  try {
    return nowMs - parseDurationMs(text);
  } catch {
    return undefined; // The caller says what a time may be.
  }
}

function lastTimeOfDay(text: string, nowMs: number): number | undefined {
  const match = TIME_OF_DAY.exec(text);
  if (match === null) return undefined;
  const [hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0));
  const today = new Date(nowMs);
  today.setHours(hours, minutes, seconds, 0);
  if (today.getTime() <= nowMs) return today.getTime();
  // A day is not always 24 hours long.
  const yesterday = new Date(nowMs);
  yesterday.setDate(yesterday.getDate() - 1);
  return yesterday.setHours(hours, minutes, seconds, 0);
}
