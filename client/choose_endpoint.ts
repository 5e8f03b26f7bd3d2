import { DEFAULT_SERVER, parseAddress } from "./address.ts";
import { configPath, contextOf, readConfig } from "./config_file.ts";
import type { Endpoint } from "./endpoint.ts";
import { type IdentityFiles, loadIdentity, namesAnyFile } from "./identity.ts";
import type { Terminal } from "./terminal.ts";

/** What a caller says about where and who; what is not given is looked for. */
export interface EndpointOptions extends IdentityFiles {
  /** `HOST:PORT`. */
  readonly server?: string | undefined;
  /** Of the config file. */
  readonly context?: string | undefined;
}

/** Where variables of the environment come from. */
export type Environment = Pick<Terminal, "environment">;

/**
 * Reads who and where from options, the context, the environment and default places.
 *
 * @throws {ClientError} The address or the identity is no good.
 */
export function chooseEndpoint(options: EndpointOptions, world: Environment): Endpoint {
  const { server, files } = withContext(options, world);
  const address = parseAddress(
    server ?? world.environment("JOB_WORKER_SERVER") ?? DEFAULT_SERVER,
  );
  const identity = loadIdentity({
    flags: files,
    environment: (name) => world.environment(name),
    nowMs: Date.now(),
  });
  return { address, identity };
}

/**
 * Puts a context in the place of options that are not given. One that was chosen goes before the
 * environment, the one in use goes behind it.
 */
function withContext(
  options: EndpointOptions,
  world: Environment,
): { server: string | undefined; files: IdentityFiles } {
  const chosen = options.context ?? world.environment("JOB_WORKER_CONTEXT");
  const config = readConfig(configPath(world));
  const name = chosen ?? config.current;
  if (name === undefined) return { server: options.server, files: options };
  const { server, ...files } = contextOf(config, name);
  const isSet = (variable: string) => world.environment(`JOB_WORKER_${variable}`) !== undefined;
  const takesServer = chosen !== undefined || !isSet("SERVER");
  const takesFiles = !namesAnyFile(options) &&
    (chosen !== undefined || !["IDENTITY", "CA", "CERT", "KEY"].some(isSet));
  return {
    server: options.server ?? (takesServer ? server : undefined),
    files: takesFiles ? files : options,
  };
}
