/** Standard error as a file of lines: a write that nobody reads waits beside the server's thread. */
import { concatenate } from "../../common/bytes.ts";
import type { LineFile } from "./line_queue.ts";

/**
 * The pause before another attempt, where standard error takes nothing for now and the program at
 * its other end has made it refuse instead of wait (O_NONBLOCK, open(2)).
 */
const RETRY_MS = 50;

/** Writes each batch of lines as one piece. */
export const standardError: LineFile = {
  async write(lines) {
    const bytes = concatenate(lines);
    for (let written = 0; written < bytes.length;) {
      try {
        written += await Deno.stderr.write(bytes.subarray(written));
      } catch (error) {
        if (!(error instanceof Deno.errors.WouldBlock)) throw error;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  },
};
