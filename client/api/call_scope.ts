import { JobWorkerError } from "./errors.ts";
import type { CallControl } from "./types.ts";

/** What may end one call: its caller, its time, and the client that is closed. */
export class CallScope implements Disposable {
  readonly #controller = new AbortController();
  readonly #sources: readonly AbortSignal[];
  readonly #onAbort = (event: Event) =>
    this.#controller.abort((event.target as AbortSignal).reason);
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param what Named in the error when the time is up.
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
      const text = `No end of "${what}" within ${callTimeoutMs} ms.`;
      this.#controller.abort(new JobWorkerError(text, "DEADLINE_EXCEEDED"));
    }, callTimeoutMs);
  }

  /** Ends the call. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Ends the call from inside: nobody wants its result any more. */
  leave(): void {
    this.#controller.abort();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    for (const source of this.#sources) source.removeEventListener("abort", this.#onAbort);
  }
}
