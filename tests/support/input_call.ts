/** A call of Input, message by message. */
import type { ServiceError } from "@grpc/grpc-js";
import type { InputRequest, InputResponse__Output } from "../../proto/contract.ts";
import type { TestClient } from "./client.ts";
import { inTime } from "./wait.ts";

/** What is over, and how: undefined where the call has ended well. */
export type CallEnd = ServiceError | undefined;

/** One call. */
export class InputCall implements Disposable {
  readonly #call: ReturnType<TestClient["raw"]["Input"]>;
  readonly #answers: InputResponse__Output[] = [];
  #wake = () => {};
  #last: InputResponse__Output | undefined;
  /** Settles when the call is over. */
  readonly over: Promise<CallEnd>;

  constructor(client: TestClient, jobID: string, sender = "me") {
    const call = client.raw.Input();
    this.#call = call;
    this.over = new Promise((resolve) => {
      call.on("error", (error) => resolve(error as ServiceError));
      call.on("end", () => resolve(undefined));
    });
    call.on("data", (answer: InputResponse__Output) => {
      this.#answers.push(answer);
      this.#last = answer;
      this.#wake();
    });
    call.write({ jobID, sender });
  }

  /** The latest answer. */
  get last(): InputResponse__Output {
    if (this.#last === undefined) throw new Error("there is no answer yet");
    return this.#last;
  }

  /** Waits for an answer that has something, or for the call's failure. */
  async answer(
    what: string,
    matches: (answer: InputResponse__Output) => boolean = () => true,
  ): Promise<InputResponse__Output> {
    const found = new Promise<InputResponse__Output>((resolve) => {
      this.#wake = () => {
        const match = this.#answers.find(matches);
        if (match !== undefined) resolve(match);
      };
      this.#wake();
    });
    const failed = this.over.then((error) => {
      const match = this.#answers.find(matches);
      if (match !== undefined) return match;
      throw error ?? new Error(`the call has ended without ${what}`);
    });
    return await inTime(what, Promise.race([found, failed]));
  }

  send(request: InputRequest): void {
    this.#call.write(request);
  }

  /** Says that no more will come, without an end of the input. */
  close(): void {
    this.#call.end();
  }

  [Symbol.dispose](): void {
    this.#call.cancel();
  }
}
