/** Paths from a certificate to a CA that is trusted (RFC 5280, 6.1). Pure. */
import type { X509Certificate } from "node:crypto";

/** CAs between a certificate and a trusted one: three in the deepest PKI that is common. */
const MAX_INTERMEDIATES_IN_PATH = 4;

/** Certificates that a peer has sent are looked at, the first ones; each may cost a signature for each other. */
const MAX_INTERMEDIATES = 8;

/** Cross-signed CAs have several paths; more than these are not looked for. */
const MAX_PATHS = 8;

/** What paths are made of. */
export interface PathParts {
  /** Where a path ends. */
  readonly authorities: readonly X509Certificate[];
  /** What may stand between, in any order; nobody has vouched for them. */
  readonly intermediates: readonly X509Certificate[];
  /**
   * Whether a certificate may have signed one below it.
   *
   * @param belowCount CAs between it and the certificate at the path's beginning.
   */
  readonly maySign: (authority: X509Certificate, belowCount: number) => boolean;
}

/**
 * The paths of a certificate: each begins with the one that signed it, and ends with a trusted CA. The
 * shortest come first.
 */
export function pathsOf(
  certificate: X509Certificate,
  { authorities, intermediates, maySign }: PathParts,
): X509Certificate[][] {
  const between = [...new Map(intermediates.map((each) => [each.fingerprint256, each])).values()]
    .slice(0, MAX_INTERMEDIATES);
  const found: X509Certificate[][] = [];
  let begun: X509Certificate[][] = [[]];
  for (let below = 0; below <= MAX_INTERMEDIATES_IN_PATH; below++) {
    const longer: X509Certificate[][] = [];
    for (const path of begun) {
      const last = path.at(-1) ?? certificate;
      const signersOf = (candidates: readonly X509Certificate[]) =>
        candidates.filter((each) => maySign(each, below) && isSignedBy(last, each));
      for (const signer of signersOf(authorities)) found.push([...path, signer]);
      for (const signer of signersOf(between.filter((each) => !path.includes(each)))) {
        longer.push([...path, signer]);
      }
    }
    // A trusted CA that is sent along is the end of a path, not a part of one.
    begun = longer.filter((path) =>
      !authorities.some(({ fingerprint256 }) => fingerprint256 === path.at(-1)?.fingerprint256)
    ).slice(0, MAX_PATHS);
    if (begun.length === 0 || found.length >= MAX_PATHS) break;
  }
  return found.slice(0, MAX_PATHS);
}

/** Whether an authority's name and key are those that issued a certificate. */
export function isSignedBy(certificate: X509Certificate, authority: X509Certificate): boolean {
  if (certificate.issuer !== authority.subject) return false;
  try {
    return certificate.verify(authority.publicKey);
  } catch {
    // Deno 2.7.14 throws where the key is of another kind than the signature: it did not make it.
    return false;
  }
}

/** When the first certificate of a path expires, in milliseconds since 1970-01-01 UTC. */
export function endOfPath(path: readonly X509Certificate[]): number {
  return Math.min(...path.map(({ validTo }) => Date.parse(validTo)));
}
