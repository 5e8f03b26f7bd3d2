import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import tls from "node:tls";
import { scanPem } from "../../common/pem.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";

/** How the TLS handshake is made and the server's certificate checked. */
export interface TlsOptions {
  readonly secureContext: tls.SecureContext;
  /** The name that is sent as SNI. */
  readonly servername: string;
  /** Checks the server's name, and that this identity's CA has signed its certificate. */
  readonly checkServerIdentity: (host: string, cert: tls.PeerCertificate) => Error | undefined;
}

/**
 * SNI cannot hold an IP address (RFC 6066, section 3), and this runtime refuses to send one. So this
 * name, which no certificate contains, is sent instead, and the address is checked separately.
 */
const NAME_FOR_ADDRESSES = "address.job-worker.invalid";

/** TLS 1.3 only, with the client's certificate; the same for calls and for diagnosis. */
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
 * This runtime trusts its own certificate store (public CAs, and DENO_CERT) besides the CA that it is
 * given, so a successful handshake is not enough: the signature of the private CA is verified here.
 */
function checkSigner({ raw }: tls.PeerCertificate, authorities: string): Error | undefined {
  const certificate = new X509Certificate(raw);
  const isSigned = scanPem(authorities).blocks.some(({ text }) =>
    certificate.verify(new X509Certificate(text).publicKey)
  );
  return isSigned
    ? undefined
    : Object.assign(new Error("The server's certificate was signed by another CA."), {
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    });
}
