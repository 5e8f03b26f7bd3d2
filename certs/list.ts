/** `worker-certs list`: what a CA has issued. */
import { loadAuthority } from "./authority.ts";
import { describeCertificate } from "./describe.ts";
import { commonNameOf, issuedBy } from "./issued.ts";
import { loadList, serialsOf } from "./revocation_list.ts";

/** From so many days before its end on, a certificate should be renewed. */
export const EXPIRING_DAYS = 30;

/** A certificate in one line; `--json` prints it as it is. */
export interface IssuedCertificate {
  readonly name: string;
  /** `client` or `server`; what else it may be used for. */
  readonly usages: readonly string[];
  readonly roles: readonly string[];
  /** Upper-case hexadecimal. */
  readonly serial: string;
  /** ISO 8601, UTC. */
  readonly notAfter: string;
  readonly state: "valid" | "expiring" | "expired" | "revoked" | "not yet valid";
}

/**
 * Lists what a CA has issued, the newest first.
 *
 * @param options `oid` of the role extension
 * @throws {CertsError} when the CA, its list or a certificate cannot be read
 */
export async function listIssued(
  dir: string,
  { oid, now }: { oid: string; now: Date },
): Promise<IssuedCertificate[]> {
  const authority = await loadAuthority(dir, { now, purpose: "list" });
  const revoked = serialsOf(await loadList(dir, authority));
  return (await issuedBy(authority, dir)).map((certificate) => {
    const { usages, roles, serial, notAfter, state, daysLeft } = describeCertificate(certificate, {
      oid,
      now,
    });
    const isExpiring = state === "valid" && daysLeft < EXPIRING_DAYS;
    return {
      name: commonNameOf(certificate),
      usages,
      roles,
      serial,
      notAfter,
      state: revoked.has(serial) ? "revoked" : isExpiring ? "expiring" : state,
    };
  });
}

/** Writes the list as a table. */
export function renderList(certificates: readonly IssuedCertificate[]): string {
  const rows = [
    ["NAME", "FOR", "STATE", "UNTIL", "SERIAL"],
    ...certificates.map(({ name, usages, roles, state, notAfter, serial }) => [
      name,
      [...usages, ...roles].join(" "),
      state,
      notAfter.slice(0, 10),
      serial,
    ]),
  ];
  const widths = rows[0]?.map((_, column) =>
    Math.max(...rows.map((row) => row[column]?.length ?? 0))
  );
  return rows.map((row) =>
    `${row.map((cell, column) => cell.padEnd(widths?.[column] ?? 0)).join("  ").trimEnd()}\n`
  ).join("");
}
