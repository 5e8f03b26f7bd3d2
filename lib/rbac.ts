/** Which role may call which method. Deny by default. Pure. */
import { DEFAULT_ROLE_OID, isRoleOid, type Role, ROLES, rolesOfCertificate } from "./role.ts";

export { DEFAULT_ROLE_OID, isRoleOid, type Role, ROLES };

/** Who calls: what the certificate says. */
export interface Caller {
  /** The certificate's common name. */
  name: string;
  /** The certificate's serial number, hexadecimal. */
  serial: string;
  roles: readonly Role[];
}

const READERS: readonly Role[] = ["reader", "writer"];
const WRITERS: readonly Role[] = ["writer"];

/** The roles that may call each method; a method that is not here is refused to everyone. */
const PERMISSIONS: ReadonlyMap<string, readonly Role[]> = new Map([
  ["/JobService/Start", WRITERS],
  ["/JobService/Stop", WRITERS],
  ["/JobService/Signal", WRITERS],
  ["/JobService/Remove", WRITERS],
  ["/JobService/Query", READERS],
  ["/JobService/Stream", READERS],
  ["/JobService/Wait", READERS],
  ["/JobService/List", READERS],
  ["/JobService/Info", READERS],
]);

/** What each method's path begins with. */
const SERVICE = "/JobService/";

/** The names of all methods, such as `Start`. */
export const METHOD_NAMES: readonly string[] = [...PERMISSIONS.keys()].map((path) =>
  path.slice(SERVICE.length)
);

/** Whether there is such a method, named by its path such as `/JobService/Start`. */
export function isMethod(method: string): boolean {
  return PERMISSIONS.has(method);
}

/** Whether one of the roles may call a method, named by its path such as `/JobService/Start`. */
export function isAllowed(roles: readonly Role[], method: string): boolean {
  return PERMISSIONS.get(method)?.some((role) => roles.includes(role)) ?? false;
}

/**
 * Reads the roles of a client certificate. A certificate whose extension is missing, malformed or
 * names an unknown role has none.
 *
 * @param certificate The certificate, DER.
 * @param oid The OID of the role extension.
 */
export function readRoles(certificate: Uint8Array, oid: string): Role[] {
  try {
    return rolesOfCertificate(certificate, oid);
  } catch {
    return [];
  }
}
