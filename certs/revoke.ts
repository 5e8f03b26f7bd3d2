/** `worker-certs revoke`: adds certificates to the CA's list, or only makes a new list. */
import { type Authority, loadAuthority } from "./authority.ts";
import { CertsError } from "./errors.ts";
import { CERTIFICATE_MODE, existingOf, writeTogether } from "./files.ts";
import { certificatesIn, commonNameOf, isIssuedBy, issuedBy, serialOf } from "./issued.ts";
import { toPem } from "../common/pem.ts";
import {
  LIST_LABEL,
  listPath,
  loadList,
  makeList,
  numberOf,
  type Reason,
  serialsOf,
} from "./revocation_list.ts";
import type { X509Certificate } from "./x509.ts";

/** A newer list is promised within a year, leap day included; servers warn when it is late. */
export const LIST_DAYS = 366;

/** What `revoke` is asked to do. */
export interface RevokeOptions {
  /** The folder of the CA, where the list goes, too. */
  readonly dir: string;
  /** Names, serial numbers and files of certificates; none: only a new list is made. */
  readonly targets: readonly string[];
  readonly reason: Reason | undefined;
  /** How long until a newer list is promised. */
  readonly days: number;
  readonly now: Date;
}

/**
 * Revokes certificates.
 *
 * @returns what was done, for the user
 * @throws {CertsError} when a target is not one of this CA's certificates, or a file cannot be read or
 * written; then nothing has changed
 */
export async function revoke(options: RevokeOptions): Promise<string> {
  const { dir, targets, reason, days, now } = options;
  const authority = await loadAuthority(dir, { now, purpose: "revoke" });
  const last = await loadList(dir, authority);
  const issued = await issuedBy(authority, dir);
  const chosen = new Map<string, X509Certificate>();
  for (const target of targets) {
    for (const certificate of await find(target, { authority, issued, now })) {
      chosen.set(serialOf(certificate), certificate);
    }
  }
  const before = serialsOf(last);
  const added = [...chosen.keys()].filter((serial) => !before.has(serial))
    .map((serial) => ({ serial, reason }));
  const list = await makeList(last, { authority, added, days, now });
  const path = listPath(dir);
  const content = toPem(LIST_LABEL, new Uint8Array(list.rawData));
  await writeTogether([{ path, content, mode: CERTIFICATE_MODE }], { overwrite: true });
  const count = list.entries.length;
  return [
    ...[...chosen.values()].map((certificate) =>
      `${before.has(serialOf(certificate)) ? "Already revoked" : "Revoked"}: ` +
      describe(certificate)
    ),
    `List ${numberOf(list)}, ${count} ${count === 1 ? "certificate" : "certificates"}, next list ` +
    `due by ${list.nextUpdate?.toISOString().slice(0, 10)}`,
    `  ${path}  copy it to every server, to the path of --crl (/etc/job-worker/ca.crl)`,
    "",
  ].join("\n");
}

/** The certificates that an argument names: all valid ones of a name, one serial, or a file's. */
async function find(
  target: string,
  { authority, issued, now }: {
    authority: Authority;
    issued: readonly X509Certificate[];
    now: Date;
  },
): Promise<X509Certificate[]> {
  const named = issued.filter((certificate) =>
    commonNameOf(certificate) === target && certificate.notAfter > now
  );
  if (named.length > 0) return named;
  const serial = target.replaceAll(":", "").toUpperCase().replace(/^0+/, "");
  const numbered = issued.filter((certificate) =>
    serialOf(certificate).replace(/^0+/, "") === serial
  );
  if (numbered.length > 0) return numbered;
  if (target === "" || (await existingOf([target])).length === 0) {
    throw new CertsError(
      "failure",
      `cannot revoke ${
        JSON.stringify(target)
      }: this CA has no valid certificate with that name or ` +
        "serial number on file; give the certificate's file",
    );
  }
  const inFile = await certificatesIn(target);
  const ours: X509Certificate[] = [];
  for (const certificate of inFile) {
    if (await isIssuedBy(certificate, authority)) ours.push(certificate);
  }
  if (ours.length > 0) return ours;
  throw new CertsError(
    "failure",
    `cannot revoke ${target}: it holds no certificate that this CA has issued`,
  );
}

function describe(certificate: X509Certificate): string {
  const end = certificate.notAfter.toISOString().slice(0, 10);
  return `${commonNameOf(certificate)}, serial ${serialOf(certificate)}, valid until ${end}`;
}
