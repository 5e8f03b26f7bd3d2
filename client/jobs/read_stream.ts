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
  let isRead = serverCertificate !== undefined && BulkConnection.isPossible
    ? await readByTwo(
      connection,
      reading,
      () => BulkConnection.open(connection.endpoint, serverCertificate),
    )
    : await readStream(connection, reading);
  while (!isRead) {
    await unlessAborted(Promise.resolve(room?.()), signal);
    isRead = await readStream(connection, reading);
  }
}

/** The first connection, and the second, as a stream needs them. */
export type FirstConnection = Pick<Connection, "stream" | "server" | "hold" | "release">;
export type SecondConnection = Pick<BulkConnection, "read"> & Disposable;

/**
 * Reads over the first connection until a second has answered, and then over that. Both may bring the
 * same bytes meanwhile, of which `onMessage` takes each once. A second stream that is refused, or breaks
 * before it has answered, changes nothing.
 *
 * @returns Whether the stream was read to its end. The second connection does not tell how its answer
 * ended; an old server does not tell its last message.
 */
export async function readByTwo(
  connection: FirstConnection,
  reading: ConnectionReading,
  open: () => Promise<SecondConnection | undefined>,
): Promise<boolean> {
  const { room, signal } = reading;
  using takeOver = new TakeOver(connection, open);
  let isRead = false;
  const readSecond = async () => {
    const second = await takeOver.second;
    if (second === undefined) return;
    await readBulk(second, {
      ...reading,
      onMessage: (message) => {
        takeOver.complete();
        if (!takeOver.isComplete) return;
        reading.onMessage(message);
        isRead = message.isLast;
      },
      // The answer itself is read also where the sink is full: the first stream is held for it.
      room: room && (() => takeOver.isComplete ? room() : undefined),
    });
    takeOver.leave();
  };
  const bySecond = readSecond();
  bySecond.catch(() => {
    // It is thrown below: only who has answered can fail, and for that the first stream ends.
  });
  const isWhole = await readStream(connection, {
    ...reading,
    onMessage: (message) => {
      reading.onMessage(message);
      takeOver.count(message.output.length);
    },
    // Where the sink is full the second connection is made, too: there, reading can pause.
    room: room && (() => {
      const waiting = room();
      if (waiting !== undefined) takeOver.begin();
      return takeOver.isUnderWay ? undefined : waiting;
    }),
    enough: takeOver.completed,
  });
  if (isWhole) return true;
  await unlessAborted(bySecond, signal);
  signal?.throwIfAborted();
  // To ask again costs a call, and the job may be removed.
  return isRead;
}

/** Reads what it can over a second connection. */
async function readBulk(
  second: SecondConnection,
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
