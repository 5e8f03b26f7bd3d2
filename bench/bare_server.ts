/**
 * The least that a server on this runtime can be: grpc-js, mutual TLS 1.3, and one method that answers
 * with what it was sent. Prints its port.
 *
 * Usage: bare_server CERT.crt KEY.key CA.crt
 */
import { Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import type { Buffer } from "node:buffer";
import { readFileSync } from "node:fs";
import { tlsOptionsOf } from "../lib/grpc/internals.ts";

const same = (bytes: Buffer): Buffer => bytes;

/** Its one method, without a library for messages. */
const SERVICE: ServiceDefinition = {
  Echo: {
    path: "/Bare/Echo",
    requestStream: false,
    responseStream: false,
    requestSerialize: same,
    requestDeserialize: same,
    responseSerialize: same,
    responseDeserialize: same,
  },
};

const [cert = "", key = "", ca = ""] = Deno.args;
const pair = { private_key: readFileSync(key), cert_chain: readFileSync(cert) };
const credentials = ServerCredentials.createSsl(readFileSync(ca), [pair], true);
tlsOptionsOf(credentials).minVersion = "TLSv1.3";
const server = new Server();
server.addService(SERVICE, {
  Echo: (
    { request }: { request: Buffer },
    done: (error: Error | null, response: Buffer) => void,
  ) => done(null, request),
});
server.bindAsync("127.0.0.1:0", credentials, (error, port) => {
  if (error !== null) throw error;
  console.log(port);
});
