/** Takes a job's input from a call, and tells the sender what is held and how much may come. */
import type { InputRequest__Output, InputResponse } from "../../proto/contract.ts";
import { pause } from "../../common/pause.ts";
import type { HeldInput } from "../input/held_input.ts";
import { InputQueue } from "./input_queue.ts";

/**
 * Where fewer bytes have come than these, more are waited for so long, unless they are the first after a
 * while: a write costs as much as many bytes.
 */
const GATHERED_BYTES = 64 * 1024;
const GATHER_MS = 4;

/** So much is written at once. */
const MAX_WRITE_BYTES = 1024 ** 2;

/** So much is held before the sender is told of it while more is there; it may have four times as much under way. */
const TELL_BYTES = 512 * 1024;

/** What comes from the sender. */
export interface InputSource {
  /** Calls back with each message, and once when no more will come. */
  listen(onMessage: (message: InputRequest__Output) => void, onEnd: () => void): void;
}

/** Takes the answers of one call. */
export interface InputAnswers {
  /** Whether the sender has taken the answers before. */
  readonly hasRoom: boolean;
  /** Waits until there is room, or the signal is aborted. */
  ready(signal: AbortSignal): Promise<void>;
  send(answer: InputResponse): void;
}

/** One call. */
export interface ReceiveOptions {
  readonly input: HeldInput;
  readonly source: InputSource;
  readonly answers: InputAnswers;
  /** Whether the job has ended. */
  readonly isOver: () => boolean;
  /** Called with each message. */
  readonly onMessage: () => void;
  /** Ends the call. */
  readonly signal: AbortSignal;
}

/**
 * Takes the input until it ends, the sender ends, the job reads no more, or the signal is aborted.
 *
 * @returns How many bytes were taken.
 * @throws {JobError} "invalid" where the sender does not keep to the contract.
 */
export async function receiveInput(
  { input, source, answers, isOver, onMessage, signal }: ReceiveOptions,
): Promise<number> {
  const begin = input.heldBytes;
  const queue = new InputQueue(begin);
  let failure: { readonly error: unknown } | undefined;
  let isSourceOver = false;
  let news = Promise.withResolvers<void>();
  const wake = () => news.resolve();
  source.listen((message) => {
    onMessage();
    try {
      queue.take(message, allowedBytes);
    } catch (error) {
      failure ??= { error };
    }
    // A sender that has nothing to say says so every few seconds.
    if (message.data.length === 0) {
      queue.release();
      tell();
    }
    wake();
  }, () => {
    isSourceOver = true;
    wake();
  });
  const over = new AbortController();
  const abort = () => {
    over.abort();
    wake();
  };
  signal.addEventListener("abort", abort);
  let allowedBytes = 0;
  let toldBytes = 0;
  let lastWriteAtMs = -Infinity;
  let isWaiting = false;
  const send = () => {
    allowedBytes = input.allowedBytes;
    toldBytes = input.heldBytes;
    answers.send({
      heldBytes: toldBytes,
      allowedBytes,
      ended: input.isEnded,
      unread: input.isUnread || isOver(),
      diskFull: input.isDiskFull,
    });
  };
  // A sender that does not take them gets the last answer only.
  const tell = () => {
    if (isWaiting) return;
    if (answers.hasRoom) return send();
    isWaiting = true;
    void answers.ready(signal).then(() => {
      isWaiting = false;
      if (!signal.aborted) send();
    });
  };
  let looking: Promise<void> | undefined;
  const look = () =>
    input.look(over.signal).then((isNews) => {
      looking = undefined;
      if (isNews) tell();
    });
  send();
  try {
    while (!input.isEnded && !input.isUnread && !signal.aborted) {
      if (failure !== undefined) throw failure.error;
      if (input.hasNewsToCome) looking ??= look();
      const isShort = queue.length < GATHERED_BYTES && !queue.isEnded && !isSourceOver;
      const gatherMs = lastWriteAtMs + GATHER_MS - performance.now();
      if (queue.length > 0 && isShort && gatherMs > 0) await pause(gatherMs, signal);
      const wasFull = input.isDiskFull;
      const taken = queue.length === 0 ? 0 : await input.append(queue.peek(MAX_WRITE_BYTES));
      if (taken > 0) lastWriteAtMs = performance.now();
      queue.drop(taken);
      if (taken === 0 && queue.length === 0 && queue.isEnded) await input.end();
      if (input.isDiskFull !== wasFull) tell();
      if (taken > 0) {
        // Who sends much is told seldom, and always of the last.
        if (queue.length === 0 || input.heldBytes - toldBytes >= TELL_BYTES) tell();
        if (!input.isDiskFull) continue;
      }
      if (queue.length === 0 && isSourceOver && !queue.isEnded) break;
      if (input.isEnded) break;
      news = Promise.withResolvers();
      if (input.hasNewsToCome) looking ??= look();
      await Promise.race(input.isDiskFull ? [looking] : [news.promise, looking ?? news.promise]);
    }
    over.abort();
    await looking;
    if (!signal.aborted || isOver()) send();
    return input.heldBytes - begin;
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
