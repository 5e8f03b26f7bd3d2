/**
 * Roles, and how a certificate carries them: an X.509 extension whose value is a DER UTF8String of
 * comma-separated role names. The server and the certificate tool share this file.
 *
 * Everything that is not exactly such a value is an error, and an error means no access. One unknown
 * role beside a known one is an error, too: rights must not be granted by a text that was only partly
 * understood.
 */
import {
  AsnConvert,
  AsnProp,
  AsnPropTypes,
  AsnSchemaValidationError,
  AsnType,
  AsnTypeTypes,
} from "@peculiar/asn1-schema";

/** The OID of the role extension, unless the operator chooses another one. */
export const DEFAULT_ROLE_OID = "1.2.840.10070.8.1";

/** Every role there is. `writer` may do everything, `reader` only what changes nothing. */
export const ROLES = ["reader", "writer"] as const;

/** The name of a role, as it stands in a certificate. */
export type Role = (typeof ROLES)[number];

/**
 * Why roles could not be read.
 *
 * - `bad-certificate`: the bytes are not an X.509 certificate.
 * - `duplicate-extension`: the certificate has the role extension twice (RFC 5280, 4.2 forbids it).
 * - `not-der`: the extension's value is not one complete DER value.
 * - `wrong-type`: it is DER, but not a UTF8String.
 * - `empty`: it names no role.
 * - `unknown-role`: it names a role that does not exist.
 */
export type RoleErrorKind =
  | "bad-certificate"
  | "duplicate-extension"
  | "not-der"
  | "wrong-type"
  | "empty"
  | "unknown-role";

/** Roles that cannot be read or written. To the server every kind means the same: no access. */
export class RoleError extends Error {
  override readonly name = "RoleError";

  /**
   * @param kind What is wrong, for programs.
   * @param message The same for people, in one line.
   */
  constructor(readonly kind: RoleErrorKind, message: string) {
    super(message);
  }
}

/** Longer texts are cut in error messages: they come from outside and may be of any length. */
const QUOTED_CHARACTERS = 40;

/** The arcs of the standards' own extensions; a role under one of their OIDs would replace it. */
const RESERVED_OID_ARCS = ["2.5.29.", "1.3.6.1.5.5.7.1."];

/** Longer OIDs are not in use, and some libraries refuse them. */
const OID_LIMIT_CHARACTERS = 128;

/** Arcs above this are encoded differently by different libraries. */
const OID_ARC_LIMIT = 2 ** 31 - 1;

/** The extension's value. A choice of one is how the library says "this primitive type alone". */
class RoleText {
  value = "";
}
AsnType({ type: AsnTypeTypes.Choice })(RoleText);
AsnProp({ type: AsnPropTypes.Utf8String })(RoleText.prototype, "value");

/** RFC 5280, 4.1: Extension. */
class CertificateExtension {
  extnID = "";
  critical = false;
  extnValue = new ArrayBuffer(0);
}
AsnProp({ type: AsnPropTypes.ObjectIdentifier })(CertificateExtension.prototype, "extnID");
AsnProp({ type: AsnPropTypes.Boolean, defaultValue: false })(
  CertificateExtension.prototype,
  "critical",
);
AsnProp({ type: AsnPropTypes.OctetString })(CertificateExtension.prototype, "extnValue");

/** RFC 5280, 4.1: TBSCertificate. The parts that say nothing about roles stay undecoded. */
class SignedPart {
  extensions?: CertificateExtension[];
}
AsnProp({ type: AsnPropTypes.Any, context: 0, optional: true })(SignedPart.prototype, "version");
for (const name of ["serial", "signature", "issuer", "validity", "subject", "publicKey"]) {
  AsnProp({ type: AsnPropTypes.Any })(SignedPart.prototype, name);
}
for (const [index, name] of ["issuerUniqueId", "subjectUniqueId"].entries()) {
  AsnProp({ type: AsnPropTypes.BitString, context: index + 1, implicit: true, optional: true })(
    SignedPart.prototype,
    name,
  );
}
AsnProp({ type: CertificateExtension, context: 3, repeated: "sequence", optional: true })(
  SignedPart.prototype,
  "extensions",
);

/** RFC 5280, 4.1: Certificate. */
class SignedCertificate {
  signedPart = new SignedPart();
}
AsnProp({ type: SignedPart })(SignedCertificate.prototype, "signedPart");
AsnProp({ type: AsnPropTypes.Any })(SignedCertificate.prototype, "algorithm");
AsnProp({ type: AsnPropTypes.BitString })(SignedCertificate.prototype, "signature");

/**
 * Reads a comma-separated list of roles, exactly as it must stand in a certificate: no blanks, no
 * empty items. A role named twice counts once.
 *
 * @returns the roles in the order of {@link ROLES}, at least one
 * @throws {RoleError} `empty` or `unknown-role`
 */
export function parseRoles(text: string): Role[] {
  if (text === "") throw new RoleError("empty", "no role is named");
  const names = new Set(text.split(","));
  for (const name of names) {
    if (!(ROLES as readonly string[]).includes(name)) {
      throw new RoleError("unknown-role", `unknown role ${quote(name)}`);
    }
  }
  return ROLES.filter((role) => names.has(role));
}

/**
 * Encodes roles as the value of the role extension.
 *
 * @returns DER: a UTF8String of comma-separated names
 * @throws {RoleError} `empty` when there is none
 */
export function encodeRoles(roles: readonly Role[]): Uint8Array<ArrayBuffer> {
  return encodeText(parseRoles(roles.join(",")).join(","));
}

/**
 * Decodes the value of the role extension.
 *
 * @param der the extension's value, without the OCTET STRING around it
 * @returns the roles in the order of {@link ROLES}, at least one
 * @throws {RoleError} `not-der`, `wrong-type`, `empty` or `unknown-role`
 */
export function decodeRoles(der: Uint8Array): Role[] {
  let text: string;
  try {
    text = AsnConvert.parse(der, RoleText).value;
  } catch (error) {
    if (error instanceof AsnSchemaValidationError) {
      throw new RoleError("wrong-type", "the role extension is not a UTF8String");
    }
    throw new RoleError("not-der", "the role extension is not DER");
  }
  // DER has one encoding for one value (X.690, 10). Encoding the text again therefore finds all
  // that the tolerant parser lets pass: trailing bytes, BER lengths, pieces, invalid UTF-8.
  if (!equalBytes(encodeText(text), der)) {
    throw new RoleError("not-der", "the role extension is not one DER UTF8String");
  }
  return parseRoles(text);
}

/**
 * Reads the roles out of a certificate. Nothing is verified here: the caller has checked who
 * signed it.
 *
 * @param der the whole certificate in DER, such as `raw` of a TLS peer certificate
 * @param oid the OID of the role extension
 * @returns the roles in the order of {@link ROLES}; empty when there is no role extension
 * @throws {RoleError} of any kind
 */
export function rolesOfCertificate(der: Uint8Array, oid: string = DEFAULT_ROLE_OID): Role[] {
  let extensions: CertificateExtension[];
  try {
    extensions = AsnConvert.parse(der, SignedCertificate).signedPart.extensions ?? [];
  } catch {
    throw new RoleError("bad-certificate", "the bytes are not an X.509 certificate");
  }
  const found = extensions.filter((extension) => extension.extnID === oid);
  if (found.length > 1) {
    throw new RoleError("duplicate-extension", "the certificate has the role extension twice");
  }
  const extension = found[0];
  return extension === undefined ? [] : decodeRoles(new Uint8Array(extension.extnValue));
}

/**
 * Says whether a text is an OID that a role extension may have: dotted decimal numbers of X.660
 * (the first 0 to 2, the second below 40 unless the first is 2), outside the arcs that the
 * standards use for extensions of their own.
 */
export function isRoleOid(text: string): boolean {
  if (text.length > OID_LIMIT_CHARACTERS) return false;
  if (!/^[0-2](\.(0|[1-9][0-9]*)){2,}$/.test(text)) return false;
  if (RESERVED_OID_ARCS.some((arc) => text.startsWith(arc))) return false;
  const arcs = text.split(".").map(Number);
  const [first = 0, second = 0] = arcs;
  return (first === 2 || second < 40) && arcs.every((arc) => arc <= OID_ARC_LIMIT);
}

function encodeText(text: string): Uint8Array<ArrayBuffer> {
  const roleText = new RoleText();
  roleText.value = text;
  return new Uint8Array(AsnConvert.serialize(roleText));
}

function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

function quote(text: string): string {
  const shown = text.length > QUOTED_CHARACTERS ? `${text.slice(0, QUOTED_CHARACTERS)}…` : text;
  return JSON.stringify(shown);
}
