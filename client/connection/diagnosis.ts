import tls from "node:tls";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { messageOf } from "../errors.ts";
import type { ConnectionFailure } from "./connection_failure.ts";
import {
  type DialResult,
  explain,
  explainDistrust,
  isSilentRefusal,
  isUntrusted,
  type Stage,
} from "./explanation.ts";
import { tlsOptions } from "./tls_options.ts";

/** How long one diagnostic attempt may take. */
const DIAL_TIMEOUT_MS = 3_000;

/**
 * A server that ends just then, or a path that is cut, closes a connection as a server does that
 * rejects the certificate without a word: only one that does so each time has rejected it.
 */
const DIALS_OF_A_REFUSAL = 3;

/**
 * Finds out why no connection to the server can be made. grpc-js reports most reasons as "Failed to
 * connect", so the same handshake is repeated without it.
 *
 * @param dialOnce Makes the handshake.
 * @returns The reason, for the user.
 */
export async function diagnose(
  endpoint: Endpoint,
  dialOnce: (endpoint: Endpoint) => Promise<DialResult> = dial,
): Promise<ConnectionFailure> {
  let result = await dialOnce(endpoint);
  for (let dials = 1; dials < DIALS_OF_A_REFUSAL && isSilentRefusal(result); dials++) {
    result = await dialOnce(endpoint);
  }
  return isUntrusted(result)
    ? explainDistrust(await reasonOfDistrust(endpoint), endpoint)
    : explain(result, endpoint);
}

/** Repeats the handshake with the runtime's own TLS, whose messages (rustls) name the reason. */
async function reasonOfDistrust(
  { address: { host, port }, identity }: Endpoint,
): Promise<string> {
  try {
    // Without the client's certificate: only the server's is of interest.
    using connection = await Deno.connectTls({ hostname: host, port, caCerts: [identity.ca] });
    await connection.handshake();
    return "";
  } catch (error) {
    return messageOf(error);
  }
}

function dial(endpoint: Endpoint): Promise<DialResult> {
  const { host, port } = endpoint.address;
  const options = tlsOptions(endpoint);
  const socket = tls.connect({
    host,
    port,
    secureContext: options.secureContext,
    servername: options.servername,
    checkServerIdentity: options.checkServerIdentity,
    ALPNProtocols: ["h2"],
  });
  let stage: Stage = "dialing";
  let timer: ReturnType<typeof setTimeout> | undefined;
  const ended = new Promise<DialResult>((resolve) => {
    const end = (how: DialResult["end"]) => resolve({ stage, end: how });
    timer = setTimeout(() => end("timeout"), DIAL_TIMEOUT_MS);
    socket.on("connect", () => stage = "connected");
    socket.on("secureConnect", () => stage = "secure");
    socket.on("data", () => end("served"));
    socket.on("error", end);
    socket.on("close", () => end("closed"));
  });
  return ended.finally(() => {
    clearTimeout(timer);
    socket.destroy();
  });
}
