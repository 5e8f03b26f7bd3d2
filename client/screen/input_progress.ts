import type { Terminal } from "../terminal.ts";
import { Progress } from "./progress.ts";

/** A line that shows how much of an input is sent, until the job's output takes the terminal. */
export class InputProgress implements Disposable {
  #progress: Progress | undefined;
  readonly #isOutputShown: boolean;

  constructor(terminal: Terminal, { isShown }: { readonly isShown: boolean }) {
    this.#progress = isShown ? new Progress(terminal) : undefined;
    this.#isOutputShown = terminal.columns !== undefined;
  }

  /** Counts bytes that the server has taken. */
  add(bytes: number): void {
    this.#progress?.add(bytes);
  }

  /** The job writes: on the same terminal the line would be in between. */
  giveWay(): void {
    if (this.#isOutputShown) this.end();
  }

  /** Removes the line for good. */
  end(): void {
    this.#progress?.[Symbol.dispose]();
    this.#progress = undefined;
  }

  [Symbol.dispose](): void {
    this.end();
  }
}
