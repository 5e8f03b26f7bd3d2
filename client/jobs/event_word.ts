/** The words for what happens to jobs. Pure. */
import type { Event__Output } from "../../proto/contract.ts";

/** What has happened; `missed`: events before the next one are not known any more. */
export const EVENT_WORDS = [
  "submitted",
  "started",
  "updated",
  "stopping",
  "ended",
  "removed",
  "missed",
] as const;

/** One of {@linkcode EVENT_WORDS}; `unknown`: a newer server tells of something else. */
export type EventWord = typeof EVENT_WORDS[number] | "unknown";

/** What an event tells: the contract's name without its prefix. */
export function eventWordOf({ kind }: Pick<Event__Output, "kind">): EventWord {
  const word = String(kind).replace("EVENT_KIND_", "").toLowerCase();
  return EVENT_WORDS.find((known) => known === word) ?? "unknown";
}
