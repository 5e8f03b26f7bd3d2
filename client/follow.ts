import { type OutputOptions, type OutputSink, readJobOutput } from "./job_output.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** Which output of a job, how stubbornly, and who counts it. */
export interface FollowOptions extends OutputOptions {
  /** Called with how many bytes have been written. */
  readonly onBytes?: (length: number) => void;
}

/**
 * Writes a job's output to the terminal until it ends, and notes what happens to it on the way.
 *
 * @throws {ClosedOutputError} Nobody reads our output any more.
 * @throws {ClientError} The server's refusal, or the connection's failure after all tries.
 */
export async function follow(
  { onBytes, ...options }: FollowOptions,
  { session, terminal }: { session: Session; terminal: Terminal },
): Promise<void> {
  // A terminal that takes nothing blocks the process: it always has room.
  const sink: OutputSink = {
    take: (bytes) => {
      terminal.write(bytes);
      onBytes?.(bytes.length);
    },
    skip: (gapBytes) => terminal.note(`${gapBytes} bytes rotated away`),
    lose: (offset) => terminal.note(`connection lost${describe(offset)}, trying again...`),
    resume: (offset) => terminal.note(`resumed${describe(offset)}`),
  };
  await readJobOutput(options, { session, sink });
}

/** ` at byte N`, where that is known. */
function describe(offset: number | undefined): string {
  return offset === undefined ? "" : ` at byte ${offset}`;
}
