import { type Identity, readIdentity } from "../endpoint/identity.ts";
import { invalid } from "./error_mapping.ts";
import { JobWorkerError } from "./errors.ts";
import { checkText } from "./arguments.ts";
import { NODE_FILES } from "./node_files.ts";
import type { IdentityOptions } from "./types.ts";

const PARTS = ["identity", "ca", "cert", "key"] as const;

/**
 * Reads and checks the identity of the program.
 *
 * @throws {JobWorkerError} Parts are missing or exclude each other, or a file cannot be read.
 * @throws {ClientError} The identity is not valid.
 */
export function identityOf(options: IdentityOptions): Identity {
  for (const part of PARTS) checkText(part, options[part]);
  requireParts(options);
  const texts = new Map<string, string>();
  // A PEM text has no file: messages name the option, never the text, which may contain the key.
  const nameOf = (part: typeof PARTS[number]) => {
    const value = options[part];
    if (!value?.includes("-----BEGIN ")) return value;
    const name = `the text of the option "${part}"`;
    texts.set(name, value);
    return name;
  };
  const files = {
    identity: nameOf("identity"),
    ca: nameOf("ca"),
    cert: nameOf("cert"),
    key: nameOf("key"),
  };
  const read = (name: string) => texts.get(name) ?? readText(name);
  return readIdentity(files, { nowMs: Date.now(), read });
}

function requireParts({ identity, ca, cert, key }: IdentityOptions): void {
  if (identity !== undefined) {
    if (cert === undefined && key === undefined) return;
    throw invalid('Cannot use "identity" together with "cert" or "key": give one or the other.');
  }
  const parts = { ca, cert, key };
  const missing = Object.entries(parts).filter(([, value]) => value === undefined);
  if (missing.length === 0) return;
  const names = missing.map(([name]) => `"${name}"`).join(" and ");
  throw invalid(
    `Cannot tell which identity to use: ${names} missing. ` +
      'Give a bundle as "identity", or all three of "ca", "cert" and "key".',
  );
}

function readText(file: string): string {
  try {
    return NODE_FILES.readText(file);
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error);
    throw new JobWorkerError(`Cannot read ${file}: ${text}.`, "IDENTITY", { cause: error });
  }
}
