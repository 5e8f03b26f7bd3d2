import type { OutputOptions } from "./read_output.ts";
import type { OutputSink } from "./output_sink.ts";
import type { Session } from "../connection/session.ts";

/** Which output of a job, how it is read, and who counts it. */
export interface FollowOptions extends OutputOptions {
  /** Called with how many bytes have been written. */
  readonly onBytes?: (length: number) => void;
}

/** Where output goes. A terminal is one. */
export interface Sink {
  /**
   * Takes bytes, in order.
   *
   * @param offset Where in the job's output they begin.
   * @param timeMs When they were written, where that was asked for; else 0.
   */
  write(bytes: Uint8Array, offset: number, timeMs: number): void;
  /** Learns that the next bytes do not continue the line before. */
  endLine?(): void;
  /** Takes one line about the output: missing bytes, and the state of the connection. */
  note(text: string): void;
}

/**
 * Writes a job's output to the sink until it ends, and notes gaps and broken connections.
 *
 * @throws {ClosedOutputError} Standard output was closed by its reader.
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 * @throws The signal's reason.
 */
export async function follow(
  { onBytes, ...options }: FollowOptions,
  { session, sink, signal }: { session: Session; sink: Sink; signal?: AbortSignal },
): Promise<void> {
  // A slow terminal blocks the process, so it needs no `room`.
  const noting: OutputSink = {
    take: (bytes, offset, timeMs) => {
      sink.write(bytes, offset, timeMs);
      onBytes?.(bytes.length);
    },
    skip: (gapBytes) => {
      sink.endLine?.();
      sink.note(
        `${gapBytes} bytes are missing here: rotated away, or refused by the server's disk`,
      );
    },
    lose: (offset) => sink.note(`connection lost${describe(offset)}, trying again...`),
    resume: (offset) => sink.note(`resumed${describe(offset)}`),
  };
  // Loaded when needed, like everything that uses gRPC (client/command_line/open_session.ts).
  const { readJobOutput } = await import("./read_output.ts");
  await readJobOutput(options, { session, sink: noting, signal });
}

/** ` at byte N`, where that is known. */
function describe(offset: number | undefined): string {
  return offset === undefined ? "" : ` at byte ${offset}`;
}
