import { DEFAULT_SERVER, parseAddress } from "./address.ts";
import { configPath, contextOf, readConfig } from "./config_file.ts";
import { type IdentityFiles, loadIdentity, namesAnyFile } from "./identity.ts";
import type { CommonOptions } from "./options.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** What a verb is given to do its work. */
export interface VerbContext {
  readonly session: Session;
  readonly terminal: Terminal;
}

/**
 * Reads who and where from options, the context, the environment and default places; the connection
 * itself is made by the first call.
 *
 * The modules that speak gRPC are loaded here and not before: they cost most of the start-up time,
 * and help, mistyped options and a bad certificate need none of them.
 *
 * @throws {ClientError} The address or the identity is no good.
 */
export async function openSession(options: CommonOptions, terminal: Terminal): Promise<Session> {
  terminal.renounceWriting();
  const { server, files } = withContext(options, terminal);
  const address = parseAddress(
    server ?? terminal.environment("JOB_WORKER_SERVER") ?? DEFAULT_SERVER,
  );
  const identity = loadIdentity({
    flags: files,
    environment: (name) => terminal.environment(name),
    nowMs: Date.now(),
  });
  const { Session } = await import("./session.ts");
  return new Session({ address, identity }, {
    isPatient: options.retry ?? true,
    onAbsent: (server) => terminal.note(`nobody answers at ${server}, trying again...`),
  });
}

/**
 * Puts a context in the place of options that are not given. One that was chosen goes before the
 * environment, the one in use goes behind it.
 */
function withContext(
  options: CommonOptions,
  terminal: Terminal,
): { server: string | undefined; files: IdentityFiles } {
  const chosen = options.context ?? terminal.environment("JOB_WORKER_CONTEXT");
  const config = readConfig(configPath(terminal));
  const name = chosen ?? config.current;
  if (name === undefined) return { server: options.server, files: options };
  const { server, ...files } = contextOf(config, name);
  const isSet = (variable: string) => terminal.environment(`JOB_WORKER_${variable}`) !== undefined;
  const takesServer = chosen !== undefined || !isSet("SERVER");
  const takesFiles = !namesAnyFile(options) &&
    (chosen !== undefined || !["IDENTITY", "CA", "CERT", "KEY"].some(isSet));
  return {
    server: options.server ?? (takesServer ? server : undefined),
    files: takesFiles ? files : options,
  };
}
