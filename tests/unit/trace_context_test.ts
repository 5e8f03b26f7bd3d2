import { strict as assert } from "node:assert";
import { traceVariables } from "../../lib/grpc/trace_context.ts";

/** The example of the specification. */
const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function variables(traceparent?: string, tracestate?: string): Record<string, string> {
  const headers = { traceparent, tracestate };
  return traceVariables((name) => headers[name]);
}

Deno.test("traceVariables: well-formed headers are passed on", () => {
  assert.deepEqual(variables(PARENT), { TRACEPARENT: PARENT });
  assert.deepEqual(variables(PARENT, "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"), {
    TRACEPARENT: PARENT,
    TRACESTATE: "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7",
  });
});

Deno.test("traceVariables: a malformed header is ignored, and a state needs a parent", () => {
  const broken = [
    "",
    "x",
    PARENT.toUpperCase(),
    `${PARENT}\n`,
    `${PARENT}-more`,
    PARENT.replace("00-", "ff-"),
    PARENT.replace(/-0af\w+-/, `-${"0".repeat(32)}-`),
    PARENT.replace("b7ad6b7169203331", "0".repeat(16)),
    `${PARENT}; reboot`,
  ];
  for (const parent of [undefined, ...broken]) assert.deepEqual(variables(parent, "a=b"), {});
  for (const state of ["", "a\nb", "ä=b", "x".repeat(513), "\0"]) {
    assert.deepEqual(variables(PARENT, state), { TRACEPARENT: PARENT });
  }
});
