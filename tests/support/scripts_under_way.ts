/** Waits for the one-shot scripts that a test has caused: what it leaves behind fails it, or the next. */
import { until } from "./wait.ts";

/** Counts the processes that are waited for with their output, until it is disposed of. */
export class ScriptsUnderWay implements Disposable {
  readonly #output = Deno.Command.prototype.output;
  #count = 0;

  constructor() {
    const output = this.#output;
    const change = (by: 1 | -1) => this.#count += by;
    Deno.Command.prototype.output = async function (this: Deno.Command) {
      change(1);
      try {
        return await output.call(this);
      } finally {
        change(-1);
      }
    };
  }

  /** Waits until there is none. */
  async ended(): Promise<void> {
    await until("the scripts to end", () => this.#count === 0);
  }

  [Symbol.dispose](): void {
    Deno.Command.prototype.output = this.#output;
  }
}
