import { MAX_INPUT_BYTES } from "../../common/job_input.ts";
import type { StartRequest } from "../../proto/contract.ts";
import { ClientError, ConnectionLostError, GrpcStatus, RefusedCallError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { CallOptions, Session } from "../connection/session.ts";
import type { JobSpec } from "./job_spec.ts";
import { checkHasQueue, queueTexts, toQueueFields } from "./queue.ts";
import { checkKnowsFields } from "./start_fields.ts";

/** A start that can be repeated without starting a second job. */
export type KeyedStart = StartRequest & { readonly idempotencyKey: string };

/** A start without an answer: the server may or may not have started the job. */
export class UnknownOutcomeError extends ClientError {
  override name = "UnknownOutcomeError";
  /** Another start with this key finds the job, or starts it. */
  readonly idempotencyKey: string;

  constructor(message: string, { exitStatus, key }: { exitStatus: number; key: string }) {
    super(message, exitStatus);
    this.idempotencyKey = key;
  }
}

/**
 * The request that starts a job.
 *
 * @throws {ClientError} The job's standard input is too long, or a text cannot be sent as it is.
 */
export function toStartRequest(
  [name = "", ...args]: readonly string[],
  spec: JobSpec,
): KeyedStart {
  const { stdin, umask, graceMs, openFiles, limits, isolation } = spec;
  if (stdin !== undefined && stdin.length > MAX_INPUT_BYTES) {
    throw new ClientError(
      "Cannot start the job: its standard input is larger than 2 MiB. " +
        "Send it while the job runs (run -i), or pass it in a file on the server.",
      ExitStatus.usage,
    );
  }
  const texts = [
    ...[name, ...args, spec.idempotencyKey, spec.title, spec.workingDirectory, spec.user],
    ...Object.entries({ ...spec.labels }).flat(),
    ...Object.entries({ ...spec.env }).flat(),
    ...queueTexts({ ...spec.queue }),
  ];
  if (texts.some((text) => text?.isWellFormed() === false)) {
    throw new ClientError(
      "Cannot start the job: a text has half of a character (a lone surrogate), which UTF-8 cannot " +
        "hold. Correct it.",
      ExitStatus.usage,
    );
  }
  return {
    name,
    args,
    idempotencyKey: spec.idempotencyKey,
    title: spec.title ?? "",
    labels: { ...spec.labels },
    env: { ...spec.env },
    workingDirectory: spec.workingDirectory ?? "",
    user: spec.user ?? "",
    timeoutMs: spec.timeoutMs ?? 0,
    stopSignal: spec.stopSignal ?? "",
    ...(stdin !== undefined && { stdin }),
    ...(spec.openStdin === true && { openStdin: true }),
    ...(umask !== undefined && { umask }),
    ...(graceMs !== undefined && { gracePeriodMs: graceMs }),
    ...(openFiles !== undefined && { openFiles }),
    ...(limits && { limits }),
    ...(isolation && { isolation }),
    ...(spec.separateStderr && { separateStderr: true }),
    ...toQueueFields({ ...spec.queue }),
  };
}

/**
 * Starts a job once, however often the answer is lost.
 *
 * @returns The job's id.
 * @throws {UnknownOutcomeError} It is unknown whether it was started.
 * @throws {ClientError} It was not started.
 * @throws The signal's reason; the job may have been started then, too.
 */
export async function startJob(
  session: Session,
  request: KeyedStart,
  { signal }: Pick<CallOptions, "signal"> = {},
): Promise<string> {
  await checkHasQueue(session, request, { signal });
  await checkTakesInput(session, request, { signal });
  await checkKnowsFields(session, request, { signal });
  try {
    const { jobID } = await session.call("Start", request, { signal });
    return jobID;
  } catch (error) {
    if (!(error instanceof ClientError) || !isOutcomeUnknown(error)) throw error;
    throw new UnknownOutcomeError(`${error.message} The job may have been started.`, {
      exitStatus: error.exitStatus,
      key: request.idempotencyKey,
    });
  }
}

/** Whether the server may have started the job although there was no answer. */
function isOutcomeUnknown(error: ClientError): boolean {
  return error.exitStatus === ExitStatus.connection &&
    (error instanceof ConnectionLostError || error instanceof RefusedCallError);
}

/**
 * Refuses a start whose input is to be sent later, to a server that cannot do that: one of an earlier version
 * would start the job with no input at all.
 *
 * @throws {ClientError} The server cannot, or cannot be asked.
 */
async function checkTakesInput(
  session: Session,
  request: KeyedStart,
  { signal }: Pick<CallOptions, "signal">,
): Promise<void> {
  if (request.openStdin !== true) return;
  const { openStdin, engine } = await session.call("Info", {}, { signal });
  if (openStdin) return;
  const { server } = session;
  throw new RefusedCallError(
    "Cannot start the job: " +
      (engine === ""
        ? `the server at ${server} cannot send a job its input while it runs. Upgrade it to this client's version.`
        : `${server} runs jobs on a cluster, where a job cannot be sent its input while it runs. Send up to ` +
          "2 MiB with the start (--stdin)."),
    GrpcStatus.failedPrecondition,
  );
}
