/** Explains to the user why no connection could be made. Pure. */
import type { Endpoint } from "../endpoint/endpoint.ts";
import { messageOf, oneLine } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { ConnectionFailure } from "./connection_failure.ts";

/** How far a connection attempt came. */
export type Stage = "dialing" | "connected" | "secure";

/** How an attempt ended: `served` when the server sent something over TLS. */
export interface DialResult {
  readonly stage: Stage;
  readonly end: "served" | "closed" | "timeout" | Error;
}

/**
 * Whether the server's certificate was not accepted: this runtime's node:tls has one code for every
 * reason.
 */
export function isUntrusted({ end }: DialResult): boolean {
  return end instanceof Error && rootOf(end).code === "UNABLE_TO_VERIFY_LEAF_SIGNATURE";
}

/** Whether the server has closed the connection behind the handshake, and has not said why. */
export function isSilentRefusal({ stage, end }: DialResult): boolean {
  return stage === "secure" && end === "closed";
}

/**
 * The reason why a server's certificate was not accepted.
 *
 * @param reason The message of the runtime's own TLS (rustls); empty where it accepts the certificate.
 */
export function explainDistrust(
  reason: string,
  { address, identity }: Endpoint,
): ConnectionFailure {
  const why = /not valid yet|NotValidYet/.test(reason)
    ? "its certificate is not valid yet. Check the clocks of this machine and of the server."
    : /expired/i.test(reason)
    ? "its certificate has expired. Issue a new one for it."
    : /purpose|usage/i.test(reason)
    ? "its certificate is not a server certificate. Issue one for it (worker-certs issue --server)."
    : `its certificate was not signed by the CA in ${identity.caFile}. ` +
      `Name the right CA with --ca FILE.`;
  return new ConnectionFailure(`Cannot trust the server at ${address.text}: ${why}`, {
    final: true,
  });
}

/** The reason why a connection could not be made. */
export function explain({ stage, end }: DialResult, endpoint: Endpoint): ConnectionFailure {
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
  return isSilentRefusal({ stage, end })
    ? certificateRefused(endpoint, false)
    : closedAtOnce(server);
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
