import type { StreamRequest, StreamResponse__Output } from "../../proto/contract.ts";
import { unlessAborted } from "../connection/abort.ts";
import { BulkConnection } from "../connection/bulk/connection.ts";
import { type Connection, MAX_MESSAGE_BYTES } from "../connection/connection.ts";
import { HeartbeatTimeout } from "../connection/heartbeat_timeout.ts";
import { readAnswers } from "./read_answers.ts";
import { TakeOver } from "./take_over.ts";

/** What is read over one connection. */
export interface ConnectionReading {
  /** Makes the request that continues at the next byte. */
  readonly request: () => StreamRequest;
  /** The interval of the server's heartbeats. */
  readonly heartbeatSeconds: number;
  /** Called with each message. */
  readonly onMessage: (message: StreamResponse__Output) => void;
  /** See `OutputSink.room`. */
  readonly room: (() => Promise<void> | undefined) | undefined;
  readonly signal: AbortSignal | undefined;
}

/**
 * Reads a stream to its end: most of a long one over a second connection, which is faster.
 *
 * @throws As {@linkcode readStream} says.
 */
export async function readConnection(
  connection: Connection,
  reading: ConnectionReading,
): Promise<void> {
  const { room, signal } = reading;
  const { serverCertificate } = connection;
  if (serverCertificate !== undefined) {
    const open = () => BulkConnection.open(connection.endpoint, serverCertificate);
    if (await readByTwo(connection, reading, open)) return;
  }
  while (!await readStream(connection, reading)) {
    await unlessAborted(Promise.resolve(room?.()), signal);
  }
}

/**
 * Reads what it can over the first connection and then over a second, which is made while the first
 * brings more: its handshake takes long beside a round trip.
 *
 * @returns Whether the stream was read to its end. The second connection does not tell how its answer
 * ended; an old server does not tell its last message.
 */
async function readByTwo(
  connection: Connection,
  reading: ConnectionReading,
  open: () => Promise<BulkConnection | undefined>,
): Promise<boolean> {
  const { signal } = reading;
  using takeOver = new TakeOver(open);
  const onFirst = (message: StreamResponse__Output) => {
    reading.onMessage(message);
    takeOver.count(message.output.length);
  };
  const first = { ...reading, onMessage: onFirst, enough: takeOver.due };
  if (await readStream(connection, first)) return true;
  const second = await unlessAborted(takeOver.second(), signal);
  let isRead = false;
  const onSecond = (message: StreamResponse__Output) => {
    reading.onMessage(message);
    isRead = message.isLast;
  };
  if (second !== undefined) await readBulk(second, { ...reading, onMessage: onSecond });
  signal?.throwIfAborted();
  // To ask again costs a call, and the job may be removed.
  return isRead;
}

/** Reads what it can over a second connection. */
async function readBulk(
  second: BulkConnection,
  { request, heartbeatSeconds, onMessage, room, signal }: ConnectionReading,
): Promise<void> {
  using timeout = new HeartbeatTimeout(heartbeatSeconds, signal);
  await second.read({
    request: { ...request(), heartbeatSeconds },
    maxMessageBytes: MAX_MESSAGE_BYTES,
    signal: timeout.signal,
    onMessage: timeout.restartedBy(onMessage),
    room: room && (() => {
      const waiting = room();
      return waiting && timeout.suspendedFor(unlessAborted(waiting, signal));
    }),
  });
}

/**
 * Reads one stream.
 *
 * It never pauses the stream: this runtime would continue to read from the network and keep it all in
 * memory. A slow standard output blocks the whole process instead (see `writeFully`), and when the
 * sink accepts no more the stream is cancelled, to be requested again at the next byte.
 *
 * @returns Whether it was read to its end; false: it was cancelled, for the sink or since it was enough.
 * @throws {ConnectionLostError} The connection broke, or heartbeats are missing.
 * @throws Whatever `onMessage` throws, the server's refusal, and the signal's reason.
 */
export async function readStream(
  connection: Pick<Connection, "stream" | "server">,
  { request, heartbeatSeconds, onMessage, room, signal, enough }: ConnectionReading & {
    /** Settles when no more is to be read. */
    readonly enough?: Promise<void>;
  },
): Promise<boolean> {
  signal?.throwIfAborted();
  using timeout = new HeartbeatTimeout(heartbeatSeconds, signal);
  const call = connection.stream({ ...request(), heartbeatSeconds });
  return await readAnswers(call, {
    server: connection.server,
    method: "Stream",
    timeout,
    missing: "no data and no heartbeat",
    take: timeout.restartedBy(onMessage),
    isEnough: () => room?.() !== undefined,
    enough,
    signal,
  });
}
