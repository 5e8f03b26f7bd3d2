import { DEFAULT_SERVER, parseAddress } from "./address.ts";
import { type Config, contextOf } from "./config_file.ts";
import { type IdentityFiles, loadIdentity, namesAnyFile } from "./identity.ts";
import type { CommonOptions } from "./options.ts";
import type { Session } from "./session.ts";
import { noteWhenSlow } from "./slow_note.ts";
import type { Terminal } from "./terminal.ts";

/** Where a server is, and the files that say who one is to it. */
export interface Destination {
  /** The context that the address is of. */
  readonly context: string | undefined;
  readonly server: string | undefined;
  readonly files: IdentityFiles;
}

/** What a destination is made of besides the options. */
export interface DestinationSources {
  readonly config: Config;
  /** The context that was chosen; the one in use holds where none was. */
  readonly chosen: string | undefined;
  readonly environment: Terminal["environment"];
}

/**
 * Puts a context in the place of options that are not given. One that was chosen goes before the
 * environment, the one in use goes behind it.
 *
 * @throws {ClientError} There is no such context.
 */
export function destinationOf(
  options: CommonOptions,
  { config, chosen, environment }: DestinationSources,
): Destination {
  const name = chosen ?? config.current;
  const given = options.server ?? environment("JOB_WORKER_SERVER");
  if (name === undefined) return { context: undefined, server: given, files: options };
  const { server, ...files } = contextOf(config, name);
  const isSet = (variable: string) => environment(`JOB_WORKER_${variable}`) !== undefined;
  const takesServer = options.server === undefined &&
    (chosen !== undefined || !isSet("SERVER"));
  const takesFiles = !namesAnyFile(options) &&
    (chosen !== undefined || !["IDENTITY", "CA", "CERT", "KEY"].some(isSet));
  return {
    context: takesServer ? name : undefined,
    server: takesServer ? server : given,
    files: takesFiles ? files : options,
  };
}

/**
 * Reads the identity; the connection itself is made by the first call.
 *
 * The modules that speak gRPC are loaded here and not before: they cost most of the start-up time,
 * and help, mistyped options and a bad certificate need none of them.
 *
 * @param isPatient Whether a server that nobody answers for is tried again for a few seconds.
 * @throws {ClientError} The address or the identity is no good.
 */
export async function openSession(
  { server, files }: Destination,
  { terminal, isPatient }: { terminal: Terminal; isPatient: boolean },
): Promise<Session> {
  const address = parseAddress(server ?? DEFAULT_SERVER);
  const identity = loadIdentity({
    flags: files,
    environment: (name) => terminal.environment(name),
    nowMs: Date.now(),
  });
  const { Session } = await import("./session.ts");
  return new Session({ address, identity }, {
    isPatient,
    noteWhenSlow: (server) => noteWhenSlow(terminal, () => `waiting for ${server}...`),
    onAbsent: (server) => terminal.note(`nobody answers at ${server}, trying again...`),
  });
}
