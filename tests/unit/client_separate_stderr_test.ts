/** Standard error that is kept apart, as a client of an earlier server finds it: it is not. */
import { strict as assert } from "node:assert";
import type { Session } from "../../client/connection/session.ts";
import { ConnectionLostError } from "../../client/errors.ts";
import { checkSeparateStderr, hasSeparateStderr } from "../../client/jobs/separate_stderr.ts";

function sessionOf(answer: () => unknown): Pick<Session, "call"> {
  return { call: () => Promise.resolve().then(answer) } as unknown as Pick<Session, "call">;
}

const KEPT = sessionOf(() => ({ separateStderr: true }));
const TOGETHER = sessionOf(() => ({ separateStderr: false }));

Deno.test("checkSeparateStderr: what would be the output is not read as standard error", async () => {
  await checkSeparateStderr(KEPT, "x");
  await assert.rejects(
    checkSeparateStderr(TOGETHER, "x"),
    /Job x has no standard error of its own/,
  );
});

Deno.test("hasSeparateStderr: a job that was started has been, whether this can be told or not", async () => {
  const lost = sessionOf(() => {
    throw new ConnectionLostError("gone");
  });
  const told = [KEPT, TOGETHER, lost].map((session) => hasSeparateStderr(session, "x"));
  assert.deepEqual(await Promise.all(told), [true, false, undefined]);
  const broken = sessionOf(() => {
    throw new TypeError("a defect");
  });
  await assert.rejects(hasSeparateStderr(broken, "x"), TypeError);
});
