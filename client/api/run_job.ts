import { stopUnlessEnded, waitForJob } from "../jobs/end.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { startJob, toStartRequest } from "../jobs/start.ts";
import { checkCommand, checkNumber, toJobSpec } from "./arguments.ts";
import { toJob } from "./job.ts";
import { OutputStream } from "./output_stream.ts";
import { OutputTail } from "./output_tail.ts";
import type { RunOptions, RunResult } from "./types.ts";

/** More than a person reads, and little compared to the 110 MB of a process. */
const DEFAULT_MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** What a run uses. */
export interface RunContext {
  readonly session: Session;
  /** Ends the run. */
  readonly signal: AbortSignal;
  /** Aborted when the client is closed: then no more calls are made. */
  readonly life: AbortSignal;
}

/**
 * Starts a job, takes its output and waits for its end.
 *
 * @throws {JobWorkerError} An argument is not valid.
 * @throws {ClientError} It could not be started, followed or stopped.
 * @throws The signal's reason, and whatever the caller's functions throw; the job has been stopped by
 * then. A job that can no longer be followed is not stopped.
 */
export async function runJob(
  command: readonly string[],
  options: RunOptions,
  context: RunContext,
): Promise<RunResult> {
  checkCommand(command);
  const { maxOutputBytes = DEFAULT_MAX_OUTPUT_BYTES, retryForMs } = options;
  checkNumber("maxOutputBytes", maxOutputBytes);
  checkNumber("retryForMs", retryForMs);
  const { session, signal } = context;
  const spec = toJobSpec(options);
  const request = toStartRequest(command, spec);
  const jobID = await startJob(session, request, { signal });
  let hasCallerFailed = false;
  const noteFailure = async (call: () => void | Promise<void>) => {
    try {
      await call();
    } catch (error) {
      hasCallerFailed = true;
      throw error;
    }
  };
  try {
    await noteFailure(() => options.onStart?.(jobID));
    const tail = new OutputTail(maxOutputBytes);
    const { onOutput = (chunk) => tail.add(chunk), onLost } = options;
    const stream = new OutputStream(context, jobID, { signal, retryForMs, onLost });
    for await (const chunk of stream) await noteFailure(() => onOutput(chunk));
    const job = toJob(
      await waitForJob(session, jobID, {
        retryForMs: retryForMs ?? DEFAULT_RETRY_FOR_MS,
        onLost: onLost && (() => onLost(stream.offset)),
        signal,
      }),
    );
    const { droppedBytes } = tail;
    return { job, exitCode: job.exitCode, output: tail.bytes(), droppedBytes };
  } catch (error) {
    if ((options.stopOnAbort ?? true) && (hasCallerFailed || signal.aborted)) {
      await stopAbandoned(jobID, options, context);
    }
    throw error;
  }
}

/**
 * Stops the job of a run that has ended early.
 *
 * @throws {ClientError} The job may still run, which matters more than the first error.
 */
async function stopAbandoned(
  jobID: string,
  { graceMs }: RunOptions,
  { session, life }: RunContext,
): Promise<void> {
  if (!life.aborted) await stopUnlessEnded(session, { jobID, graceMs }, { signal: life });
}
