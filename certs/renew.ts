/** `worker-certs renew`: the same certificate again, with a later expiry. */
import { join } from "node:path";
import { type Authority, loadAuthority } from "./authority.ts";
import type { ServerName } from "./arguments.ts";
import type { Purpose } from "./certificate.ts";
import { RoleError, rolesOfCertificate } from "../lib/tls/role.ts";
import { CertsError } from "./errors.ts";
import { existingOf } from "./files.ts";
import { issue, type LeafKey } from "./issue.ts";
import { certificatesIn, isIssuedBy, serialOf } from "./issued.ts";
import { keyFits, readKeyFile } from "./keys.ts";
import { loadList, serialsOf } from "./revocation_list.ts";
import { LIST_DAYS, revoke } from "./revoke.ts";
import {
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
} from "./x509.ts";

/** What `renew` is asked to do. */
export interface RenewOptions {
  /** The folder of the CA and of the certificate. */
  readonly dir: string;
  /** The common name, and the name of the files. */
  readonly name: string;
  /** Null: as `issue` has it. */
  readonly days: number | null;
  /** The OID of the role extension. */
  readonly roleOid: string;
  /** Go on with the key that is there. */
  readonly keepKey: boolean;
  /** Revoke the certificate that is replaced. */
  readonly revokeOld: boolean;
  readonly now: Date;
  /** Called before a key is made, which takes some seconds. */
  readonly onKey: () => void;
}

/**
 * Issues a certificate for the same name, roles and server names, and puts it in the place of the
 * old one, together with its key and, where there is one, the bundle.
 *
 * @returns what was done, for the user
 * @throws {CertsError} when there is no such certificate of this CA, it is revoked, or as `issue` says; then nothing
 * has changed
 */
export async function renew(options: RenewOptions): Promise<string> {
  const { dir, name, days, now, onKey } = options;
  const paths = { certificate: join(dir, `${name}.crt`), key: join(dir, `${name}.key`) };
  const authority = await loadAuthority(dir, { now, purpose: "renew" });
  const old = await findOld(paths.certificate, { name, authority });
  const revoked = serialsOf(await loadList(dir, authority));
  if (revoked.has(serialOf(old))) {
    throw new CertsError(
      "failure",
      `cannot renew "${name}": its certificate, serial ${serialOf(old)}, is revoked; to let ` +
        `"${name}" in again, make another one with worker-certs issue --force`,
    );
  }
  const purpose = purposeOf(old, { path: paths.certificate, roleOid: options.roleOid });
  const bundle = (await existingOf([join(dir, `${name}.pem`)])).length > 0;
  const key: LeafKey = options.keepKey
    ? { kind: "kept", key: await readKey(paths.key, old) }
    : { kind: "generated" };
  const issued = await issue({ dir, name, purpose, days, bundle, force: true, now, onKey, key });
  if (!options.revokeOld) {
    const end = old.notAfter.toISOString().slice(0, 10);
    const state = old.notAfter <= now ? `expired on ${end}` : `is valid until ${end}`;
    return `${issued}The previous certificate, serial ${serialOf(old)}, ${state}.\n`;
  }
  const revocation = await revoke({
    dir,
    targets: [serialOf(old)],
    reason: "superseded",
    days: LIST_DAYS,
    now,
  });
  return issued + revocation;
}

async function findOld(
  path: string,
  { name, authority }: { name: string; authority: Authority },
): Promise<X509Certificate> {
  if ((await existingOf([path])).length === 0) {
    throw new CertsError(
      "failure",
      `cannot renew "${name}": there is no ${path}; make it with worker-certs issue`,
    );
  }
  const [old] = await certificatesIn(path);
  if (old !== undefined && await isIssuedBy(old, authority)) return old;
  throw new CertsError("failure", `cannot renew "${name}": ${path} was not issued by this CA`);
}

/** What a certificate is for, as it stands in it. */
function purposeOf(
  certificate: X509Certificate,
  { path, roleOid }: { path: string; roleOid: string },
): Purpose {
  const usages = certificate.getExtension(ExtendedKeyUsageExtension)?.usages ?? [];
  if (usages.includes(ExtendedKeyUsage.serverAuth)) {
    const names = certificate.getExtension(SubjectAlternativeNameExtension)?.names.items ?? [];
    return {
      kind: "server",
      names: names.filter((name): name is typeof name & ServerName =>
        name.type === "dns" || name.type === "ip"
      ),
    };
  }
  const problem = (text: string) =>
    new CertsError(
      "failure",
      `cannot renew ${path}: ${text}; with roles under another OID give it by --oid`,
    );
  try {
    const roles = rolesOfCertificate(new Uint8Array(certificate.rawData), roleOid);
    if (roles.length === 0) throw problem("it has no role");
    return { kind: "client", roles, roleOid };
  } catch (error) {
    if (error instanceof RoleError) throw problem(`its role is malformed (${error.message})`);
    throw error;
  }
}

async function readKey(path: string, certificate: X509Certificate) {
  const key = await readKeyFile(path);
  if (keyFits(key, certificate)) return key;
  throw new CertsError("failure", `cannot keep the key: ${path} does not fit the certificate`);
}
