/** The contents of a certificate as plain data: the one place that converts X.509 for people. */
import { createHash } from "node:crypto";
import { type Role, RoleError, rolesOfCertificate } from "../lib/tls/role.ts";
import { DAY_MS } from "./certificate.ts";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
} from "./x509.ts";

/** What `show` tells of a certificate; `--json` prints it as it is. */
export interface CertificateDescription {
  /** RFC 4514. */
  readonly subject: string;
  /** RFC 4514. */
  readonly issuer: string;
  /** Upper-case hexadecimal, as OpenSSL and the server's audit log write it. */
  readonly serial: string;
  /** What it may be used for: `CA`, `server`, `client`, or other OIDs; empty when it does not say. */
  readonly usages: readonly string[];
  /** Empty when it has no role extension, or a malformed one. */
  readonly roles: readonly Role[];
  /** Why the role extension gives no access, or null. */
  readonly roleError: string | null;
  /** Such as `DNS:localhost` and `IP:127.0.0.1`. */
  readonly names: readonly string[];
  /** Such as `RSA 4096`. */
  readonly key: string;
  /** Such as `sha256WithRSAEncryption`. */
  readonly signature: string;
  /** ISO 8601, UTC. */
  readonly notBefore: string;
  /** ISO 8601, UTC. */
  readonly notAfter: string;
  readonly state: "valid" | "expired" | "not yet valid";
  /** Whole days until it expires, negative when it has. */
  readonly daysLeft: number;
  /** SHA-256 of the whole certificate, upper-case hexadecimal with colons. */
  readonly fingerprint: string;
}

/**
 * Describes a certificate. Whether its issuer signed it is not looked at.
 *
 * @param options `oid` of the role extension, `now` to tell whether it has expired
 */
export function describeCertificate(
  certificate: X509Certificate,
  { oid, now }: { oid: string; now: Date },
): CertificateDescription {
  const der = new Uint8Array(certificate.rawData);
  const { notBefore, notAfter } = certificate;
  const leftMs = notAfter.getTime() - now.getTime();
  return {
    subject: certificate.subject,
    issuer: certificate.issuer,
    serial: certificate.serialNumber.toUpperCase(),
    usages: usagesOf(certificate),
    ...rolesOf(der, oid),
    names: namesOf(certificate),
    key: keyOf(certificate),
    signature: signatureOf(certificate),
    notBefore: timeOf(notBefore),
    notAfter: timeOf(notAfter),
    state: leftMs <= 0 ? "expired" : notBefore > now ? "not yet valid" : "valid",
    daysLeft: Math.floor(leftMs / DAY_MS),
    fingerprint: fingerprintOf(der),
  };
}

function rolesOf(der: Uint8Array, oid: string): { roles: Role[]; roleError: string | null } {
  try {
    return { roles: rolesOfCertificate(der, oid), roleError: null };
  } catch (error) {
    if (error instanceof RoleError) return { roles: [], roleError: error.message };
    throw error;
  }
}

function usagesOf(certificate: X509Certificate): string[] {
  const usages = (certificate.getExtension(ExtendedKeyUsageExtension)?.usages ?? []).map(String)
    .map((usage) => {
      if (usage === ExtendedKeyUsage.clientAuth) return "client";
      return usage === ExtendedKeyUsage.serverAuth ? "server" : usage;
    });
  return certificate.getExtension(BasicConstraintsExtension)?.ca === true
    ? ["CA", ...usages]
    : usages;
}

function namesOf(certificate: X509Certificate): string[] {
  const items = certificate.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
  return items.map(({ type, value }) => `${type.toUpperCase()}:${value}`);
}

function keyOf(certificate: X509Certificate): string {
  const algorithm = certificate.publicKey.algorithm as Algorithm & {
    modulusLength?: number;
    namedCurve?: string;
  };
  const { name, modulusLength, namedCurve } = algorithm;
  if (modulusLength !== undefined) return `RSA ${modulusLength}`;
  return namedCurve === undefined ? name : `EC ${namedCurve}`;
}

/** The names of RFC 4055 and RFC 5758, which OpenSSL prints; others as the library calls them. */
function signatureOf(certificate: X509Certificate): string {
  const { name, hash } = certificate.signatureAlgorithm;
  const digest = (hash?.name ?? "").replace("-", "");
  if (name === "RSASSA-PKCS1-v1_5") return `${digest.toLowerCase()}WithRSAEncryption`;
  if (name === "ECDSA") return `ecdsa-with-${digest}`;
  return name;
}

/** Times of certificates have no fractions of a second. */
function timeOf(date: Date): string {
  return date.toISOString().replace(".000Z", "Z");
}

function fingerprintOf(der: Uint8Array): string {
  const hex = createHash("sha256").update(der).digest("hex").toUpperCase();
  return hex.match(/../g)?.join(":") ?? "";
}
