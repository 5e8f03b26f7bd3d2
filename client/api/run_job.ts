import { stopUnlessEnded, waitForJob } from "../jobs/end.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { hasSeparateStderr } from "../jobs/separate_stderr.ts";
import { startJob, toStartRequest } from "../jobs/start.ts";
import { sendInput } from "../jobs/send_input.ts";
import { checkCommand, checkNumber, toJobSpec } from "./arguments.ts";
import { checkInput, inputPieces } from "./input_pieces.ts";
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
  const { input } = options;
  if (input !== undefined) checkInput(input);
  const spec = { ...toJobSpec(options), ...(input !== undefined && { openStdin: true }) };
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
  const over = new AbortController();
  try {
    await noteFailure(() => options.onStart?.(jobID));
    const [tail, errors] = [new OutputTail(maxOutputBytes), new OutputTail(maxOutputBytes)];
    const { onOutput = (chunk) => tail.add(chunk), onLost } = options;
    const { onStderr = (chunk) => errors.add(chunk) } = options;
    const isSeparate = spec.separateStderr === true &&
      await hasSeparateStderr(session, jobID, { signal }) !== false;
    // Where one cannot be read, or the caller does not take it, the other one is not read on.
    const failed = new AbortController();
    const ended = AbortSignal.any([signal, failed.signal]);
    const reading = { signal: ended, retryForMs, onLost };
    const stream = new OutputStream(context, jobID, reading);
    const take = async (chunks: OutputStream, on: NonNullable<RunOptions["onOutput"]>) => {
      try {
        for await (const chunk of chunks) await noteFailure(() => on(chunk));
      } catch (error) {
        if (!failed.signal.aborted) failed.abort(error);
        throw failed.signal.reason;
      }
    };
    const read = () =>
      Promise.all([
        take(stream, onOutput),
        ...(isSeparate
          ? [take(new OutputStream(context, jobID, { ...reading, stderr: true }), onStderr)]
          : []),
      ]);
    const source = input === undefined ? undefined : failing(inputPieces(input), () => {
      hasCallerFailed = true;
    });
    await Promise.race([
      read(),
      ...(source === undefined ? [] : [failureOfInput(source, jobID, { options, context, over })]),
    ]);
    over.abort();
    const job = toJob(
      await waitForJob(session, jobID, {
        retryForMs: retryForMs ?? DEFAULT_RETRY_FOR_MS,
        onLost: onLost && (() => onLost(stream.offset)),
        signal,
      }),
    );
    return {
      job,
      exitCode: job.exitCode,
      output: tail.bytes(),
      droppedBytes: tail.droppedBytes,
      stderr: errors.bytes(),
      droppedStderrBytes: errors.droppedBytes,
    };
  } catch (error) {
    if ((options.stopOnAbort ?? true) && (hasCallerFailed || signal.aborted)) {
      await stopAbandoned(jobID, options, context);
    }
    throw error;
  } finally {
    over.abort();
  }
}

/** The same pieces; tells where the source fails. */
async function* failing(
  pieces: AsyncIterable<Uint8Array>,
  onFailure: () => void,
): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    onFailure();
    throw error;
  }
}

/** Sends a job its input. Settles only where that fails, and rejects then. */
async function failureOfInput(
  source: AsyncIterable<Uint8Array>,
  jobID: string,
  { options: { retryForMs = DEFAULT_RETRY_FOR_MS }, context, over }: {
    readonly options: RunOptions;
    readonly context: RunContext;
    readonly over: AbortController;
  },
): Promise<never> {
  const signal = AbortSignal.any([context.signal, over.signal]);
  try {
    await sendInput({ jobID, source, retryForMs }, { session: context.session, signal });
  } catch (error) {
    // The job has ended, whether it has read all or not.
    if (!over.signal.aborted) throw error;
  }
  return await new Promise<never>(() => {});
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
