import tls from "node:tls";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { messageOf } from "../errors.ts";
import type { ConnectionFailure } from "./connection_failure.ts";
import {
  type DialResult,
  explain,
  explainDistrust,
  isUntrusted,
  type Stage,
} from "./explanation.ts";
import { tlsOptions } from "./tls_options.ts";

/** How long one diagnostic attempt may take. */
const DIAL_TIMEOUT_MS = 3_000;

/**
 * Finds out why no connection to the server can be made. grpc-js reports most reasons as "Failed to
 * connect", so the same handshake is repeated without it.
 *
 * @returns The reason, for the user.
 */
export async function diagnose(endpoint: Endpoint): Promise<ConnectionFailure> {
  const result = await dial(endpoint);
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
