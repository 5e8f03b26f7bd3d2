/** Which client certificates are believed: by whom they are signed, for how long, and for what. Pure. */
import { X509Certificate } from "node:crypto";
import type { RevocationList } from "./revocation_list.ts";
import { isFor, keyId, keyWeakness, normalSerial, signatureWeakness } from "./x509.ts";

/** What a certificate is worth: why it gives no access, or until when it does. */
export type Standing =
  | { readonly kind: "refused"; readonly reason: string }
  | { readonly kind: "good"; readonly expiresAtMs: number };

/**
 * The CAs and revocation lists in force. The runtime's TLS has checked a certificate once, when its
 * connection began, against the CAs of then and without revocation lists; this is asked again
 * whenever something has changed.
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
   * Judges a client's certificate. Whatever cannot be understood is refused.
   *
   * @param der The certificate.
   */
  standing(der: Uint8Array, nowMs: number): Standing {
    try {
      return this.#judge(new X509Certificate(der), nowMs);
    } catch {
      return refused("cannot be understood");
    }
  }

  #judge(certificate: X509Certificate, nowMs: number): Standing {
    if (certificate.ca) return refused("is that of a CA, not a client's");
    if (!isFor(certificate, "client")) return refused("is not for clients (clientAuth)");
    const weakness = keyWeakness(certificate) ?? signatureWeakness(certificate);
    if (weakness !== undefined) return refused(`is too weak: ${weakness}`);
    // A chain has one link: what an intermediate CA signs is good where that CA itself is trusted.
    const signers = this.#authorities.filter((authority) =>
      certificate.issuer === authority.certificate.subject &&
      certificate.verify(authority.certificate.publicKey)
    );
    if (signers.length === 0) return refused("is signed by no CA that is trusted here");
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

/** What is said of a certificate whose time is over, or the time of its CA. */
export const EXPIRED: Standing = refused("has expired");

interface Authority {
  certificate: X509Certificate;
  keyId: string;
}

function refused(reason: string): Standing {
  return { kind: "refused", reason };
}
