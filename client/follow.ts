import type { ServiceError } from "@grpc/grpc-js";
import type { StreamRequest, StreamResponse__Output } from "../proto/contract.ts";
import { BulkConnection } from "./bulk/connection.ts";
import { type Connection, MAX_MESSAGE_BYTES } from "./connection.ts";
import { ConnectionLostError, fromServiceError } from "./errors.ts";
import { Patience, pause } from "./patience.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

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
  /** Called with how many bytes have been written. */
  readonly onBytes?: (length: number) => void;
  /** How long a broken connection is tried again, in milliseconds; 0: not at all. */
  readonly retryForMs: number;
  /** After how many seconds of silence the server gives a sign of life; 10 unless given. */
  readonly heartbeatSeconds?: number;
}

/**
 * Writes a job's output to the terminal until it ends, over as many connections as it takes,
 * without a lost or doubled byte.
 *
 * @throws {ClosedOutputError} Nobody reads our output any more.
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 */
export async function follow(
  options: FollowOptions,
  { session, terminal }: { session: Session; terminal: Terminal },
): Promise<void> {
  const position = new Position(options, terminal);
  const patience = new Patience(options.retryForMs);
  const onMessage = (message: StreamResponse__Output) => {
    if (patience.isTried) {
      patience.reset();
      terminal.note(`resumed${position.describe(message.offset)}`);
    }
    position.take(message);
  };
  for (;;) {
    try {
      using connection = await session.connect();
      await readOutput(connection, position, onMessage);
      return;
    } catch (error) {
      if (!session.isWorthRetrying(error)) throw error;
      const isNewTrouble = !patience.isTried;
      const pauseMs = patience.nextPauseMs();
      if (pauseMs === undefined) throw error;
      if (isNewTrouble) terminal.note(`connection lost${position.describe()}, trying again...`);
      await pause(pauseMs);
    }
  }
}

/** How far the output has been written, whichever connection it came over. */
class Position {
  readonly #options: FollowOptions;
  readonly #terminal: Terminal;
  /** The offset of the next byte; not known for a tail before the first message. */
  #next: number | undefined;

  constructor(options: FollowOptions, terminal: Terminal) {
    this.#options = options;
    this.#terminal = terminal;
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
      this.#terminal.note(`${offset - next} bytes rotated away`);
      this.#next = offset;
    }
    const bytes = output.subarray(Math.max(0, next - offset));
    if (bytes.length > 0) this.#terminal.write(bytes);
    this.#options.onBytes?.(bytes.length);
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
  onMessage: (message: StreamResponse__Output) => void,
): Promise<void> {
  const { endpoint, serverCertificate } = connection;
  // This stream ends before the second connection is made: it would leave no time for a handshake.
  const limitBytes = serverCertificate === undefined ? Infinity : BULK_AFTER_BYTES;
  if (await readStream(connection, { request: position.request(), onMessage, limitBytes })) return;
  using bulk = serverCertificate && await BulkConnection.open(endpoint, serverCertificate);
  const request = position.request();
  using silence = new Silence(request.heartbeatSeconds);
  await bulk?.read({
    request,
    maxMessageBytes: MAX_MESSAGE_BYTES,
    signal: silence.signal,
    onMessage: silence.listen(onMessage),
  });
  await readStream(connection, { request: position.request(), onMessage });
}

/** What is read of a stream. */
interface ReadOptions {
  readonly request: StreamRequest & { heartbeatSeconds: number };
  /** Called with each message. */
  readonly onMessage: (message: StreamResponse__Output) => void;
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
 * @throws Whatever `onMessage` throws, and the server's refusal.
 */
async function readStream(
  connection: Connection,
  { request, onMessage, limitBytes = Infinity }: ReadOptions,
): Promise<boolean> {
  using silence = new Silence(request.heartbeatSeconds);
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
