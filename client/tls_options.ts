import { isIP } from "node:net";
import tls from "node:tls";
import type { Endpoint } from "./endpoint.ts";

/** How a handshake is done and the server's name checked. */
export interface TlsOptions {
  readonly secureContext: tls.SecureContext;
  /** What is asked for by SNI. */
  readonly servername: string;
  /** Only where the name that is checked is not `servername`. */
  readonly checkServerIdentity?: (host: string, cert: tls.PeerCertificate) => Error | undefined;
}

/**
 * SNI cannot hold an IP address (RFC 6066, section 3) and this runtime refuses to send one, so that
 * an address is dialed under this name, which no certificate bears, and checked by itself.
 */
const NAME_FOR_ADDRESSES = "address.job-worker.invalid";

/** TLS 1.3 only, with the client's certificate; the same for calls and for the diagnosis. */
export function tlsOptions({ address, identity }: Endpoint): TlsOptions {
  const secureContext = tls.createSecureContext({
    ca: identity.ca,
    cert: identity.cert,
    key: identity.key,
    minVersion: "TLSv1.3",
  });
  if (isIP(address.host) === 0) return { secureContext, servername: address.host };
  return {
    secureContext,
    servername: NAME_FOR_ADDRESSES,
    checkServerIdentity: (_host, cert) => tls.checkServerIdentity(address.host, cert),
  };
}
