import type { Event__Output, EventsRequest } from "../../proto/contract.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import { eventWordOf } from "../jobs/event_word.ts";
import { readEvents } from "../jobs/read_events.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { CallScope } from "./call_scope.ts";
import { toJobWorkerError } from "./error_mapping.ts";
import { EventQueue } from "./event_queue.ts";
import type { OutputSource } from "./fill_queue.ts";
import { toJob } from "./job.ts";
import type { EventsOptions, JobEvent } from "./types.ts";

/** The events of a request, in their order; they are read as fast as the loop takes them. */
export async function* watchEvents(
  request: EventsRequest,
  options: EventsOptions,
  { session, life }: OutputSource,
): AsyncGenerator<JobEvent, void, void> {
  using scope = new CallScope("events", life, options);
  const { signal } = scope;
  const queue = new EventQueue(options);
  const read = async () => {
    const { jobID: name = "", retryForMs = DEFAULT_RETRY_FOR_MS } = options;
    const jobID = name === "" ? "" : await resolveJobID(session, name, signal);
    const reading = { request: { ...request, jobID }, retryForMs };
    await readEvents(reading, { session, sink: queue, signal });
  };
  const reading = read().then(
    () => queue.finish({}),
    (error: unknown) => queue.finish({ error: toJobWorkerError(error) }),
  );
  try {
    for (;;) {
      const event = await queue.next();
      if (event === undefined) return;
      yield toJobEvent(event);
    }
  } finally {
    scope.leave();
    queue.leave();
    await reading;
  }
}

function toJobEvent(event: Event__Output): JobEvent {
  const { timeMs, by, cursor, job } = event;
  return {
    kind: eventWordOf(event),
    time: new Date(timeMs),
    by: by || null,
    cursor: cursor || null,
    job: job === null ? null : toJob(job),
  };
}
