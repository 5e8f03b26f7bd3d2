import { isCertificate, isPrivateKey, type PemBlock, scanPem } from "../../common/pem.ts";
import { ClientError } from "../errors.ts";
import { configFolder } from "./config_folder.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Files } from "./files.ts";
import type { IdentityFiles } from "./identity_files.ts";

/**
 * Finds an identity in the default places: in `./certs/`, then in `~/.config/job-worker/`.
 *
 * In each folder: `client.pem`; else `client.crt` with `client.key` and `ca.crt`; else the only
 * other identity there, `NAME.pem` or `NAME.crt` with `NAME.key` and `ca.crt`. Files named
 * `ca` or `server` are never a client's identity.
 *
 * @throws {ClientError} There is none, or there are several in the first folder that has any.
 */
export function findDefaultIdentity(
  environment: (name: string) => string | undefined,
  files: Files,
): IdentityFiles {
  const folders = defaultFolders(environment);
  for (const folder of folders) {
    const candidates = findCandidates(folder, files);
    const client = candidates.get("client");
    if (client !== undefined) return client;
    const [only, ...others] = candidates.values();
    if (only !== undefined && others.length === 0) return only;
    if (others.length > 0) throw severalIdentities(folder, [...candidates.values()]);
  }
  throw new ClientError(
    `Cannot find an identity in ${folders.join(" or ")}: name one with --identity FILE, or with ` +
      `--ca, --cert and --key; "worker-certs issue" creates one.`,
    ExitStatus.refused,
  );
}

function defaultFolders(environment: (name: string) => string | undefined): string[] {
  const folder = configFolder(environment);
  return ["./certs", ...(folder ? [folder] : [])];
}

/** The identities of a folder by name; a bundle takes precedence over files of the same name. */
function findCandidates(folder: string, files: Files): Map<string, IdentityFiles> {
  const names = new Set(listFiles(folder, files));
  const ca = names.has("ca.crt") ? `${folder}/ca.crt` : undefined;
  const candidates = new Map<string, IdentityFiles>();
  // Sorted, so that NAME.crt comes before NAME.pem, which then takes its place.
  for (const file of [...names].sort()) {
    const [, name, extension] = /^(.+)\.(crt|pem)$/.exec(file) ?? [];
    if (name === undefined || name === "ca" || name === "server") continue;
    const path = `${folder}/${file}`;
    if (extension === "crt" && ca !== undefined && names.has(`${name}.key`)) {
      candidates.set(name, { ca, cert: path, key: `${folder}/${name}.key` });
    } else if (extension === "pem") {
      const blocks = blocksOf(path, files);
      if (!blocks.some(isPrivateKey)) continue;
      const hasAuthority = blocks.filter(isCertificate).length > 1;
      candidates.set(name, { identity: path, ca: hasAuthority ? undefined : ca });
    }
  }
  return candidates;
}

/** The blocks of a PEM file; none where it cannot be read, as it may belong to another user. */
function blocksOf(file: string, files: Files): readonly PemBlock[] {
  try {
    return scanPem(files.readText(file)).blocks;
  } catch {
    return [];
  }
}

function listFiles(folder: string, files: Files): string[] {
  try {
    return files.list(folder);
  } catch {
    // A default place that does not exist, or that this user may not read, is skipped.
    return [];
  }
}

function severalIdentities(folder: string, candidates: readonly IdentityFiles[]): ClientError {
  const names = candidates.map((files) => files.identity ?? files.cert).join(", ");
  const [first] = candidates;
  const example = first?.identity !== undefined
    ? `-i ${first.identity}`
    : `--ca ${first?.ca} --cert ${first?.cert} --key ${first?.key}`;
  return new ClientError(
    `Cannot choose among the identities in ${folder} (${names}): name one, for instance ` +
      `"${example}", or rename yours to client.pem.`,
    ExitStatus.refused,
  );
}
