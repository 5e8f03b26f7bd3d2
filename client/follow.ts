import type { ServiceError } from "@grpc/grpc-js";
import type { StreamRequest, StreamResponse__Output } from "../proto/contract.ts";
import { BulkConnection } from "./bulk/connection.ts";
import { type Connection, MAX_MESSAGE_BYTES } from "./connection.ts";
import { ClosedOutputError, ConnectionLostError, fromServiceError } from "./errors.ts";
import { Patience, pause } from "./patience.ts";
import type { Session } from "./session.ts";

/** How long a broken stream is tried again when nobody says: a reboot of the server's host fits. */
export const DEFAULT_RETRY_FOR_MS = 10 * 60_000;

/** After so many seconds of silence the server is asked to send an empty message. */
const HEARTBEAT_SECONDS = 10;

/** So many missed heartbeats are a dead connection. */
const MISSED_HEARTBEATS = 3;

/** A stream that has brought so much goes on over a connection that is made for much. */
const BULK_AFTER_BYTES = 1024 * 1024;

/** Which output of a job, and how stubbornly. */
export interface FollowOptions {
  readonly jobID: string;
  /** Where to start; at most one of the three. None: byte 0. */
  readonly offset?: number | undefined;
  readonly tailLines?: number | undefined;
  readonly tailBytes?: number | undefined;
  /** Whether to go on while the job runs. */
  readonly follow: boolean;
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs: number;
  /** After how many seconds of silence the server gives a sign of life; 10 unless given. */
  readonly heartbeatSeconds?: number;
  /** Ends it, as output that nobody reads any more does. */
  readonly signal?: AbortSignal;
}

/** Where output goes. A terminal is one. */
export interface Sink {
  /**
   * Takes bytes, in order.
   *
   * @param offset Where in the job's output they begin.
   */
  write(bytes: Uint8Array, offset: number): void;
  /** Takes one line of ours: what is missing, and how the connection does. */
  note(text: string): void;
}

/**
 * Writes a job's output to the sink until it ends, over as many connections as it takes,
 * without a lost or doubled byte.
 *
 * @throws {ClosedOutputError} Nobody reads our output any more, or the signal says so.
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 */
export async function follow(
  options: FollowOptions,
  { session, sink }: { session: Session; sink: Sink },
): Promise<void> {
  const { signal } = options;
  const position = new Position(options, sink);
  const patience = new Patience(options.retryForMs);
  const onMessage = (message: StreamResponse__Output) => {
    if (patience.isTried) {
      patience.reset();
      sink.note(`resumed${position.describe(message.offset)}`);
    }
    position.take(message);
  };
  for (;;) {
    if (signal?.aborted) throw new ClosedOutputError();
    try {
      using connection = await session.connect();
      await readOutput(connection, position, { onMessage, signal });
      return;
    } catch (error) {
      if (!session.isWorthRetrying(error)) throw error;
      const isNewTrouble = !patience.isTried;
      const pauseMs = patience.nextPauseMs();
      if (pauseMs === undefined) throw error;
      if (isNewTrouble) sink.note(`connection lost${position.describe()}, trying again...`);
      await pause(pauseMs);
    }
  }
}

/** How far the output has been written, whichever connection it came over. */
class Position {
  readonly #options: FollowOptions;
  readonly #sink: Sink;
  /** The offset of the next byte; not known for a tail before the first message. */
  #next: number | undefined;

  constructor(options: FollowOptions, sink: Sink) {
    this.#options = options;
    this.#sink = sink;
    const isTail = options.tailLines !== undefined || options.tailBytes !== undefined;
    this.#next = isTail ? undefined : options.offset ?? 0;
  }

  /** ` at byte N`, once that is known. */
  describe(offset?: number): string {
    const byte = this.#next ?? offset;
    return byte === undefined ? "" : ` at byte ${byte}`;
  }

  /** What to ask the server for now. */
  request(): StreamRequest & { heartbeatSeconds: number } {
    const { jobID, tailLines, tailBytes, follow } = this.#options;
    return {
      jobID,
      noFollow: !follow,
      heartbeatSeconds: this.#options.heartbeatSeconds ?? HEARTBEAT_SECONDS,
      ...(this.#next !== undefined && { offset: this.#next }),
      ...(this.#next === undefined && tailLines !== undefined && { tailLines }),
      ...(this.#next === undefined && tailBytes !== undefined && { tailBytes }),
    };
  }

  /** Writes what the message adds. */
  take(message: StreamResponse__Output): void {
    const { offset, gapBytes, output } = message;
    const next = this.#next ?? offset - gapBytes;
    if (offset > next) {
      this.#sink.note(`${offset - next} bytes rotated away`);
      this.#next = offset;
    }
    const known = Math.max(0, next - offset);
    const bytes = output.subarray(known);
    if (bytes.length > 0) this.#sink.write(bytes, offset + known);
    this.#next = Math.max(next, offset + output.length);
  }
}

/**
 * Reads a stream to its end: most of a long one over a second connection, which is faster.
 *
 * @throws As `readStream` says.
 */
async function readOutput(
  connection: Connection,
  position: Position,
  { onMessage, signal }: Pick<ReadOptions, "onMessage" | "signal">,
): Promise<void> {
  const { endpoint, serverCertificate } = connection;
  // This stream ends before the second connection is made: it would leave no time for a handshake.
  const limitBytes = serverCertificate === undefined ? Infinity : BULK_AFTER_BYTES;
  const first = { request: position.request(), onMessage, signal, limitBytes };
  if (await readStream(connection, first)) return;
  using bulk = serverCertificate && await BulkConnection.open(endpoint, serverCertificate);
  const request = position.request();
  using silence = new Silence(request.heartbeatSeconds);
  await bulk?.read({
    request,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    signal: signal === undefined ? silence.signal : AbortSignal.any([silence.signal, signal]),
    onMessage: silence.listen(onMessage),
  });
  await readStream(connection, { request: position.request(), onMessage, signal });
}

/** What is read of a stream. */
interface ReadOptions {
  readonly request: StreamRequest & { heartbeatSeconds: number };
  /** Called with each message. */
  readonly onMessage: (message: StreamResponse__Output) => void;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** The stream is left when it has brought so many bytes. */
  readonly limitBytes?: number;
}

/**
 * Reads one stream.
 *
 * It never pauses the stream: this runtime would go on reading from the network and keep it all in
 * memory. A slow standard output blocks the whole process instead (see `writeFully`).
 *
 * @returns Whether it was read to its end.
 * @throws {ConnectionLostError} The connection broke, or is silent though heartbeats were asked for.
 * @throws {ClosedOutputError} The signal says that nobody waits for it.
 * @throws Whatever `onMessage` throws, and the server's refusal.
 */
async function readStream(
  connection: Connection,
  { request, onMessage, signal, limitBytes = Infinity }: ReadOptions,
): Promise<boolean> {
  if (signal?.aborted) throw new ClosedOutputError();
  using silence = new Silence(request.heartbeatSeconds);
  const call = connection.stream(request);
  const { server } = connection;
  let receivedBytes = 0;
  let leave = () => {};
  const take = silence.listen((message: StreamResponse__Output) => {
    onMessage(message);
    receivedBytes += message.output.length;
  });
  try {
    return await new Promise<boolean>((resolve, reject) => {
      let isOver = false;
      const finish = (settle: () => void) => {
        isOver = true;
        settle();
      };
      leave = () => finish(() => reject(new ClosedOutputError()));
      signal?.addEventListener("abort", leave);
      silence.signal.addEventListener("abort", () => {
        const seconds = silence.deadAfterSeconds;
        const text = `Lost the connection to ${server}: silent for ${seconds} seconds. Try again.`;
        finish(() => reject(new ConnectionLostError(text)));
      });
      call.on("data", (message: StreamResponse__Output) => {
        if (isOver) return;
        try {
          take(message);
        } catch (error) {
          finish(() => reject(error));
        }
        if (!isOver && receivedBytes >= limitBytes) finish(() => resolve(false));
      });
      call.on("error", (error) => {
        const failure = fromServiceError(error as ServiceError, { server, method: "Stream" });
        finish(() => reject(failure));
      });
      call.on("end", () => finish(() => resolve(true)));
    });
  } finally {
    signal?.removeEventListener("abort", leave);
    call.cancel();
  }
}

/** Notices that nothing is heard any more, not even a heartbeat. */
class Silence implements Disposable {
  readonly deadAfterSeconds: number;
  readonly #dead = new AbortController();
  readonly #clock: ReturnType<typeof setInterval>;
  #silentSeconds = 0;

  /** @param heartbeatSeconds How often the server gives a sign of life. */
  constructor(heartbeatSeconds: number) {
    this.deadAfterSeconds = MISSED_HEARTBEATS * heartbeatSeconds;
    // Ticks are counted, not time: while a slow standard output blocks this process no tick passes,
    // and nobody could have heard a heartbeat.
    this.#clock = setInterval(() => {
      this.#silentSeconds += 1;
      if (this.#silentSeconds >= this.deadAfterSeconds) this.#dead.abort();
    }, 1_000);
  }

  /** Aborted when it has lasted too long. */
  get signal(): AbortSignal {
    return this.#dead.signal;
  }

  /** Wraps a listener, so that each message ends the silence. */
  listen<Message>(onMessage: (message: Message) => void): (message: Message) => void {
    return (message) => {
      this.#silentSeconds = 0;
      onMessage(message);
    };
  }

  [Symbol.dispose](): void {
    clearInterval(this.#clock);
  }
}
