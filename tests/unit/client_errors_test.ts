import { Metadata, type ServiceError } from "@grpc/grpc-js";
import assert from "node:assert/strict";
import {
  ClientError,
  ConnectionLostError,
  fromStatus,
  oneLine,
  RefusedCallError,
} from "../../client/errors.ts";

const WHERE = { server: "localhost:50051", method: "Start" };

function serviceError(code: number, details: string): ServiceError {
  return Object.assign(new Error(`${code} ${details}`), {
    code,
    details,
    metadata: new Metadata(),
  });
}

const REFUSALS: readonly (readonly [name: string, code: number, exitStatus: number])[] = [
  ["UNKNOWN", 2, 1],
  ["INVALID_ARGUMENT", 3, 2],
  ["DEADLINE_EXCEEDED", 4, 3],
  ["NOT_FOUND", 5, 5],
  ["ALREADY_EXISTS", 6, 1],
  ["PERMISSION_DENIED", 7, 4],
  ["RESOURCE_EXHAUSTED", 8, 1],
  ["FAILED_PRECONDITION", 9, 1],
  ["ABORTED", 10, 1],
  ["OUT_OF_RANGE", 11, 1],
  ["UNIMPLEMENTED", 12, 1],
  ["INTERNAL", 13, 1],
  ["DATA_LOSS", 15, 1],
  ["UNAUTHENTICATED", 16, 4],
];

for (const [name, code, exitStatus] of REFUSALS) {
  Deno.test(`fromStatus: ${name} is exit status ${exitStatus} and is not retried`, () => {
    const error = fromStatus(serviceError(code, "Cannot do it: no. Do that."), WHERE);
    assert(error instanceof RefusedCallError);
    assert.equal(error.code, code);
    assert.equal(error.exitStatus, exitStatus);
  });
}

const BROKEN: readonly (readonly [code: number, details: string])[] = [
  [14, "Connection dropped"],
  [14, "the server is shutting down"],
  [1, "Call cancelled"],
  [13, "Received RST_STREAM with code 2 triggered by internal client error: read ECONNRESET"],
];

for (const [code, details] of BROKEN) {
  Deno.test(`fromStatus: status ${code} "${details}" is a broken connection`, () => {
    const error = fromStatus(serviceError(code, details), WHERE);
    assert(error instanceof ConnectionLostError);
    assert.equal(error.exitStatus, 3);
    assert.match(error.message, /^Lost the connection to localhost:50051: /);
  });
}

Deno.test("fromStatus: the server's own message is passed on as one line", () => {
  const error = fromStatus(serviceError(9, "Cannot stop:\n  \x1b[31mit has exited\n"), WHERE);
  assert.equal(error.message, "Cannot stop: [31mit has exited");
});

Deno.test("fromStatus: a refusal without a message still has one", () => {
  assert.equal(
    fromStatus(serviceError(9, ""), WHERE).message,
    "Start failed with gRPC status 9.",
  );
});

Deno.test("fromStatus: a method that the server does not implement is named", () => {
  const error = fromStatus(serviceError(12, "The server does not implement it"), WHERE);
  assert.equal(
    error.message,
    "The server at localhost:50051 does not implement Start. Upgrade it to this client's version.",
  );
});

Deno.test("oneLine: nothing is left that a terminal would interpret", () => {
  assert.equal(oneLine("a\r\n\tb\x00c\x9bd\x7f "), "a b c d");
  assert.equal(
    oneLine("al\u202eice\u2028\u200b\u{e0041}"),
    "al\\u202eice\\u2028\\u200b\\udb40\\udc41",
  );
  assert.equal(oneLine("naïve 日本 – ok"), "naïve 日本 – ok");
});

Deno.test("ClientError: keeps its exit status", () => {
  assert.equal(new ClientError("x", 4).exitStatus, 4);
});
