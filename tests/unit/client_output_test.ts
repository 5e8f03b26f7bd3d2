import assert from "node:assert/strict";
import { ClientError, ClosedOutputError } from "../../client/errors.ts";
import { writeFully } from "../../client/terminal.ts";

/** A writer that takes at most so many bytes at once, and throws what stands in the list first. */
function fakeWriter(limit: number, errors: Error[] = []) {
  const taken: number[] = [];
  return {
    taken,
    writeSync(bytes: Uint8Array): number {
      const error = errors.shift();
      if (error) throw error;
      const accepted = bytes.subarray(0, limit);
      taken.push(...accepted);
      return accepted.length;
    },
  };
}

Deno.test("writeFully: writes every byte once, however few are taken at once", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, index) => index);
  for (const limit of [1, 7, 255, 256, 1000]) {
    const writer = fakeWriter(limit);
    writeFully(writer, bytes);
    assert.deepEqual(writer.taken, [...bytes], `limit ${limit}`);
  }
});

Deno.test("writeFully: goes on after a full non-blocking pipe, with the byte it stopped at", () => {
  const writer = fakeWriter(2, [new Deno.errors.WouldBlock(), new Deno.errors.WouldBlock()]);
  writeFully(writer, Uint8Array.of(1, 2, 3));
  assert.deepEqual(writer.taken, [1, 2, 3]);
});

Deno.test("writeFully: a closed pipe is not a failure", () => {
  const writer = fakeWriter(2, [new Deno.errors.BrokenPipe("os error 32")]);
  assert.throws(() => writeFully(writer, Uint8Array.of(1)), ClosedOutputError);
});

Deno.test("writeFully: another error is reported in one line that says what to do", () => {
  const writer = fakeWriter(2, [new Error("No space left on device (os error 28)")]);
  assert.throws(() => writeFully(writer, Uint8Array.of(1)), (error) => {
    assert(error instanceof ClientError);
    assert.equal(error.exitStatus, 1);
    assert.equal(
      error.message,
      "Cannot write to standard output: No space left on device (os error 28). " +
        "Free some space, or write elsewhere.",
    );
    return true;
  });
});
