/** What tests expect of a call that is refused. */
import { strict as assert } from "node:assert";
import { JobError, type JobErrorKind } from "../../lib/errors.ts";

/** Waits for a call to be refused with an error of this kind. */
export async function assertJobError(
  call: Promise<unknown>,
  kind: JobErrorKind,
  message: RegExp,
): Promise<void> {
  await assert.rejects(call, (error) => {
    assert(error instanceof JobError, String(error));
    assert.equal(error.kind, kind);
    assert.match(error.message, message);
    return true;
  });
}
