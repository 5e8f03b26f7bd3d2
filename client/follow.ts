import type { ServiceError } from "@grpc/grpc-js";
import type { StreamRequest, StreamResponse__Output } from "../proto/contract.ts";
import type { Connection } from "./connection.ts";
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
      await readStream(connection, position.request(), onMessage);
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
    this.#next = Math.max(next, offset + output.length);
  }
}

/**
 * Reads one stream to its end.
 *
 * It never pauses the stream: this runtime would go on reading from the network and keep it all in
 * memory. A slow standard output blocks the whole process instead (see `writeFully`).
 *
 * @throws {ConnectionLostError} The connection broke, or is silent though heartbeats were asked for.
 * @throws Whatever `onMessage` throws, and the server's refusal.
 */
function readStream(
  connection: Connection,
  request: StreamRequest & { heartbeatSeconds: number },
  onMessage: (message: StreamResponse__Output) => void,
): Promise<void> {
  const call = connection.stream(request);
  const deadAfterSeconds = MISSED_HEARTBEATS * request.heartbeatSeconds;
  let silentSeconds = 0;
  // Ticks are counted, not time: while a slow standard output blocks this process no tick passes,
  // and nobody could have heard a heartbeat.
  let clock: ReturnType<typeof setInterval> | undefined;
  const ended = new Promise<void>((resolve, reject) => {
    let isEnded = false;
    const fail = (error: unknown) => {
      isEnded = true;
      reject(error);
    };
    clock = setInterval(() => {
      silentSeconds += 1;
      if (silentSeconds < deadAfterSeconds) return;
      fail(
        new ConnectionLostError(
          `Lost the connection to ${connection.server}: ` +
            `silent for ${deadAfterSeconds} seconds. Try again.`,
        ),
      );
    }, 1_000);
    call.on("data", (message: StreamResponse__Output) => {
      silentSeconds = 0;
      if (isEnded) return;
      try {
        onMessage(message);
      } catch (error) {
        fail(error);
      }
    });
    call.on("error", (error) => {
      fail(
        fromServiceError(error as ServiceError, { server: connection.server, method: "Stream" }),
      );
    });
    call.on("end", resolve);
  });
  return ended.finally(() => {
    clearInterval(clock);
    call.cancel();
  });
}
