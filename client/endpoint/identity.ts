import { isCertificate, isPrivateKey, type PemContent, scanPem } from "../../common/pem.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { findDefaultIdentity } from "./default_identity.ts";
import { codeOfFileError, DENO_FILES, type Files } from "./files.ts";
import { type CheckedIdentity, checkIdentity } from "./identity_check.ts";
import type { IdentityFiles, IdentityParts } from "./identity_files.ts";

/** The client's certificate and key and the CA it trusts: checked, and ready for a handshake. */
export type Identity = CheckedIdentity;

/** The files that the command line names, the environment and the time. */
export interface IdentitySources {
  readonly flags: IdentityFiles;
  readonly environment: (name: string) => string | undefined;
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
  /** Deno's unless given. */
  readonly files?: Files;
}

/**
 * Finds, reads and checks the identity.
 *
 * Flags take precedence over the environment. The default places are searched only when neither of
 * them names any file, so that a named file is never combined with one that was found.
 *
 * @throws {ClientError} There is no identity, there are several, or it is not valid; the message names
 * the file.
 */
export function loadIdentity(sources: IdentitySources): Identity {
  const { nowMs, environment, files = DENO_FILES } = sources;
  const named = chooseNamedFiles(sources);
  const chosen = named ?? findDefaultIdentity(environment, files);
  return readIdentity(chosen, { nowMs, read: (file) => readText(file, files) });
}

/** How the files of an identity are read, and when that is. */
export interface IdentityReading {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly nowMs: number;
  /** The text of a file. */
  readonly read: (file: string) => string;
}

/**
 * Reads and checks an identity.
 *
 * @param files Either a bundle, or all three of the others.
 * @throws {ClientError} It is not valid; the message names the file.
 */
export function readIdentity(
  files: IdentityFiles,
  { nowMs, read }: IdentityReading,
): Identity {
  return checkIdentity(readParts(files, read), nowMs);
}

/** The files that flags and environment name; undefined where they name none. */
function chooseNamedFiles({ flags, environment }: IdentitySources): IdentityFiles | undefined {
  const variables: IdentityFiles = {
    identity: environment("JOB_WORKER_IDENTITY"),
    ca: environment("JOB_WORKER_CA"),
    cert: environment("JOB_WORKER_CERT"),
    key: environment("JOB_WORKER_KEY"),
  };
  const [level, lower] = namesIdentity(flags) ? [flags, variables] : [variables, {}];
  if (level.identity !== undefined && (level.cert !== undefined || level.key !== undefined)) {
    throw new ClientError(
      level === flags
        ? "Cannot use --identity together with --cert or --key: give one or the other."
        : "Cannot use JOB_WORKER_IDENTITY together with JOB_WORKER_CERT or JOB_WORKER_KEY: " +
          "unset one or the other.",
      ExitStatus.usage,
    );
  }
  if (level.identity !== undefined) {
    // The CA in a bundle takes precedence over a variable where a flag names the bundle.
    return { identity: level.identity, ca: flags.ca ?? (level === flags ? undefined : level.ca) };
  }
  const cert = level.cert ?? lower.cert;
  const key = level.key ?? lower.key;
  const ca = flags.ca ?? variables.ca;
  if (cert === undefined && key === undefined && ca === undefined) return undefined;
  requireAll({ cert, key, ca });
  return { cert, key, ca };
}

/** Whether any file is named. */
export function namesAnyFile(files: IdentityFiles): boolean {
  return namesIdentity(files) || files.ca !== undefined;
}

function namesIdentity(files: IdentityFiles): boolean {
  return files.identity !== undefined || files.cert !== undefined || files.key !== undefined;
}

function requireAll(files: IdentityFiles): void {
  const missing = (["ca", "cert", "key"] as const).filter((part) => files[part] === undefined);
  if (missing.length === 0) return;
  const flags = missing.map((part) => `--${part}`).join(" and ");
  const variables = missing.map((part) => `JOB_WORKER_${part.toUpperCase()}`).join(", ");
  throw new ClientError(
    `Cannot tell which identity to use: ${flags} missing. ` +
      `Name all three of --ca, --cert and --key (or set ${variables}), or one bundle with --identity.`,
    ExitStatus.usage,
  );
}

function readParts(files: IdentityFiles, readFile: (file: string) => string): IdentityParts {
  const texts = new Map<string, string>();
  // Each file once: a bundle may be a pipe (`-i <(vault …)`).
  const read = (file: string) => {
    const text = texts.get(file) ?? readFile(file);
    texts.set(file, text);
    return text;
  };
  const keyFile = files.key ?? files.identity ?? "";
  const certFile = files.cert ?? files.identity ?? "";
  const caFile = files.ca ?? files.identity ?? "";
  return {
    keys: findBlocks(read(keyFile), { file: keyFile, kind: "key" }),
    certificates: findBlocks(read(certFile), { file: certFile, kind: "certificate" }),
    authorities: files.ca === undefined
      ? undefined
      : findBlocks(read(caFile), { file: caFile, kind: "certificate" }),
    keyFile,
    certFile,
    caFile,
  };
}

/** The blocks of one kind in a PEM file's text; at least one. */
function findBlocks(
  text: string,
  { file, kind }: { file: string; kind: "key" | "certificate" },
): string[] {
  const content = scanPem(text);
  const wanted = content.blocks.filter(kind === "key" ? isPrivateKey : isCertificate);
  if (wanted.length > 0) return wanted.map((block) => block.text);
  const found = describeContent(content);
  const noun = kind === "key" ? "private key" : "certificate";
  throw new ClientError(
    `Cannot find a ${noun} in ${file}: ${found}. Name a PEM file with a ${noun}.`,
    ExitStatus.refused,
  );
}

function describeContent({ blocks, missingEnd }: PemContent): string {
  if (missingEnd !== undefined) return `it is cut off, "${missingEnd}" is missing`;
  if (blocks.length === 0) return "it is not a PEM file";
  return `it holds only ${[...new Set(blocks.map(({ label }) => label))].join(", ")}`;
}

function readText(file: string, files: Files): string {
  try {
    return files.readText(file);
  } catch (error) {
    const [why, hint] = explainReadError(error);
    throw new ClientError(`Cannot read ${file}: ${why}. ${hint}`, ExitStatus.refused);
  }
}

function explainReadError(error: unknown): [why: string, hint: string] {
  const name = "Name the right one with --identity, or with --ca, --cert and --key.";
  switch (codeOfFileError(error)) {
    case "ENOENT":
      return ["there is no such file", name];
    case "EACCES":
    case "EPERM":
      return ["permission denied", "Make it readable for your user, or name another file."];
    case "EISDIR":
      return ["it is a directory", name];
    default:
      return [messageOf(error), name];
  }
}
