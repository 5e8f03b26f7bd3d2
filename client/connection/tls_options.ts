import { X509Certificate } from "node:crypto";
import { isIP } from "node:net";
import tls from "node:tls";
import { pathsOf } from "../../common/certificate_path.ts";
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

/** Certificates that a server sends after its own are looked at, the first ones. */
const MAX_SENT = 8;

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
 * given, so a successful handshake is not enough: here signatures have to lead to the private CA. What TLS
 * itself asks of the CAs between, such as their constraints, the handshake has checked.
 */
function checkSigner(peer: tls.PeerCertificate, authorities: string): Error | undefined {
  const paths = pathsOf(new X509Certificate(peer.raw), {
    authorities: scanPem(authorities).blocks.map(({ text }) => new X509Certificate(text)),
    intermediates: sentWith(peer).map((der) => new X509Certificate(der)),
    maySign: (each) => each.ca,
  });
  return paths.length > 0
    ? undefined
    : Object.assign(new Error("The server's certificate was signed by another CA."), {
      code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
    });
}

/** The certificates that a server sent after its own. */
function sentWith(peer: Partial<tls.DetailedPeerCertificate>): Uint8Array[] {
  const sent: Uint8Array[] = [];
  let last = peer;
  while (last.issuerCertificate?.raw !== undefined && last.issuerCertificate !== last) {
    last = last.issuerCertificate;
    if (last.raw !== undefined) sent.push(last.raw);
    if (sent.length === MAX_SENT) break;
  }
  return sent;
}
