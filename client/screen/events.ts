/** What happens to jobs: a line for people, an object for programs. Pure. */
import type { Event__Output, QueryResponse__Output } from "../../proto/contract.ts";
import { oneLine } from "../errors.ts";
import { describeEnding } from "../jobs/ending.ts";
import { type EventWord, eventWordOf } from "../jobs/event_word.ts";
import { exitCodeOf } from "../jobs/state.ts";
import { describeCommand } from "./command.ts";
import { JOB_FIELD_NAMES, toJson } from "./format.ts";
import type { TemplateNames } from "./format_template.ts";
import { describeDuration } from "./quantities.ts";

/** Characters of an id in a line: every verb accepts them where they are unique. */
const SHORT_ID_CHARACTERS = 8;

/** The longest of the words for events. */
const WORD_COLUMNS = "submitted".length;

/** What a template for events may name. */
export const EVENT_NAMES: TemplateNames = {
  what: "an event",
  names: ["event", "time", "timeMs", "by", "cursor", ...JOB_FIELD_NAMES],
};

/** The fields of an event, and those of its job as `query --json` prints them. */
export function eventFields(event: Event__Output): Record<string, unknown> {
  const { timeMs, by, cursor, job } = event;
  return {
    event: eventWordOf(event),
    time: new Date(timeMs).toISOString(),
    timeMs,
    by: by || null,
    cursor: cursor || null,
    ...(job !== null && toJson(job, job.jobID)),
  };
}

/** One line: `2026-11-27T19:20:01Z  ended      a3c1e8b4  nightly  exit code 1 after 3s`. */
export function describeEvent(event: Event__Output): string {
  const time = new Date(event.timeMs).toISOString().replace(/\.\d+Z$/, "Z");
  const { job } = event;
  const word = eventWordOf(event);
  const parts = [time, word.padEnd(WORD_COLUMNS)];
  if (job === null) return [...parts, MISSED].join("  ");
  parts.push(job.jobID.slice(0, SHORT_ID_CHARACTERS));
  if (job.title) parts.push(oneLine(job.title));
  return [...parts, oneLine(what(word, event, job))].join("  ").trimEnd();
}

/** In the place of events that nobody knows any more. */
const MISSED = 'events are missing here: "worker-client list --all" shows what is now';

function what(word: EventWord, { by }: Event__Output, job: QueryResponse__Output): string {
  switch (word) {
    case "ended":
      return describeEnd(job);
    case "stopping":
      return by ? `by ${by}` : "its timeout is over";
    case "removed":
      return by ? `by ${by}` : "it was kept for long enough";
    case "updated":
      return by ? `by ${by}` : "";
    default:
      return `${describeCommand(job)}${by ? `  by ${by}` : ""}`;
  }
}

function describeEnd(job: QueryResponse__Output): string {
  const code = exitCodeOf(job);
  const how = describeEnding(job) ?? (code === undefined ? job.reason : `exit code ${code}`);
  if (!job.startedAtMs || !job.endedAtMs || code === undefined) return how;
  return `${how} after ${describeDuration(job.endedAtMs - job.startedAtMs)}`;
}
