import { Option } from "commander";
import { printableJson } from "../../common/printable.ts";
import type { Event__Output, EventsRequest } from "../../proto/contract.ts";
import { parsePastMs } from "../command_line/past_time.ts";
import { toServerTimes } from "../command_line/output_time.ts";
import { labelOption, parsedOption, parsePairs } from "../command_line/options.ts";
import type { Verb } from "../command_line/verb.ts";
import { ExitStatus } from "../exit_status.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { hasFailed } from "../jobs/ending.ts";
import { paint } from "../screen/colours.ts";
import { describeEvent, EVENT_NAMES, eventFields } from "../screen/events.ts";
import { fillTemplate, isJsonFormat } from "../screen/format_template.ts";
import type { Terminal } from "../terminal.ts";
import { defineRetry, retryForMs, type RetryOptions } from "./stream.ts";

interface EventsOptions extends RetryOptions {
  /** A text for `parsePastMs`, as the next. */
  readonly since?: string;
  readonly until?: string;
  /** A cursor. */
  readonly after?: string;
  readonly label?: readonly string[];
  readonly owner?: string;
  /** False: `--no-follow`. */
  readonly follow: boolean;
  readonly json?: true;
  readonly format?: string;
}

const ENCODER = new TextEncoder();

/** `events`: prints what happens to jobs, as it happens. */
export const eventsVerb: Verb = {
  name: "events",
  jobs: "all",

  define(command) {
    command.summary("print what happens to jobs, live");
    command.description(
      "Prints who starts and stops jobs, and how they end, from now on: lines on a terminal, else " +
        "one JSON object a line.",
    );
    command.argument("[id]", "this job's events alone");
    const parse = (text: string) => {
      parsePastMs(text, Date.now());
      return text;
    };
    const addTime = (flags: string, description: string) =>
      command.addOption(parsedOption(flags, description, { parse }));
    addTime("--since <time>", "also what has happened since: 10m (ago), 14:30, 2026-05-04T14:30");
    addTime("--until <time>", "end with what happens before this time");
    command.addOption(
      new Option("--after <cursor>", "go on after the event with this cursor").conflicts("since"),
    );
    command.addOption(labelOption());
    command.addOption(new Option("--owner <name>", "jobs started by the user with this name"));
    command.addOption(new Option("--no-follow", "end with what has happened so far"));
    command.addOption(new Option("--json", "one JSON object a line").conflicts("format"));
    command.addOption(
      new Option(
        "--format <text>",
        'a line for each event, such as "{event} {jobID} {exitCode}"; json: as --json',
      ),
    );
    defineRetry(command);
    command.addHelpText(
      "after",
      `
Events: submitted (to a queue), started, updated, stopping, ended, removed, and
missed where some are not known any more. The fields are event, time, timeMs, by
and cursor, and those of "query --json": the job as it is when the event is told.
A broken connection is made again, and no event is lost or told twice; --after
does the same for another call. When a job is removed, its events name it, and
tell no more of it.

Examples:
  worker-client events
  worker-client events --since 1h --no-follow --label team=billing
  worker-client events | jq -r 'select(.event == "ended" and .exitCode != 0) | .jobID'
  worker-client events --format "{time} {event} {jobID} {by}"`,
    );
  },

  check(command) {
    const { format } = command.opts<EventsOptions>();
    if (format !== undefined) isJsonFormat(format, EVENT_NAMES);
  },

  async run({ servers, terminal }, command) {
    const { since, until, ...options } = command.opts<EventsOptions>();
    const [text] = command.args;
    const line = lineOf(options, terminal);
    const { session, jobID } = text === undefined
      ? { session: await servers.one(), jobID: "" }
      : await servers.ofJob(text);
    const whole = jobID === "" ? "" : await resolveJobID(session, jobID);
    // Loaded when needed, like everything that uses gRPC (client/command_line/open_session.ts).
    const { readEvents } = await import("../jobs/read_events.ts");
    await readEvents({
      request: {
        ...toRequest(options, whole),
        ...await toServerTimes(session, { since, until }),
      },
      retryForMs: retryForMs(options),
    }, {
      session,
      sink: {
        take: (event) => terminal.write(ENCODER.encode(`${line(event)}\n`)),
        lose: () => terminal.note("connection lost, trying again..."),
        resume: () => terminal.note("connected again; no event was lost"),
      },
    });
    return ExitStatus.ok;
  },
};

/** How an event is printed. */
function lineOf(
  { json, format }: EventsOptions,
  { columns, hasColours }: Pick<Terminal, "columns" | "hasColours">,
): (event: Event__Output) => string {
  if (format !== undefined && !isJsonFormat(format, EVENT_NAMES)) {
    return (event) => fillTemplate(format, eventFields(event));
  }
  if (json || format !== undefined || columns === undefined) {
    return (event) => printableJson(eventFields(event));
  }
  return (event) => {
    const isFailure = event.kind === "EVENT_KIND_ENDED" && event.job && hasFailed(event.job);
    return paint(describeEvent(event), isFailure && hasColours ? "red" : undefined);
  };
}

function toRequest(
  { after, label, owner, follow }: Omit<EventsOptions, "since" | "until">,
  jobID: string,
): EventsRequest {
  return {
    jobID,
    labels: parsePairs(label, "--label"),
    noFollow: !follow,
    ...(after !== undefined && { after }),
    ...(owner !== undefined && { owner }),
  };
}
