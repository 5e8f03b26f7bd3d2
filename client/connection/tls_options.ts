import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import tls from "node:tls";
import { scanPem } from "../../common/pem.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";

/** How a handshake is done and the server's name checked. */
export interface TlsOptions {
  readonly secureContext: tls.SecureContext;
  /** What is asked for by SNI. */
  readonly servername: string;
  /** Checks the server's name, and that this identity's CA has signed its certificate. */
  readonly checkServerIdentity: (host: string, cert: tls.PeerCertificate) => Error | undefined;
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
  return {
    secureContext,
    servername: isIP(address.host) === 0 ? address.host : NAME_FOR_ADDRESSES,
    checkServerIdentity: (_host, cert) =>
      tls.checkServerIdentity(address.host, cert) ?? checkSigner(cert, identity.ca),
  };
}

/**
 * This runtime trusts a store of its own besides the CA that it is given (the certificates of public
 * authorities, and DENO_CERT), so that the handshake alone proves nothing: the signature of the
 * private CA is looked at again.
 */
function checkSigner({ raw }: tls.PeerCertificate, authorities: string): Error | undefined {
  const certificate = new X509Certificate(raw);
  const isOurs = scanPem(authorities).blocks.some(({ text }) =>
    certificate.verify(new X509Certificate(text).publicKey)
  );
  return isOurs ? undefined : Object.assign(new Error("The server's certificate has another CA."), {
    code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  });
}
