/** What HTTP/2 tells of how a call has ended, as a gRPC status. */
import assert from "node:assert/strict";
import { statusIn, statusOfEnd, statusOfHttp } from "../../client/connection/call_status.ts";
import { ConnectionLostError, fromStatus, GrpcStatus } from "../../client/errors.ts";

Deno.test("call status: headers without one are not the last", () => {
  assert.equal(statusIn({ ":status": 200, "content-type": "application/grpc" }), undefined);
});

Deno.test("call status: a message is decoded, and shown as it is where it cannot be", () => {
  const messageIn = (text: string) =>
    statusIn({ "grpc-status": "9", "grpc-message": text })?.details;
  assert.equal(messageIn("50%25 of %E2%82%AC"), "50% of €");
  assert.equal(messageIn("50% of"), "50% of");
  assert.equal(messageIn("%FF"), "%FF");
});

Deno.test("call status: a code that is no number is UNKNOWN", () => {
  for (const code of ["", "-1", "1.5", "0x5", "12345"]) {
    assert.equal(statusIn({ "grpc-status": code })?.code, GrpcStatus.unknown, code);
  }
  assert.equal(statusIn({ "grpc-status": "16" })?.code, 16);
});

/** grpc/doc/http-grpc-status-mapping.md */
const OF_HTTP: readonly (readonly [number, number])[] = [
  [400, GrpcStatus.internal],
  [401, GrpcStatus.unauthenticated],
  [403, GrpcStatus.permissionDenied],
  [404, GrpcStatus.unimplemented],
  [429, GrpcStatus.unavailable],
  [502, GrpcStatus.unavailable],
  [503, GrpcStatus.unavailable],
  [504, GrpcStatus.unavailable],
  [302, GrpcStatus.unknown],
  [500, GrpcStatus.unknown],
];

Deno.test("call status: HTTP's own statuses", () => {
  for (const [status, code] of OF_HTTP) {
    assert.deepEqual(statusOfHttp(status), {
      code,
      details: `Received HTTP status code ${status}`,
    });
  }
});

/** RFC 9113, section 7, and grpc/doc/PROTOCOL-HTTP2.md, "Errors". */
const OF_RESETS: readonly (readonly [errorCode: number, code: number, isLost: boolean])[] = [
  [0, GrpcStatus.internal, true],
  [2, GrpcStatus.internal, true],
  [7, GrpcStatus.unavailable, true],
  [8, GrpcStatus.cancelled, true],
  [11, GrpcStatus.resourceExhausted, false],
  [12, GrpcStatus.permissionDenied, false],
];

Deno.test("call status: resets, of which those that say nothing of the call are tried again", () => {
  for (const [errorCode, code, isLost] of OF_RESETS) {
    const end = { errorCode, httpStatus: undefined, problem: undefined, isDropped: false };
    const status = statusOfEnd(end);
    assert.equal(status.code, code, `code ${errorCode}`);
    const error = fromStatus(status, { server: "worker1:1", method: "Query" });
    assert.equal(error instanceof ConnectionLostError, isLost, `code ${errorCode}`);
  }
});

Deno.test("call status: an end without a status tells what there was", () => {
  const end = { errorCode: 0, httpStatus: 200, problem: undefined, isDropped: false };
  assert.match(statusOfEnd(end).details, /Call ended without gRPC status/);
  assert.deepEqual(statusOfEnd({ ...end, httpStatus: 404 }), statusOfHttp(404));
  assert.match(
    statusOfEnd({ ...end, errorCode: 1, problem: "a bad frame" }).details,
    /code 1 \(a bad frame\)/,
  );
  assert.equal(
    statusOfEnd({ ...end, errorCode: 8, isDropped: true }).code,
    GrpcStatus.unavailable,
  );
});
