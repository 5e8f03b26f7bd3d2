import { DEFAULT_SERVER, parseAddress } from "./address.ts";
import { type Config, configPath, contextOf, readConfig } from "./config_file.ts";
import type { Endpoint } from "./endpoint.ts";
import { loadIdentity, namesAnyFile } from "./identity.ts";
import { type IdentityFiles } from "./identity_files.ts";
import type { Terminal } from "../terminal.ts";

/** What a caller says about where and who; what is not given is looked for. */
export interface EndpointOptions extends IdentityFiles {
  /** `HOST:PORT`. */
  readonly server?: string | undefined;
  /** Of the config file. */
  readonly context?: string | undefined;
}

/** Where variables of the environment come from. */
export type Environment = Pick<Terminal, "environment">;

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
  options: Omit<EndpointOptions, "context">,
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
 * @throws {ClientError} The address or the identity is no good.
 */
export function endpointOf({ server, files }: Destination, world: Environment): Endpoint {
  const address = parseAddress(server ?? DEFAULT_SERVER);
  const identity = loadIdentity({
    flags: files,
    environment: (name) => world.environment(name),
    nowMs: Date.now(),
  });
  return { address, identity };
}

/**
 * Reads who and where from options, the context, the environment and default places.
 *
 * @throws {ClientError} The address or the identity is no good.
 */
export function chooseEndpoint(options: EndpointOptions, world: Environment): Endpoint {
  const destination = destinationOf(options, {
    config: readConfig(configPath(world)),
    chosen: options.context ?? world.environment("JOB_WORKER_CONTEXT"),
    environment: (name) => world.environment(name),
  });
  return endpointOf(destination, world);
}
