/** The page's requests. Each becomes a call to the server with the user's identity. */
import * as v from "valibot";
import config from "../../deno.json" with { type: "json" };
import { parseDurationMs } from "../../common/quantities.ts";
import { stopJob } from "../jobs/end.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { parsePairs } from "../command_line/options.ts";
import type { Session } from "../connection/session.ts";
import { startJob } from "../jobs/start.ts";
import { readJson } from "./request_body.ts";
import { findJobs } from "./find_jobs.ts";
import { findText } from "./find_text.ts";
import { feedOutput } from "./output_feed.ts";
import type { About, ReadJob } from "./protocol.ts";
import { reply, replyJson } from "./replies.ts";
import { START_FORM, toRequest } from "./start_form.ts";
import { timed } from "./read_time.ts";

/** Answers one kind of request. */
type Handler = (request: Request, session: Session) => Promise<Response>;

/** A longer text would make each search expensive, and is not needed. */
const MAX_SEARCH_LENGTH = 1_000;

const JOB_ID = v.pipe(v.string(), v.nonEmpty("expected a job's id"));
const COUNT = v.pipe(v.number(), v.safeInteger(), v.minValue(0, "expected 0 or more"));
const SEARCH_TEXT = v.pipe(v.string(), v.maxLength(MAX_SEARCH_LENGTH, "the text is too long"));

const JOBS = v.strictObject({
  states: v.array(v.picklist([
    "JOB_STATE_PENDING",
    "JOB_STATE_RUNNING",
    "JOB_STATE_STOPPING",
    "JOB_STATE_EXITED",
    "JOB_STATE_LOST",
    "JOB_STATE_NEVER_RAN",
  ])),
  onlyFailed: v.optional(v.boolean(), false),
  /** KEY=VALUE texts. */
  labels: v.array(v.string()),
  text: SEARCH_TEXT,
  pageSize: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(500)),
  pageToken: v.string(),
});
const OUTPUT = v.strictObject({
  jobID: JOB_ID,
  offset: v.optional(COUNT),
  tailBytes: v.optional(COUNT),
  follow: v.boolean(),
  length: v.optional(COUNT),
  stderr: v.optional(v.boolean(), false),
});
const FIND = v.strictObject({
  jobID: JOB_ID,
  text: v.pipe(SEARCH_TEXT, v.nonEmpty("expected a text")),
  offset: COUNT,
  stderr: v.optional(v.boolean(), false),
});

/** The handlers by path; each takes a POST. */
export const API: ReadonlyMap<string, Handler> = new Map<string, Handler>([
  ["/api/about", async (_request, session) => {
    const info = await session.call("Info", {}, { retryForMs: 0 });
    const about: About = {
      server: session.server,
      clientVersion: config.version,
      serverVersion: info.version,
      userName: info.yourName,
      roles: info.yourRoles,
      jobUser: info.jobUser,
      engine: info.engine,
      partitions: info.partitions,
      jobsWait: info.jobsWait,
      queues: info.queues.map((text) => text.replace(/:.*$/s, "")),
    };
    return replyJson(about);
  }],
  ["/api/jobs", async (request, session) => {
    const { labels, text, ...search } = await readJson(request, JOBS);
    const found = await findJobs({
      ...search,
      text: text.trim(),
      labels: parsePairs(labels, "Label"),
      withUsage: true,
    }, session);
    return replyJson(found);
  }],
  ["/api/job", async (request, session) => {
    const { jobID } = await readJson(request, v.strictObject({ jobID: JOB_ID }));
    const { answer: job, readAt } = await timed(() =>
      session.call("Query", { jobID }, { retryForMs: 0 })
    );
    const read: ReadJob = { job, readAt };
    return replyJson(read);
  }],
  ["/api/start", async (request, session) => {
    const form = await readJson(request, START_FORM);
    return replyJson({ jobID: await startJob(session, toRequest(form)) });
  }],
  ["/api/stop", async (request, session) => {
    const { jobID, grace } = await readJson(
      request,
      v.strictObject({ jobID: JOB_ID, grace: v.optional(v.string(), "") }),
    );
    await stopJob(session, { jobID, graceMs: parseGrace(grace) });
    return replyJson({});
  }],
  ["/api/signal", async (request, session) => {
    const schema = v.strictObject({ jobID: JOB_ID, signal: v.string() });
    await session.call("Signal", await readJson(request, schema));
    return replyJson({});
  }],
  ["/api/remove", async (request, session) => {
    await session.call("Remove", await readJson(request, v.strictObject({ jobID: JOB_ID })));
    return replyJson({});
  }],
  ["/api/output", async (request, session) => {
    const range = await readJson(request, OUTPUT);
    const jobID = await resolveJobID(session, range.jobID);
    const output = feedOutput({ ...range, jobID }, { session, signal: request.signal });
    return reply(output, { type: "application/octet-stream" });
  }],
  ["/api/find", async (request, session) => {
    const wanted = await readJson(request, FIND);
    const offset = await findText(wanted, { session, signal: request.signal });
    return replyJson({ offset: offset ?? null });
  }],
]);

function parseGrace(text: string): number | undefined {
  if (text.trim() === "") return undefined;
  try {
    return parseDurationMs(text.trim());
  } catch (error) {
    throw new ClientError(
      `Cannot stop the job: grace period: ${messageOf(error)}`,
      ExitStatus.usage,
    );
  }
}
