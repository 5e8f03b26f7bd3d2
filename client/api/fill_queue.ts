import { resolveJobID } from "../jobs/resolve_id.ts";
import { checkSeparateStderr } from "../jobs/separate_stderr.ts";
import { readJobOutput } from "../jobs/read_output.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { toJobWorkerError } from "./error_mapping.ts";
import type { OutputQueue } from "./output_queue.ts";
import type { StreamOptions } from "./types.ts";

/** The source of the output. */
export interface OutputSource {
  readonly session: Session;
  /** Aborted when the client is closed. */
  readonly life: AbortSignal;
}

/** Reads the output into the queue; failures end the queue. */
export async function fillQueue(
  queue: OutputQueue,
  { session, signal, text, options }: {
    session: Session;
    signal: AbortSignal;
    text: string;
    options: StreamOptions;
  },
): Promise<void> {
  try {
    const jobID = await resolveJobID(session, text, signal);
    if (options.stderr === true) await checkSeparateStderr(session, jobID, { signal });
    const { offset, tailLines, tailBytes, since, until, timestamps, stderr, follow = true } =
      options;
    const [sinceMs, untilMs] = [since?.getTime(), until?.getTime()];
    const { retryForMs = DEFAULT_RETRY_FOR_MS } = options;
    const range = {
      jobID,
      stderr,
      offset,
      tailLines,
      tailBytes,
      sinceMs,
      untilMs,
      timestamps,
      follow,
    };
    await readJobOutput({ ...range, retryForMs }, {
      session,
      sink: queue,
      signal,
    });
    queue.finish({});
  } catch (error) {
    queue.finish({ error: toJobWorkerError(error) });
  }
}
