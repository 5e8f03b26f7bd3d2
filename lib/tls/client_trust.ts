/** Which client certificates are accepted: issuer, validity, purpose, revocation. Pure. */
import { X509Certificate } from "node:crypto";
import type { RevocationList } from "./revocation_list.ts";
import { endOfPath, pathsOf } from "../../common/certificate_path.ts";
import { isIntermediateFor, maySignBelow } from "./signing.ts";
import { isFor, keyId, keyWeakness, normalSerial, signatureWeakness } from "./x509.ts";

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
  readonly #authorities: readonly X509Certificate[];
  readonly #revoked: ReadonlyMap<string, ReadonlySet<string>>;

  /**
   * @param authorities The certificates of the CAs that may sign clients.
   * @param lists At most one list of each CA.
   */
  constructor(authorities: readonly X509Certificate[], lists: readonly RevocationList[]) {
    this.#authorities = authorities;
    this.#revoked = new Map(lists.map((list) => [list.authorityKeyId, list.serials]));
  }

  /**
   * Checks a client's certificate. One that cannot be decoded is refused.
   *
   * @param der The certificate.
   * @param nowMs Milliseconds since 1970-01-01 UTC.
   * @param sent What the client has sent with it: CAs between it and a trusted one, or anything.
   */
  standing(der: Uint8Array, nowMs: number, sent: readonly Uint8Array[] = []): Standing {
    try {
      return this.#check(new X509Certificate(der), sent.flatMap(readable), nowMs);
    } catch {
      return refused("cannot be decoded");
    }
  }

  #check(
    certificate: X509Certificate,
    intermediates: readonly X509Certificate[],
    nowMs: number,
  ): Standing {
    if (certificate.ca) return refused("is the certificate of a CA, not of a client");
    if (!isFor(certificate, "client")) return refused("is not for clients (clientAuth)");
    const weakness = keyWeakness(certificate) ?? signatureWeakness(certificate);
    if (weakness !== undefined) return refused(`is too weak: ${weakness}`);
    const paths = pathsOf(certificate, {
      authorities: this.#authorities,
      intermediates,
      maySign: (each, belowCount) =>
        this.#authorities.includes(each)
          ? maySignBelow(each, belowCount, "client")
          : isIntermediateFor("client")(each, belowCount),
    });
    if (paths.length === 0) return refused("is not signed by a CA that is trusted here");
    // Whichever CA of that name and key has revoked it.
    if (paths.some((path) => this.#hasRevoked(path[0], certificate))) return refused("is revoked");
    const unrevoked = paths.filter((path) =>
      !path.some((each, index) => this.#hasRevoked(path[index + 1], each))
    );
    if (unrevoked.length === 0) return refused("was issued by a CA that is revoked");
    const begun = unrevoked.filter((path) =>
      path.slice(0, -1).every(({ validFrom }) => Date.parse(validFrom) <= nowMs)
    );
    const [early] = [certificate, ...begun.length === 0 ? unrevoked.flat() : []]
      .filter(({ validFrom }) => !(Date.parse(validFrom) <= nowMs));
    if (early !== undefined) return refused(`is not valid before ${early.validFrom}`);
    const expiresAtMs = Math.min(
      Date.parse(certificate.validTo),
      Math.max(...begun.map(endOfPath)),
    );
    return expiresAtMs > nowMs ? { kind: "good", expiresAtMs } : EXPIRED;
  }

  #hasRevoked(
    signer: X509Certificate | undefined,
    { serialNumber }: X509Certificate,
  ): boolean {
    if (signer === undefined) return false;
    return this.#revoked.get(keyId(signer.publicKey))?.has(normalSerial(serialNumber)) ?? false;
  }
}

/** A certificate that was sent, unless it cannot be decoded: nothing is signed by it then. */
function readable(der: Uint8Array): X509Certificate[] {
  try {
    return [new X509Certificate(der)];
  } catch {
    return [];
  }
}

/** The standing of a certificate that has expired, or whose CA has. */
export const EXPIRED: Standing = refused("has expired");

function refused(reason: string): Standing {
  return { kind: "refused", reason };
}
