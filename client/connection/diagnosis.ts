import tls from "node:tls";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { ClientError, messageOf, oneLine } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { tlsOptions } from "./tls_options.ts";

/** A connection that could not be made, and why. */
export class ConnectionFailure extends ClientError {
  override name = "ConnectionFailure";
  /** Whether the same attempt will fail again until a person has changed something. */
  readonly final: boolean;
  /** Whether it looks as it does for the moment in which a server is restarted. */
  readonly isPassing: boolean;

  constructor(
    message: string,
    { final, isPassing = false, exitStatus = ExitStatus.connection }: {
      final: boolean;
      isPassing?: boolean;
      exitStatus?: number;
    },
  ) {
    super(message, exitStatus);
    this.final = final;
    this.isPassing = isPassing;
  }
}

/** How long one diagnostic dial may take. */
const DIAL_TIMEOUT_MS = 3_000;

/** How far a dial came before it ended. */
type Stage = "dialing" | "connected" | "secure";

/** How a dial ended: `served` when the server sent us something over TLS. */
interface DialResult {
  readonly stage: Stage;
  readonly end: "served" | "closed" | "timeout" | Error;
}

/**
 * Finds out why no connection to the server can be made: grpc-js says only "Failed to connect" for
 * most of the reasons, so the same handshake is done once more without it.
 *
 * @returns The reason, for the user.
 */
export async function diagnose(endpoint: Endpoint): Promise<ConnectionFailure> {
  const result = await dial(endpoint);
  const isUntrusted = result.end instanceof Error && isUnverified(rootOf(result.end));
  return isUntrusted ? await explainDistrust(endpoint) : explain(result, endpoint);
}

/** This runtime's node:tls has this one code for whatever is wrong with a certificate. */
function isUnverified({ code }: { code?: string }): boolean {
  return code === "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
}

/** Asks the runtime's own TLS, which tells the reasons apart (the texts are rustls's). */
async function explainDistrust(endpoint: Endpoint): Promise<ConnectionFailure> {
  const { address: { host, port, text }, identity } = endpoint;
  let reason = "";
  try {
    // The client's certificate is not shown: this only looks at the server's.
    using connection = await Deno.connectTls({ hostname: host, port, caCerts: [identity.ca] });
    await connection.handshake();
  } catch (error) {
    reason = messageOf(error);
  }
  const why = /not valid yet|NotValidYet/.test(reason)
    ? "its certificate is not valid yet. Check this machine's clock and its."
    : /expired/i.test(reason)
    ? "its certificate has expired. Have a new one issued for it."
    : /purpose|usage/i.test(reason)
    ? "its certificate is not one for servers. Have one issued for it (worker-certs issue --server)."
    : `the CA in ${identity.caFile} did not sign its certificate. ` +
      `Name the CA that did with --ca FILE.`;
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
      `Cannot keep a connection to ${server}: it broke before the server answered. Try again.`,
      { final: false, isPassing: true },
    );
  }
  if (end === "timeout") {
    return new ConnectionFailure(
      stage === "dialing"
        ? `Cannot reach ${server}: no answer. Check the address and any firewall on the way.`
        : `Cannot connect to ${server}: it takes connections but does not answer. ` +
          `Check that a worker-server listens there.`,
      { final: false },
    );
  }
  if (end instanceof Error) return explainError(end, { stage, endpoint });
  return stage === "secure" ? certificateRefused(endpoint, false) : closedAtOnce(server);
}

function closedAtOnce(server: string): ConnectionFailure {
  return new ConnectionFailure(
    `Cannot connect to ${server}: it closes connections at once. ` +
      `Check that a worker-server listens there.`,
    { final: false },
  );
}

/** One of the errors of an attempt on several addresses stands for all. */
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
        `Cannot reach ${server}: nothing listens there. ` +
          `Start worker-server, or name the right address with --server HOST:PORT.`,
        { final: false, isPassing: true },
      );
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return new ConnectionFailure(
        `Cannot find the host ${host}: its name does not resolve. Check --server HOST:PORT.`,
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
          `(${oneLine(reason)}). Name it as its certificate does, or have one issued for ${host}.`,
        { final: true },
      );
  }
  return explainTlsError({ code, message, stage, endpoint });
}

/** The codes are OpenSSL's where this runtime knows one, else the text is rustls's. */
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
    `Cannot connect to ${endpoint.address.text}: the server refuses this client's certificate ` +
      `(${endpoint.identity.holder}). Use one that was issued by the CA the server trusts.`,
    { final, exitStatus: ExitStatus.refused },
  );
}
