import type { OutputOptions, OutputSink } from "./read_output.ts";
import type { Session } from "../connection/session.ts";

/** Which output of a job, how stubbornly, and who counts it. */
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
   */
  write(bytes: Uint8Array, offset: number): void;
  /** Takes one line of ours: what is missing, and how the connection does. */
  note(text: string): void;
}

/**
 * Writes a job's output to the sink until it ends, and notes what happens to it on the way.
 *
 * @throws {ClosedOutputError} Nobody reads our output any more.
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 * @throws The signal's reason.
 */
export async function follow(
  { onBytes, ...options }: FollowOptions,
  { session, sink, signal }: { session: Session; sink: Sink; signal?: AbortSignal },
): Promise<void> {
  // A terminal that takes nothing blocks the process: it always has room.
  const noting: OutputSink = {
    take: (bytes, offset) => {
      sink.write(bytes, offset);
      onBytes?.(bytes.length);
    },
    skip: (gapBytes) => sink.note(`${gapBytes} bytes rotated away`),
    lose: (offset) => sink.note(`connection lost${describe(offset)}, trying again...`),
    resume: (offset) => sink.note(`resumed${describe(offset)}`),
  };
  // Loaded when it is needed, as all that speaks gRPC is (client/command_line/open_session.ts).
  const { readJobOutput } = await import("./read_output.ts");
  await readJobOutput(options, { session, sink: noting, signal });
}

/** ` at byte N`, where that is known. */
function describe(offset: number | undefined): string {
  return offset === undefined ? "" : ` at byte ${offset}`;
}
