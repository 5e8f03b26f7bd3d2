/** How far a job's output has been read, over however many connections. Pure. */
import type { StreamRequest, StreamResponse__Output } from "../../proto/contract.ts";
import type { OutputSink } from "./output_sink.ts";

/** Which part of a job's output. */
export interface OutputRange {
  readonly jobID: string;
  /** Where to start; at most one of the three. None: byte 0. */
  readonly offset?: number | undefined;
  readonly tailLines?: number | undefined;
  readonly tailBytes?: number | undefined;
  /** Whether to continue while the job runs. */
  readonly follow: boolean;
}

/** What the position needs of a sink. */
type PositionSink = Pick<OutputSink, "take" | "skip">;

/** Makes requests that continue at the next byte, and passes on each byte once. */
export class OutputPosition {
  readonly #range: OutputRange;
  readonly #sink: PositionSink;
  #next: number | undefined;

  constructor(range: OutputRange, sink: PositionSink) {
    const isTail = range.tailLines !== undefined || range.tailBytes !== undefined;
    this.#range = range;
    this.#sink = sink;
    this.#next = isTail ? undefined : range.offset ?? 0;
  }

  /** The offset of the next byte; undefined for a tail before its first message. */
  get next(): number | undefined {
    return this.#next;
  }

  /** The request for everything that is still missing. */
  request(): StreamRequest {
    const { jobID, tailLines, tailBytes, follow } = this.#range;
    return {
      jobID,
      noFollow: !follow,
      ...(this.#next !== undefined && { offset: this.#next }),
      ...(this.#next === undefined && tailLines !== undefined && { tailLines }),
      ...(this.#next === undefined && tailBytes !== undefined && { tailBytes }),
    };
  }

  /** Passes on what is new in a message: bytes that were read before are left out. */
  take(message: Pick<StreamResponse__Output, "offset" | "gapBytes" | "output">): void {
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
