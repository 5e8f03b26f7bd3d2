/** The options `--since`, `--until` and `--timestamps` of verbs that write output. */
import { type Command, Option } from "commander";
import type { Session } from "../connection/session.ts";
import { parsedOption } from "./options.ts";
import { parsePastMs } from "./past_time.ts";

/** Which times of the output are written, and whether they are shown. */
export interface TimeOptions {
  /** A text for {@linkcode parsePastMs}, as the next. */
  readonly since?: string | undefined;
  readonly until?: string | undefined;
  readonly timestamps?: true;
}

/** Adds the option `--timestamps`. */
export function defineTimestamps(command: Command, flags = "-t, --timestamps"): void {
  command.addOption(
    new Option(flags, "put the time before each line (UTC, half a second exact)"),
  );
}

/** Adds all three. */
export function defineTimes(command: Command): void {
  const times: [name: string, description: string][] = [
    ["since", "what was written since: 10m (ago), 14:30, 2026-05-04T14:30"],
    ["until", "what was written until this time; ends there"],
  ];
  const parse = (text: string) => {
    parsePastMs(text, Date.now());
    return text;
  };
  for (const [name, description] of times) {
    command.addOption(parsedOption(`--${name} <time>`, description, { parse }));
  }
  defineTimestamps(command);
}

/** The times by the server's clock, which output is measured by. */
export async function toServerTimes(
  session: Pick<Session, "call">,
  { since, until, timestamps: isShown }: TimeOptions,
): Promise<{ sinceMs?: number; untilMs?: number; timestamps: boolean }> {
  const timestamps = isShown ?? false;
  if (since === undefined && until === undefined) return { timestamps };
  const { timeMs: nowMs } = await session.call("Info", {});
  return {
    ...(since !== undefined && { sinceMs: parsePastMs(since, nowMs) }),
    ...(until !== undefined && { untilMs: parsePastMs(until, nowMs) }),
    timestamps,
  };
}
