/** The consumer of a job's output. What its methods throw ends the reading and is thrown on. */
export interface OutputSink {
  /**
   * Takes the next bytes, at least one; the sink may keep them.
   *
   * @param timeMs When they were written, where that was asked for; else 0.
   */
  take(bytes: Uint8Array, offset: number, timeMs: number): void;
  /** Learns that the bytes right before the offset are not there. */
  skip(gapBytes: number, offset: number): void;
  /** Learns that the connection broke, and where; unknown for a tail that has brought nothing. */
  lose(offset: number | undefined): void;
  /** Learns that the output continues, and where. */
  resume(offset: number): void;
  /**
   * A promise while the sink accepts no more, undefined while it does. Without this method it accepts
   * everything.
   */
  room?(): Promise<void> | undefined;
}
