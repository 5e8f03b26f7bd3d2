import assert from "node:assert/strict";
import { logUncaughtErrors } from "../../lib/server/uncaught_errors.ts";
import { CapturedLog } from "../support/captured_log.ts";

/** Reports an event, as the runtime does. @returns Whether the process would end. */
function dispatch(event: Event): boolean {
  const target = new EventTarget();
  logUncaughtErrors(target);
  return target.dispatchEvent(event);
}

function rejection(reason: unknown): Event {
  const promise = Promise.resolve();
  return new PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
}

for (
  const [what, event] of [
    ["an error", new ErrorEvent("error", { error: new Error("broken"), cancelable: true })],
    ["a rejected promise", rejection(new Error("broken"))],
  ] as const
) {
  Deno.test(`logUncaughtErrors: ${what} is logged with its stack, and does not end the process`, () => {
    using log = new CapturedLog();
    assert.equal(dispatch(event), false);
    const [entry, ...others] = log.entries;
    assert.deepEqual(others, []);
    assert.deepEqual([entry?.level, entry?.message, entry?.["error"]], [
      "error",
      "uncaught error",
      "broken",
    ]);
    assert.match(String(entry?.["stack"]), /^Error: broken\n +at /);
  });
}

Deno.test("logUncaughtErrors: what is not an Error is logged as text", () => {
  using log = new CapturedLog();
  assert.equal(dispatch(rejection("text")), false);
  assert.deepEqual([log.entries[0]?.["error"], log.entries[0]?.["stack"]], ["text", undefined]);
});
