/** Which client certificates are accepted: issuer, validity, purpose, revocation. Pure. */
import { X509Certificate } from "node:crypto";
import type { RevocationList } from "./revocation_list.ts";
import { isFor, isSignedBy, keyId, keyWeakness, normalSerial, signatureWeakness } from "./x509.ts";

/** Whether a certificate is accepted: why not, or until when. */
export type Standing =
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "good"; readonly expiresAtMs: number };

/**
 * The CAs and revocation lists in force. The runtime's TLS checks a certificate only when its
 * connection begins, against the CAs at that time and without revocation lists; this check is
 * repeated whenever CAs or lists change.
 */
export class ClientTrust {
  readonly #authorities: readonly Authority[];
  readonly #revoked: ReadonlyMap<string, ReadonlySet<string>>;

  /**
   * @param authorities The certificates of the CAs that may sign clients.
   * @param lists At most one list of each CA.
   */
  constructor(authorities: readonly X509Certificate[], lists: readonly RevocationList[]) {
    this.#authorities = authorities.map((certificate) => ({
      certificate,
      keyId: keyId(certificate.publicKey),
    }));
    this.#revoked = new Map(lists.map((list) => [list.authorityKeyId, list.serials]));
  }

  /**
   * Checks a client's certificate. One that cannot be decoded is refused.
   *
   * @param der The certificate.
   * @param nowMs Milliseconds since 1970-01-01 UTC.
   */
  standing(der: Uint8Array, nowMs: number): Standing {
    try {
      return this.#check(new X509Certificate(der), nowMs);
    } catch {
      return refused("cannot be decoded");
    }
  }

  #check(certificate: X509Certificate, nowMs: number): Standing {
    if (certificate.ca) return refused("is the certificate of a CA, not of a client");
    if (!isFor(certificate, "client")) return refused("is not for clients (clientAuth)");
    const weakness = keyWeakness(certificate) ?? signatureWeakness(certificate);
    if (weakness !== undefined) return refused(`is too weak: ${weakness}`);
    // Chains have one link: an intermediate CA must itself be among the trusted CAs.
    const signers = this.#authorities.filter((authority) =>
      isSignedBy(certificate, authority.certificate)
    );
    if (signers.length === 0) return refused("is not signed by a CA that is trusted here");
    const serial = normalSerial(certificate.serialNumber);
    if (signers.some((signer) => this.#revoked.get(signer.keyId)?.has(serial))) {
      return refused("is revoked");
    }
    const beginsAtMs = Date.parse(certificate.validFrom);
    if (!(beginsAtMs <= nowMs)) return refused(`is not valid before ${certificate.validFrom}`);
    const ends = signers.map((signer) => Date.parse(signer.certificate.validTo));
    const expiresAtMs = Math.min(Date.parse(certificate.validTo), Math.max(...ends));
    return expiresAtMs > nowMs ? { kind: "good", expiresAtMs } : EXPIRED;
  }
}

/** The standing of a certificate that has expired, or whose CA has. */
export const EXPIRED: Standing = refused("has expired");

interface Authority {
  certificate: X509Certificate;
  keyId: string;
}

function refused(reason: string): Standing {
  return { kind: "refused", reason };
}
