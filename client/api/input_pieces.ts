import { invalid } from "./error_mapping.ts";
import type { JobInput } from "./types.ts";

/**
 * The pieces of an input, each a copy: what is not held by the server yet may have to be sent again.
 *
 * @throws {JobWorkerError} A piece is something else than bytes.
 * @throws What the input throws.
 */
export async function* inputPieces(input: JobInput): AsyncGenerator<Uint8Array> {
  if (input instanceof Uint8Array) {
    yield input.slice();
    return;
  }
  for await (const piece of input as AsyncIterable<unknown>) {
    if (!(piece instanceof Uint8Array)) {
      throw invalid(`Cannot send the input: expected a Uint8Array, not a ${typeof piece}.`);
    }
    yield piece.slice();
  }
}

/** @throws {JobWorkerError} It is no input. */
export function checkInput(input: unknown): void {
  const isIterable = typeof input === "object" && input !== null && Symbol.asyncIterator in input;
  if (input instanceof Uint8Array || isIterable) return;
  throw invalid(
    `Cannot send the input: expected a Uint8Array, or a ReadableStream or AsyncIterable of them, not a ${typeof input}.`,
  );
}
