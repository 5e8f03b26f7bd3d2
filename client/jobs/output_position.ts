/** How far a job's output has been read, over however many connections. Pure. */
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { StreamRequest, StreamResponse__Output } from "../../proto/contract.ts";
import type { OutputSink } from "./output_sink.ts";

/** Which part of a job's output. */
export interface OutputRange {
  readonly jobID: string;
  /** Its standard error, which it keeps apart; else its output. */
  readonly stderr?: boolean | undefined;
  /** Where to start; at most one of the three. None: byte 0. */
  readonly offset?: number | undefined;
  readonly tailLines?: number | undefined;
  readonly tailBytes?: number | undefined;
  /** Not what was written before: milliseconds since 1970-01-01 UTC; not with an offset. */
  readonly sinceMs?: number | undefined;
  /** Not what was written later. */
  readonly untilMs?: number | undefined;
  /** Whether to tell when the output was written. */
  readonly timestamps?: boolean | undefined;
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
    const { offset = 0, tailLines, tailBytes, sinceMs } = range;
    this.#range = range;
    this.#sink = sink;
    this.#next = (tailLines ?? tailBytes ?? sinceMs) === undefined ? offset : undefined;
  }

  /** The offset of the next byte; undefined for a tail, and what was written since a time, before the
   * first message. */
  get next(): number | undefined {
    return this.#next;
  }

  /** The request for everything that is still missing. */
  request(): StreamRequest {
    const { jobID, stderr, tailLines, tailBytes, follow, sinceMs, untilMs } = this.#range;
    return {
      jobID,
      noFollow: !follow,
      ...(stderr && { stderr }),
      ...(this.#next !== undefined && { offset: this.#next }),
      ...(this.#next === undefined && tailLines !== undefined && { tailLines }),
      ...(this.#next === undefined && tailBytes !== undefined && { tailBytes }),
      ...(this.#next === undefined && sinceMs !== undefined && { sinceMs }),
      ...(untilMs !== undefined && { untilMs }),
      ...(this.#isTimed && { timestamps: true }),
    };
  }

  /** Times are asked for with every request for some of them: so each message has to tell its own. */
  get #isTimed(): boolean {
    const { sinceMs, untilMs, timestamps = false } = this.#range;
    return timestamps || sinceMs !== undefined || untilMs !== undefined;
  }

  /**
   * Passes on what is new in a message: bytes that were read before are left out.
   *
   * @throws {ClientError} Times were asked for, and the server does not know them.
   */
  take(message: Pick<StreamResponse__Output, "offset" | "gapBytes" | "output" | "timeMs">): void {
    const { offset, gapBytes, output, timeMs } = message;
    const isEmpty = output.length === 0 && gapBytes === 0;
    if (this.#isTimed && timeMs === 0 && !isEmpty) {
      throw new ClientError(
        "Cannot tell when the output was written: the server is older than this client. Update it, or " +
          "leave out --since, --until and --timestamps.",
        ExitStatus.failed,
      );
    }
    // Before the first bytes that are new enough, where those begin is not known for good.
    if (this.#next === undefined && this.#range.sinceMs !== undefined && isEmpty) return;
    const next = this.#next ?? offset - gapBytes;
    if (offset > next) {
      this.#sink.skip(offset - next, offset);
      this.#next = offset;
    }
    const bytes = output.subarray(Math.max(0, next - offset));
    if (bytes.length > 0) this.#sink.take(bytes, Math.max(next, offset), timeMs);
    this.#next = Math.max(next, offset + output.length);
  }
}
