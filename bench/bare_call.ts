/**
 * The least that a program on this runtime can do to ask a server about a job: a handshake, a request
 * made by hand, and its answer, which is not read. No library, no check, no message.
 *
 * Usage: bare_call HOST:PORT IDENTITY.pem CA.crt JOB_ID
 */
import { readFileSync } from "node:fs";
import { connect } from "node:http2";

// As ours does: what the TLS library's random numbers wait for, in another thread.
crypto.subtle.generateKey({ name: "AES-GCM", length: 128 }, false, ["encrypt"]).catch(() => {});

/** A frame of gRPC around a `QueryRequest`: its one field is the first, a text. */
function queryFrame(jobId: string): Uint8Array {
  const text = new TextEncoder().encode(jobId);
  const message = [0x0a, text.length, ...text];
  return Uint8Array.from([0, 0, 0, 0, message.length, ...message]);
}

const [address = "", identityFile = "", caFile = "", jobId = ""] = Deno.args;
const identity = readFileSync(identityFile, "utf8");
const session = connect(`https://${address}`, {
  ca: readFileSync(caFile, "utf8"),
  cert: identity,
  key: identity,
  minVersion: "TLSv1.3",
});
const request = session.request({
  ":method": "POST",
  ":path": "/JobService/Query",
  "content-type": "application/grpc",
  te: "trailers",
});
let status = "none";
request.on("trailers", (trailers) => status = String(trailers["grpc-status"]));
request.on("data", () => {});
request.on("end", () => Deno.exit(status === "0" ? 0 : 1));
request.on("error", () => Deno.exit(1));
request.end(queryFrame(jobId));
