import { stopJob, waitForJob } from "../jobs/end.ts";
import { GrpcStatus, RefusedCallError } from "../errors.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { startJob, toStartRequest } from "../jobs/start.ts";
import { checkCommand, checkNumber, toJobSpec } from "./arguments.ts";
import { toJob } from "./job.ts";
import { OutputStream } from "./output_stream.ts";
import { OutputTail } from "./output_tail.ts";
import type { RunOptions, RunResult } from "./types.ts";

/** Enough for what a person would read, and not much beside the 110 MB of a process. */
const DEFAULT_MAX_OUTPUT_BYTES = 16 * 1024 * 1024;

/** What a run goes over. */
export interface RunContext {
  readonly session: Session;
  /** Gives the run up. */
  readonly signal: AbortSignal;
  /** Aborted when the client is closed: then nothing more is asked of the server. */
  readonly life: AbortSignal;
}

/**
 * Starts a job, takes its output and waits for its end.
 *
 * @throws {JobWorkerError} An argument cannot be.
 * @throws {ClientError} It could not be started, followed or stopped.
 * @throws The signal's reason, and whatever the caller's functions throw; the job has been stopped by
 * then. A job that cannot be followed any more is left as it is.
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
  let isLeft = false;
  const leaveIfThrown = async (call: () => void | Promise<void>) => {
    try {
      await call();
    } catch (error) {
      isLeft = true;
      throw error;
    }
  };
  try {
    await leaveIfThrown(() => options.onStart?.(jobID));
    const tail = new OutputTail(maxOutputBytes);
    const { onOutput = (chunk) => tail.add(chunk), onLost } = options;
    const stream = new OutputStream(context, jobID, { signal, retryForMs, onLost });
    for await (const chunk of stream) await leaveIfThrown(() => onOutput(chunk));
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
    const shallStop = options.stopOnAbort ?? true;
    if (shallStop && (isLeft || signal.aborted)) await stopLeft(jobID, options, context);
    throw error;
  }
}

/**
 * Stops a job that nobody watches any more.
 *
 * @throws {ClientError} It may go on, which is worse news than what led here.
 */
async function stopLeft(
  jobID: string,
  { graceMs }: RunOptions,
  { session, life }: RunContext,
): Promise<void> {
  if (life.aborted) return;
  try {
    await stopJob(session, { jobID, graceMs }, { signal: life });
  } catch (error) {
    const hasEnded = error instanceof RefusedCallError &&
      error.code === GrpcStatus.failedPrecondition;
    if (!hasEnded) throw error;
  }
}
