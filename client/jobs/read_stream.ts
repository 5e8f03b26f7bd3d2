import type { StreamRequest, StreamResponse__Output } from "../../proto/contract.ts";
import { unlessAborted } from "../connection/abort.ts";
import { BulkConnection } from "../connection/bulk/connection.ts";
import { type Connection, MAX_MESSAGE_BYTES } from "../connection/connection.ts";
import { HeartbeatTimeout } from "../connection/heartbeat_timeout.ts";
import { readAnswers } from "./read_answers.ts";

/** A stream that has brought so many bytes continues over the faster second connection. */
export const BULK_AFTER_BYTES = 1024 ** 2;

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
  let isRead = false;
  const onMessage = (message: StreamResponse__Output) => {
    reading.onMessage(message);
    isRead = message.isLast;
  };
  // This stream ends before the second connection is made: it would leave no time for a handshake.
  const limitBytes = serverCertificate === undefined ? Infinity : BULK_AFTER_BYTES;
  if (await readStream(connection, { ...reading, limitBytes })) return;
  await unlessAborted(Promise.resolve(room?.()), signal);
  if (serverCertificate !== undefined) {
    await readBulk(connection, { ...reading, onMessage }, serverCertificate);
  }
  signal?.throwIfAborted();
  // The second connection does not tell how its answer ended. To ask again costs a call, and the job may
  // be removed; an old server does not tell its last message.
  if (isRead) return;
  while (!await readStream(connection, reading)) {
    await unlessAborted(Promise.resolve(room?.()), signal);
  }
}

/** Reads what it can over a second connection; nothing where that cannot be made. */
async function readBulk(
  { endpoint }: Connection,
  { request, heartbeatSeconds, onMessage, room, signal }: ConnectionReading,
  serverCertificate: Uint8Array,
): Promise<void> {
  using bulk = await unlessAborted(
    BulkConnection.open(endpoint, serverCertificate),
    signal,
    (late) => late?.[Symbol.dispose](),
  );
  using timeout = new HeartbeatTimeout(heartbeatSeconds, signal);
  await bulk?.read({
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
 * @returns Whether it was read to its end; false: it was cancelled for the limit or the sink.
 * @throws {ConnectionLostError} The connection broke, or heartbeats are missing.
 * @throws Whatever `onMessage` throws, the server's refusal, and the signal's reason.
 */
export async function readStream(
  connection: Pick<Connection, "stream" | "server">,
  { request, heartbeatSeconds, onMessage, room, signal, limitBytes = Infinity }:
    & ConnectionReading
    & { readonly limitBytes?: number },
): Promise<boolean> {
  signal?.throwIfAborted();
  using timeout = new HeartbeatTimeout(heartbeatSeconds, signal);
  const call = connection.stream({ ...request(), heartbeatSeconds });
  let receivedBytes = 0;
  const take = timeout.restartedBy((message: StreamResponse__Output) => {
    onMessage(message);
    receivedBytes += message.output.length;
  });
  return await readAnswers(call, {
    server: connection.server,
    method: "Stream",
    timeout,
    missing: "no data and no heartbeat",
    take,
    isEnough: () => receivedBytes >= limitBytes || room?.() !== undefined,
    signal,
  });
}
