import { JobWorkerError } from "./errors.ts";
import type { CallControl } from "./types.ts";

/** Ends one call when its caller aborts it, its time is over, or the client is closed. */
export class CallScope implements Disposable {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  readonly #onAbort = (event: Event) =>
    this.#controller.abort((event.target as AbortSignal).reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param what The call's name, for the error when the time is over.
   * @param life Aborted when the client is closed.
   */
  constructor(what: string, life: AbortSignal, { signal, callTimeoutMs }: CallControl) {
    this.#sources = signal === undefined ? [life] : [life, signal];
    for (const source of this.#sources) {
      if (source.aborted) this.#controller.abort(source.reason);
      source.addEventListener("abort", this.#onAbort);
    }
    if (callTimeoutMs === undefined) return;
    this.#timer = setTimeout(() => {
      const text = `"${what}" did not end within ${callTimeoutMs} ms.`;
      this.#controller.abort(new JobWorkerError(text, "DEADLINE_EXCEEDED"));
    }, callTimeoutMs);
  }

  /** Aborted when the call has to end. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the call: its result is no longer needed. */
  leave(): void {
    this.#controller.abort();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const source of this.#sources) source.removeEventListener("abort", this.#onAbort);
  }
}
