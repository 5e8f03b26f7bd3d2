import { DEFAULT_SERVER, parseAddress } from "./address.ts";
import { type Config, configPath, contextOf, readConfig } from "./config_file.ts";
import type { Endpoint } from "./endpoint.ts";
import { DENO_FILES, type Files } from "./files.ts";
import { loadIdentity, namesAnyFile } from "./identity.ts";
import { type IdentityFiles } from "./identity_files.ts";
import type { Terminal } from "../terminal.ts";

/** A server, and the identity to use; what is not given is searched for. */
export interface ServerOptions extends IdentityFiles {
  /** `HOST:PORT`. */
  readonly server?: string | undefined;
}

/** The same, or a context that names both. */
export interface EndpointOptions extends ServerOptions {
  /** Of the config file. */
  readonly context?: string | undefined;
}

/** The source of environment variables. */
export type Environment = Pick<Terminal, "environment">;

/** A server, and the files of the identity to use. */
export interface Destination {
  /** The context that the address comes from. */
  readonly context: string | undefined;
  readonly server: string | undefined;
  readonly files: IdentityFiles;
}

/** What a destination is made of besides the options. */
export interface DestinationSources {
  readonly config: Config;
  /** The context that was chosen; undefined: the current one applies. */
  readonly chosen: string | undefined;
  readonly environment: Terminal["environment"];
}

/**
 * Fills in from a context what options do not give. A chosen context takes precedence over the
 * environment, the current one does not.
 *
 * @throws {ClientError} There is no such context.
 */
export function destinationOf(
  options: ServerOptions,
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
 * Reads the identity of a destination.
 *
 * @throws {ClientError} The address or the identity is not valid.
 */
export function endpointOf(
  { server, files: flags }: Destination,
  world: Environment,
  files: Files = DENO_FILES,
): Endpoint {
  const address = parseAddress(server ?? DEFAULT_SERVER);
  const identity = loadIdentity({
    flags,
    files,
    environment: (name) => world.environment(name),
    nowMs: Date.now(),
  });
  return { address, identity };
}

/**
 * Chooses the server and the identity from options, contexts, the environment and default places.
 *
 * @throws {ClientError} The address or the identity is not valid.
 */
export function chooseEndpoint(
  options: EndpointOptions,
  world: Environment,
  files: Files,
): Endpoint {
  const destination = destinationOf(options, {
    config: readConfig(configPath(world), files),
    chosen: options.context ?? world.environment("JOB_WORKER_CONTEXT"),
    environment: (name) => world.environment(name),
  });
  return endpointOf(destination, world, files);
}
