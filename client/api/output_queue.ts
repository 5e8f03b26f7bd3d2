import type { OutputSink } from "../jobs/output_sink.ts";
import { BULK_AFTER_BYTES } from "../jobs/take_over.ts";
import { Gap } from "./gap.ts";

/**
 * How much waits for a slow reader before the server is slowed down. Not less than a first stream brings
 * before a second connection is begun, on which reading can pause.
 */
const MAX_WAITING_BYTES = 2 * BULK_AFTER_BYTES;

/** Reading continues when no more than this is left. */
const RESUME_BELOW_BYTES = MAX_WAITING_BYTES / 2;

/** A chunk, and where it begins. */
export interface OutputItem {
  readonly chunk: Uint8Array | Gap;
  readonly offset: number;
  /** When it was written; 0: that was not asked for, or it is a gap. */
  readonly timeMs: number;
}

/** Told when the connection breaks and is made again. */
export interface QueueListeners {
  readonly onLost: (offset: number | undefined) => void;
  readonly onResumed: (offset: number) => void;
}

/** Output that has arrived and was not taken yet, in order. */
export class OutputQueue implements OutputSink {
  readonly #listeners: QueueListeners;
  #items: OutputItem[] = [];
  #waitingBytes = 0;
  #end: { error?: unknown } | undefined;
  #arrive = () => {};
  #room: { promise: Promise<void>; open: () => void } | undefined;

  constructor(listeners: QueueListeners) {
    this.#listeners = listeners;
  }

  take(bytes: Uint8Array, offset: number, timeMs: number): void {
    // A plain Uint8Array: that it was a Buffer is an internal matter.
    const chunk = new Uint8Array(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length);
    this.#waitingBytes += chunk.length;
    this.#push({ chunk, offset, timeMs });
  }

  skip(gapBytes: number, offset: number): void {
    const begin = offset - gapBytes;
    this.#push({ chunk: new Gap(begin, gapBytes), offset: begin, timeMs: 0 });
  }

  lose(offset: number | undefined): void {
    this.#listeners.onLost(offset);
  }

  resume(offset: number): void {
    this.#listeners.onResumed(offset);
  }

  room(): Promise<void> | undefined {
    if (this.#room === undefined && this.#waitingBytes > MAX_WAITING_BYTES) {
      let open = () => {};
      const promise = new Promise<void>((resolve) => open = resolve);
      this.#room = { promise, open };
    }
    return this.#room?.promise;
  }

  /** Marks the end of the output, with the error that ended it, if any. */
  finish(end: { error?: unknown }): void {
    this.#end ??= end;
    this.#arrive();
  }

  /**
   * The next chunk, and where it begins.
   *
   * @returns Undefined after the last one.
   * @throws The error that ended the output.
   */
  async next(): Promise<OutputItem | undefined> {
    for (;;) {
      const item = this.#items.shift();
      if (item !== undefined) {
        if (!(item.chunk instanceof Gap)) this.#release(item.chunk.length);
        return item;
      }
      if (this.#end !== undefined) {
        if ("error" in this.#end) throw this.#end.error;
        return undefined;
      }
      await new Promise<void>((resolve) => this.#arrive = resolve);
    }
  }

  #release(length: number): void {
    this.#waitingBytes -= length;
    if (this.#room === undefined || this.#waitingBytes > RESUME_BELOW_BYTES) return;
    this.#room.open();
    this.#room = undefined;
  }

  #push(item: OutputItem): void {
    this.#items.push(item);
    this.#arrive();
  }
}
