import type { ServiceError } from "@grpc/grpc-js";
import type { StreamRequest, StreamResponse__Output } from "../../proto/contract.ts";
import { unlessAborted } from "../connection/abort.ts";
import { BulkConnection } from "../connection/bulk/connection.ts";
import { type Connection, MAX_MESSAGE_BYTES } from "../connection/connection.ts";
import { ConnectionLostError, fromServiceError } from "../errors.ts";
import { Patience, pause } from "../connection/patience.ts";
import type { Session } from "../connection/session.ts";
import { Silence } from "../connection/silence.ts";

/** After so many seconds of silence the server is asked to send an empty message. */
const HEARTBEAT_SECONDS = 10;

/** A stream that has brought so much goes on over a connection that is made for much. */
export const BULK_AFTER_BYTES = 1024 * 1024;

/** Which output of a job, and how stubbornly. */
export interface OutputOptions {
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
}

/** Who takes a job's output. What its methods throw ends the reading, and is thrown on. */
export interface OutputSink {
  /** Takes the next bytes; never none, and theirs to keep. */
  take(bytes: Uint8Array, offset: number): void;
  /** Hears that so many bytes right before the offset were rotated away. */
  skip(gapBytes: number, offset: number): void;
  /** Hears that the connection broke, and where; not known for a tail that has brought nothing. */
  lose(offset: number | undefined): void;
  /** Hears that it goes on, and where. */
  resume(offset: number): void;
  /**
   * A promise while no more should be brought, and nothing while it should. Without it all is brought
   * as it comes.
   */
  room?(): Promise<void> | undefined;
}

/** Where output is read from, who takes it, and what ends it. */
export interface OutputContext {
  readonly session: Session;
  readonly sink: OutputSink;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Brings a job's output until it ends, over as many connections as it takes, without a lost or
 * doubled byte.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 * @throws What the sink throws, and the signal's reason.
 */
export async function readJobOutput(
  options: OutputOptions,
  { session, sink, signal }: OutputContext,
): Promise<void> {
  const position = new Position(options, sink);
  const patience = new Patience(options.retryForMs);
  const onMessage = (message: StreamResponse__Output) => {
    if (patience.isTried) {
      patience.reset();
      sink.resume(position.next ?? message.offset);
    }
    position.take(message);
  };
  const room = sink.room && (() => sink.room?.());
  for (;;) {
    try {
      using connection = await session.connect({ signal });
      await readConnection(connection, { position, onMessage, room, signal });
      return;
    } catch (error) {
      signal?.throwIfAborted();
      if (!session.isWorthRetrying(error)) throw error;
      const isNewTrouble = !patience.isTried;
      const pauseMs = patience.nextPauseMs();
      if (pauseMs === undefined) throw error;
      if (isNewTrouble) sink.lose(position.next);
      await pause(pauseMs, signal);
    }
  }
}

/** How far the output has been taken, whichever connection it came over. */
class Position {
  readonly #options: OutputOptions;
  readonly #sink: OutputSink;
  /** The offset of the next byte; not known for a tail before the first message. */
  #next: number | undefined;

  constructor(options: OutputOptions, sink: OutputSink) {
    this.#options = options;
    this.#sink = sink;
    const isTail = options.tailLines !== undefined || options.tailBytes !== undefined;
    this.#next = isTail ? undefined : options.offset ?? 0;
  }

  get next(): number | undefined {
    return this.#next;
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

  /** Passes on what the message adds. */
  take(message: StreamResponse__Output): void {
    const { offset, gapBytes, output } = message;
    const next = this.#next ?? offset - gapBytes;
    if (offset > next) {
      this.#sink.skip(offset - next, offset);
      this.#next = offset;
    }
    const bytes = output.subarray(Math.max(0, next - offset));
    if (bytes.length > 0) this.#sink.take(bytes, Math.max(next, offset));
    this.#next = Math.max(next, offset + output.length);
  }
}

/** What is read over one connection. */
interface ConnectionReading {
  readonly position: Position;
  /** Called with each message. */
  readonly onMessage: (message: StreamResponse__Output) => void;
  readonly room: (() => Promise<void> | undefined) | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads a stream to its end: most of a long one over a second connection, which is faster.
 *
 * @throws As `readStream` says.
 */
async function readConnection(
  connection: Connection,
  { position, onMessage, room, signal }: ConnectionReading,
): Promise<void> {
  const { endpoint, serverCertificate } = connection;
  const reading = { onMessage, room, signal };
  // This stream ends before the second connection is made: it would leave no time for a handshake.
  const limitBytes = serverCertificate === undefined ? Infinity : BULK_AFTER_BYTES;
  const first = { ...reading, request: position.request(), limitBytes };
  if (await readStream(connection, first)) return;
  await unlessAborted(Promise.resolve(room?.()), signal);
  using bulk = serverCertificate && await unlessAborted(
    BulkConnection.open(endpoint, serverCertificate),
    signal,
    (late) => late?.[Symbol.dispose](),
  );
  const request = position.request();
  using silence = new Silence(request.heartbeatSeconds, signal);
  await bulk?.read({
    request,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    signal: silence.signal,
    onMessage: silence.listen(onMessage),
    room: room && (() => {
      const waiting = room();
      return waiting && silence.excuse(unlessAborted(waiting, signal));
    }),
  });
  signal?.throwIfAborted();
  while (!await readStream(connection, { ...reading, request: position.request() })) {
    await unlessAborted(Promise.resolve(room?.()), signal);
  }
}

/** What is read of a stream. */
interface StreamReading {
  readonly request: StreamRequest & { heartbeatSeconds: number };
  /** Called with each message. */
  readonly onMessage: (message: StreamResponse__Output) => void;
  readonly room: (() => Promise<void> | undefined) | undefined;
  readonly signal: AbortSignal | undefined;
  /** The stream is left when it has brought so many bytes. */
  readonly limitBytes?: number;
}

/**
 * Reads one stream.
 *
 * It never pauses the stream: this runtime would go on reading from the network and keep it all in
 * memory. A slow standard output blocks the whole process instead (see `writeFully`), and where
 * there is no room the stream is left, to be asked for again at the next byte.
 *
 * @returns Whether it was read to its end.
 * @throws {ConnectionLostError} The connection broke, or is silent though heartbeats were asked for.
 * @throws Whatever `onMessage` throws, the server's refusal, and the signal's reason.
 */
async function readStream(
  connection: Connection,
  { request, onMessage, room, signal, limitBytes = Infinity }: StreamReading,
): Promise<boolean> {
  signal?.throwIfAborted();
  using silence = new Silence(request.heartbeatSeconds, signal);
  const call = connection.stream(request);
  const { server } = connection;
  let receivedBytes = 0;
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
      silence.signal.addEventListener("abort", () => {
        const seconds = silence.deadAfterSeconds;
        const text = `Lost the connection to ${server}: silent for ${seconds} seconds. Try again.`;
        finish(() => reject(signal?.aborted ? signal.reason : new ConnectionLostError(text)));
      });
      call.on("data", (message: StreamResponse__Output) => {
        if (isOver) return;
        try {
          take(message);
        } catch (error) {
          finish(() => reject(error));
        }
        const isEnough = receivedBytes >= limitBytes || room?.() !== undefined;
        if (!isOver && isEnough) finish(() => resolve(false));
      });
      call.on("error", (error) => {
        const failure = fromServiceError(error as ServiceError, { server, method: "Stream" });
        finish(() => reject(failure));
      });
      call.on("end", () => finish(() => resolve(true)));
    });
  } finally {
    call.cancel();
  }
}
