/** Which role may call which method; every other method is denied. Pure. */
import { DEFAULT_ROLE_OID, isRoleOid, type Role, ROLES, rolesOfCertificate } from "./tls/role.ts";

export { DEFAULT_ROLE_OID, isRoleOid, type Role, ROLES };

/** Who calls, by the client certificate. */
export interface Caller {
  /** The certificate's common name. */
  name: string;
  /** The certificate's serial number, hexadecimal. */
  serial: string;
  roles: readonly Role[];
}

const READERS: readonly Role[] = ["reader", "writer"];
const WRITERS: readonly Role[] = ["writer"];

/** The roles that may call each method; a method that is not in the table is denied to everyone. */
const PERMISSIONS: ReadonlyMap<string, readonly Role[]> = new Map([
  ["/JobService/Start", WRITERS],
  ["/JobService/Stop", WRITERS],
  ["/JobService/Signal", WRITERS],
  ["/JobService/Update", WRITERS],
  ["/JobService/Remove", WRITERS],
  ["/JobService/Input", WRITERS],
  ["/JobService/Query", READERS],
  ["/JobService/Stream", READERS],
  ["/JobService/Wait", READERS],
  ["/JobService/List", READERS],
  ["/JobService/Info", READERS],
  ["/JobService/Events", READERS],
  // For load balancers and orchestrators; their certificates need a role as well.
  ["/grpc.health.v1.Health/Check", READERS],
  ["/grpc.health.v1.Health/List", READERS],
  ["/grpc.health.v1.Health/Watch", READERS],
  // The contract, for tools such as grpcurl.
  ["/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", READERS],
  ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", READERS],
]);

/** The beginning of the path of each method of this project. */
const SERVICE = "/JobService/";

/** The beginning of the paths of all versions of the reflection service. */
const REFLECTION_PACKAGE = "/grpc.reflection.";

/** The beginning of the path of each method of the health service. */
const HEALTH_SERVICE = "/grpc.health.v1.Health/";

/**
 * The name of a method in rules and metrics: `Start`; for a method of another service with the
 * service's name, without its package (which names a version): `Health/Check`.
 *
 * @param path Such as `/JobService/Start`.
 * @returns Undefined where there is no such method.
 */
export function methodNameOf(path: string): string | undefined {
  if (!PERMISSIONS.has(path)) return undefined;
  if (path.startsWith(SERVICE)) return path.slice(SERVICE.length);
  const [service = "", method] = path.slice(1).split("/");
  return `${service.slice(service.lastIndexOf(".") + 1)}/${method}`;
}

/** The names of all methods. */
export const METHOD_NAMES: readonly string[] = [
  ...new Set([...PERMISSIONS.keys()].map((path) => methodNameOf(path) ?? "")),
];

/** Whether there is such a method, named by its path such as `/JobService/Start`. */
export function isMethod(method: string): boolean {
  return PERMISSIONS.has(method);
}

/** Whether a method, named by its path, is one of the health service. */
export function isHealthMethod(method: string): boolean {
  return method.startsWith(HEALTH_SERVICE) && PERMISSIONS.has(method);
}

/** Whether a method, named by its path, is one of the reflection service. */
export function isReflection(method: string): boolean {
  return method.startsWith(REFLECTION_PACKAGE) && PERMISSIONS.has(method);
}

/** Whether a method, named by its path, takes one message after another from the same caller. */
export function hasManyMessages(method: string): boolean {
  return method === "/JobService/Input";
}

/** Whether a method, named by its path, may change something: a reader may not call it. */
export function isChange(method: string): boolean {
  return PERMISSIONS.get(method)?.includes("reader") === false;
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
