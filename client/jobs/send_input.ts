/** Sends a job its standard input while it runs. */
import { deferred } from "../../common/deferred.ts";
import type { InputResponse__Output } from "../../proto/contract.ts";
import { pause } from "../connection/abort.ts";
import type { Connection } from "../connection/connection.ts";
import { HeartbeatTimeout } from "../connection/heartbeat_timeout.ts";
import { RetryPolicy } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { ClientError, ConnectionLostError, fromStatus } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { InputBuffer } from "./input_buffer.ts";

/** How often a message is sent that shows that this end is alive; the server answers each. */
const HEARTBEAT_SECONDS = 10;

/** While so much waits to be written to the connection, more is gathered: fewer, longer messages cost less. */
const MAX_UNWRITTEN_BYTES = 512 * 1024;

/** Which input, and how it is sent. */
export interface SendInputOptions {
  readonly jobID: string;
  /** What the job is to read. Nothing more is taken from it than can be sent soon. */
  readonly source: AsyncIterable<Uint8Array>;
  /** Whether the job may have been sent other input before: this goes behind it then. */
  readonly appends?: boolean;
  /** Whether the job's input does not end with this: somebody may go on. */
  readonly keepsOpen?: boolean | undefined;
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs: number;
  /** Called with how many bytes the server has taken. */
  readonly onBytes?: ((length: number) => void) | undefined;
  /** Called once, when what was sent waits for room on the server's disk. */
  readonly onDiskFull?: (() => void) | undefined;
  /** Called when the connection is lost, and when the input goes on, with the offset. */
  readonly onLost?: ((offset: number) => void) | undefined;
  readonly onResumed?: ((offset: number) => void) | undefined;
}

/** Where it is sent to, and what ends it. */
export interface SendInputContext {
  readonly session: Pick<Session, "connect" | "isRetryable">;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Sends a job its input to the end, over as many connections as it takes; the job reads every byte once.
 *
 * @returns Whether the job was sent all of it; false: it reads no more.
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 * @throws What the source throws, and the signal's reason.
 */
export async function sendInput(
  options: SendInputOptions,
  { session, signal }: SendInputContext,
): Promise<boolean> {
  const input = new Input(options, signal);
  const policy = new RetryPolicy(options.retryForMs);
  const onAnswer = () => {
    if (!policy.hasFailed) return;
    policy.reset();
    options.onResumed?.(input.buffer.offset);
  };
  try {
    for (;;) {
      try {
        using connection = await session.connect({ signal });
        return await input.sendOver(connection, onAnswer);
      } catch (error) {
        signal?.throwIfAborted();
        if (!session.isRetryable(error)) throw error;
        const isFirstFailure = !policy.hasFailed;
        const delayMs = policy.nextDelayMs();
        if (delayMs === undefined) throw error;
        if (isFirstFailure) options.onLost?.(input.buffer.offset);
        await pause(delayMs, signal);
      }
    }
  } finally {
    input.close();
  }
}

/** The input, and how far it is. */
class Input {
  readonly buffer = new InputBuffer();
  readonly #options: SendInputOptions;
  readonly #signal: AbortSignal | undefined;
  readonly #iterator: AsyncIterator<Uint8Array>;
  /** The same for each connection: it takes the place of the one before. */
  readonly #sender = crypto.randomUUID();
  #hasBegun = false;
  #isFullTold = false;
  #isReading = false;
  #failure: { readonly error: unknown } | undefined;
  #onNews = () => {};

  constructor(options: SendInputOptions, signal: AbortSignal | undefined) {
    this.#options = options;
    this.#signal = signal;
    this.#iterator = options.source[Symbol.asyncIterator]();
  }

  /** Lets the source go; a read of standard input that is under way ends with the process. */
  close(): void {
    this.#iterator.return?.().catch(() => {});
  }

  /** Reads ahead, where there is room, and tells of the news. */
  async #read(): Promise<void> {
    if (this.#isReading) return;
    this.#isReading = true;
    try {
      while (this.buffer.hasRoom) {
        const { done, value } = await this.#iterator.next();
        if (done === true) this.buffer.end({ isLast: this.#options.keepsOpen !== true });
        else this.buffer.push(value);
        this.#onNews();
      }
    } catch (error) {
      this.#failure = { error };
      this.#onNews();
    } finally {
      this.#isReading = false;
    }
  }

  /**
   * Sends what there is over one connection.
   *
   * @throws {ConnectionLostError} It broke, or answers are missing.
   */
  async sendOver(connection: Connection, onAnswer: () => void): Promise<boolean> {
    const { jobID } = this.#options;
    const { server } = connection;
    using timeout = new HeartbeatTimeout(HEARTBEAT_SECONDS, this.#signal);
    const call = connection.input();
    const heartbeat = setInterval(
      () => call.write({ offset: this.buffer.offset }),
      HEARTBEAT_SECONDS * 1000,
    );
    const finished = deferred<boolean>();
    let allowedBytes: number | undefined;
    let unwrittenBytes = 0;
    let isOver = false;
    let isLeaving = false;
    /** Ends the call without an end of the input: the server answers by the end of its own. */
    const leave = () => {
      if (isLeaving) return;
      isLeaving = true;
      clearInterval(heartbeat);
      call.end();
    };
    const send = () => {
      if (this.#failure !== undefined) return finished.reject(this.#failure.error);
      if (allowedBytes === undefined) return;
      while (unwrittenBytes < MAX_UNWRITTEN_BYTES) {
        const piece = this.buffer.next(allowedBytes);
        if (piece === undefined) break;
        const { length } = piece.data;
        unwrittenBytes += length;
        call.write(piece, () => {
          unwrittenBytes -= length;
          if (!isOver) send();
        });
      }
      if (this.#options.keepsOpen && this.buffer.isHeld) return leave();
      void this.#read();
    };
    const take = timeout.restartedBy((answer: InputResponse__Output) => {
      const { heldBytes, ended, unread } = answer;
      if (allowedBytes === undefined) this.#begin(answer);
      const newBytes = this.buffer.hold(heldBytes);
      this.#options.onBytes?.(newBytes);
      if (answer.diskFull && !this.#isFullTold) {
        this.#isFullTold = true;
        this.#options.onDiskFull?.();
      }
      // A job that has ended has no input any more, whether it was sent all of this or not.
      if (ended || unread) return finished.resolve(ended && this.buffer.isHeld);
      allowedBytes = answer.allowedBytes;
      onAnswer();
      send();
    });
    call.on("data", (answer: InputResponse__Output) => {
      try {
        take(answer);
      } catch (error) {
        finished.reject(error);
      }
    });
    call.on("error", (error) => {
      finished.reject(fromStatus(error, { server, method: "Input" }));
    });
    call.on("end", () => {
      if (isLeaving) return finished.resolve(true);
      finished.reject(new ConnectionLostError(`${server} has ended the input. Try again.`));
    });
    timeout.signal.addEventListener("abort", () => {
      const text = `Lost the connection to ${server}: no answer for ${timeout.timeoutSeconds} ` +
        "seconds. Try again.";
      const signal = this.#signal;
      finished.reject(signal?.aborted ? signal.reason : new ConnectionLostError(text));
    });
    this.#onNews = send;
    call.write({ jobID, sender: this.#sender });
    try {
      return await finished.promise;
    } finally {
      isOver = true;
      this.#onNews = () => {};
      clearInterval(heartbeat);
      call.cancel();
    }
  }

  /** @throws {ClientError} The job has input of somebody else's, or not all that it was sent. */
  #begin({ heldBytes, ended, unread }: InputResponse__Output): void {
    const { jobID, appends = false } = this.#options;
    if (unread) return;
    if (!this.#hasBegun) {
      if (ended) throw failure(jobID, "its input has ended already");
      if (heldBytes > 0 && !appends) {
        throw failure(jobID, `${heldBytes} bytes of input were sent to it before`);
      }
      this.buffer.startAt(heldBytes);
      this.#hasBegun = true;
    }
    if (!this.buffer.resume(heldBytes)) {
      throw failure(jobID, "the server has not kept what it has said it held");
    }
  }
}

function failure(jobID: string, problem: string): ClientError {
  return new ClientError(`Cannot send input to job ${jobID}: ${problem}.`, ExitStatus.failed);
}
