import { DEFAULT_SERVER, parseAddress } from "./address.ts";
import { loadIdentity } from "./identity.ts";
import type { CommonOptions } from "./options.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** What a verb is given to do its work. */
export interface VerbContext {
  readonly session: Session;
  readonly terminal: Terminal;
}

/**
 * Reads who and where from options, environment and default places; the connection itself is made
 * by the first call.
 *
 * The modules that speak gRPC are loaded here and not before: they cost most of the start-up time,
 * and help, mistyped options and a bad certificate need none of them.
 *
 * @throws {ClientError} The address or the identity is no good.
 */
export async function openSession(options: CommonOptions, terminal: Terminal): Promise<Session> {
  const address = parseAddress(
    options.server ?? terminal.environment("JOB_WORKER_SERVER") ?? DEFAULT_SERVER,
  );
  const identity = loadIdentity({
    flags: options,
    environment: (name) => terminal.environment(name),
    nowMs: Date.now(),
  });
  const { Session } = await import("./session.ts");
  return new Session({ address, identity }, {
    isPatient: options.retry ?? true,
    onAbsent: (server) => terminal.note(`nobody answers at ${server}, trying again...`),
  });
}
