import tls from "node:tls";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ClientError, messageOf, oneLine } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { tlsOptions } from "./tls_options.ts";

/** A connection that could not be made, and why. */
export class ConnectionFailure extends ClientError {
  override name = "ConnectionFailure";
  /** Whether every further attempt fails until a person has changed something. */
  readonly final: boolean;
  /** Whether it may be a server that is just being restarted. */
  readonly isTemporary: boolean;

  constructor(
    message: string,
    { final, isTemporary = false, exitStatus = ExitStatus.connection }: {
      final: boolean;
      isTemporary?: boolean;
      exitStatus?: number;
    },
  ) {
    super(message, exitStatus);
    this.final = final;
    this.isTemporary = isTemporary;
  }
}

/** How long one diagnostic attempt may take. */
const DIAL_TIMEOUT_MS = 3_000;

/** How far a connection attempt came. */
type Stage = "dialing" | "connected" | "secure";

/** How an attempt ended: `served` when the server sent something over TLS. */
interface DialResult {
  readonly stage: Stage;
  readonly end: "served" | "closed" | "timeout" | Error;
}

/**
 * Finds out why no connection to the server can be made. grpc-js reports most reasons as "Failed to
 * connect", so the same handshake is repeated without it.
 *
 * @returns The reason, for the user.
 */
export async function diagnose(endpoint: Endpoint): Promise<ConnectionFailure> {
  const result = await dial(endpoint);
  const isUntrusted = result.end instanceof Error && isUnverified(rootOf(result.end));
  return isUntrusted ? await explainDistrust(endpoint) : explain(result, endpoint);
}

/** The one code of this runtime's node:tls for everything that can be wrong with a certificate. */
function isUnverified({ code }: { code?: string }): boolean {
  return code === "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
}

/** Repeats the handshake with the runtime's own TLS, whose messages (rustls) name the reason. */
async function explainDistrust(endpoint: Endpoint): Promise<ConnectionFailure> {
  const { address: { host, port, text }, identity } = endpoint;
  let reason = "";
  try {
    // Without the client's certificate: only the server's is of interest.
    using connection = await Deno.connectTls({ hostname: host, port, caCerts: [identity.ca] });
    await connection.handshake();
  } catch (error) {
    reason = messageOf(error);
  }
  const why = /not valid yet|NotValidYet/.test(reason)
    ? "its certificate is not valid yet. Check the clocks of this machine and of the server."
    : /expired/i.test(reason)
    ? "its certificate has expired. Issue a new one for it."
    : /purpose|usage/i.test(reason)
    ? "its certificate is not a server certificate. Issue one for it (worker-certs issue --server)."
    : `its certificate was not signed by the CA in ${identity.caFile}. ` +
      `Name the right CA with --ca FILE.`;
  return new ConnectionFailure(`Cannot trust the server at ${text}: ${why}`, { final: true });
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

function explain({ stage, end }: DialResult, endpoint: Endpoint): ConnectionFailure {
  const server = endpoint.address.text;
  if (end === "served") {
    return new ConnectionFailure(
      `Lost the connection to ${server} before the server answered. Try again.`,
      { final: false, isTemporary: true },
    );
  }
  if (end === "timeout") {
    return new ConnectionFailure(
      stage === "dialing"
        ? `Cannot reach ${server}: no answer. Check the address and any firewall in between.`
        : `Cannot connect to ${server}: it accepts connections but does not answer. ` +
          `Check that a worker-server listens there.`,
      { final: false },
    );
  }
  if (end instanceof Error) return explainError(end, { stage, endpoint });
  return stage === "secure" ? certificateRefused(endpoint, false) : closedAtOnce(server);
}

function closedAtOnce(server: string): ConnectionFailure {
  return new ConnectionFailure(
    `Cannot connect to ${server}: it closes every connection immediately. ` +
      `Check that a worker-server listens there.`,
    { final: false },
  );
}

/** Of an attempt on several addresses the first error is reported. */
function rootOf(error: Error): Error & { code?: string; reason?: string } {
  return error instanceof AggregateError && error.errors[0] instanceof Error
    ? error.errors[0]
    : error;
}

function explainError(
  error: Error,
  { stage, endpoint }: { stage: Stage; endpoint: Endpoint },
): ConnectionFailure {
  const { text: server, host } = endpoint.address;
  const { code = "", message, reason = message } = rootOf(error);
  switch (code) {
    case "ECONNREFUSED":
      return new ConnectionFailure(
        `Cannot reach ${server}: connection refused. ` +
          `Start worker-server, or name the right address with --server HOST:PORT.`,
        { final: false, isTemporary: true },
      );
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new ConnectionFailure(
        `Cannot find the host ${host}: the name does not resolve. Check --server HOST:PORT.`,
        { final: false },
      );
    case "EHOSTUNREACH":
    case "ENETUNREACH":
    case "ETIMEDOUT":
      return new ConnectionFailure(
        `Cannot reach ${server}: ${messageOf(error)}. Check the address and the network.`,
        { final: false },
      );
    case "ERR_TLS_CERT_ALTNAME_INVALID":
      return new ConnectionFailure(
        `Cannot trust the server at ${server}: its certificate is for another name ` +
          `(${oneLine(reason)}). Use a name in its certificate, or issue one for ${host}.`,
        { final: true },
      );
  }
  return explainTlsError({ code, message, stage, endpoint });
}

/** The code is OpenSSL's where this runtime has one; otherwise the message is rustls's. */
function explainTlsError(
  { code, message, stage, endpoint }: {
    code: string;
    message: string;
    stage: Stage;
    endpoint: Endpoint;
  },
): ConnectionFailure {
  const server = endpoint.address.text;
  const what = `${code} ${message}`;
  if (stage === "secure" && /alert|CERTIFICATE/i.test(what)) {
    return certificateRefused(endpoint, true);
  }
  if (code === "ECONNRESET" || /disconnected before secure/.test(message)) {
    return closedAtOnce(server);
  }
  if (/ProtocolVersion|PROTOCOL_VERSION|HandshakeFailure|NoApplicationProtocol/i.test(what)) {
    return new ConnectionFailure(
      `Cannot connect to ${server}: it does not speak HTTP/2 over TLS 1.3. ` +
        `Check that a worker-server listens there.`,
      { final: true },
    );
  }
  return new ConnectionFailure(
    `Cannot connect to ${server}: the TLS handshake failed (${message}). ` +
      `Check that a worker-server listens there.`,
    { final: false },
  );
}

function certificateRefused(endpoint: Endpoint, final: boolean): ConnectionFailure {
  return new ConnectionFailure(
    `Cannot connect to ${endpoint.address.text}: the server rejects this client's certificate ` +
      `(${endpoint.identity.holder}). Use one that was issued by a CA the server trusts.`,
    { final, exitStatus: ExitStatus.refused },
  );
}
