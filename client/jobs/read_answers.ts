/** Reads the answers of one streaming call. */
import type { AnswerStream } from "../connection/answer_stream.ts";
import type { HeartbeatTimeout } from "../connection/heartbeat_timeout.ts";
import { ConnectionLostError, fromStatus } from "../errors.ts";

/** How the answers of a call are read. */
export interface AnswersReading<Answer> {
  /** The server, and the method that was called, as errors name them. */
  readonly server: string;
  readonly method: string;
  /** Ends the call when heartbeats are missing, or the caller ends it. */
  readonly timeout: HeartbeatTimeout;
  /** What was missing then, such as "no heartbeat". */
  readonly missing: string;
  /** Takes each answer. What it throws ends the reading and is thrown on. */
  readonly take: (answer: Answer) => void;
  /** Whether no more is to be read; asked after each answer. */
  readonly isEnough: () => boolean;
  /** Settles when no more is to be read, whatever comes. */
  readonly enough?: Promise<void> | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads answers until the call ends, and cancels it otherwise.
 *
 * It never pauses the call: this runtime would continue to read from the network and keep it all in
 * memory.
 *
 * @returns Whether they were read to their end; false: it was enough.
 * @throws {ConnectionLostError} The connection broke, or heartbeats are missing.
 * @throws Whatever `take` throws, the server's refusal, and the signal's reason.
 */
export async function readAnswers<Answer>(
  call: AnswerStream<Answer>,
  { server, method, timeout, missing, take, isEnough, enough, signal }: AnswersReading<Answer>,
): Promise<boolean> {
  try {
    return await new Promise<boolean>((resolve, reject) => {
      let isOver = false;
      const finish = (settle: () => void) => {
        isOver = true;
        settle();
      };
      timeout.signal.addEventListener("abort", () => {
        const text = `Lost the connection to ${server}: ${missing} for ` +
          `${timeout.timeoutSeconds} seconds. Try again.`;
        finish(() => reject(signal?.aborted ? signal.reason : new ConnectionLostError(text)));
      });
      call.on("data", (answer: Answer) => {
        if (isOver) return;
        try {
          take(answer);
        } catch (error) {
          finish(() => reject(error));
        }
        if (!isOver && isEnough()) finish(() => resolve(false));
      });
      call.on("error", (error) => {
        const failure = fromStatus(error, { server, method });
        finish(() => reject(failure));
      });
      call.on("end", () => finish(() => resolve(true)));
      void enough?.then(() => finish(() => resolve(false)));
    });
  } finally {
    call.cancel();
  }
}
