import { chooseEndpoint } from "./choose_endpoint.ts";
import type { CommonOptions } from "./options.ts";
import type { Session } from "./session.ts";
import type { Terminal } from "./terminal.ts";

/** What a verb is given to do its work. */
export interface VerbContext {
  readonly session: Session;
  readonly terminal: Terminal;
}

/**
 * Reads who and where; the connection itself is made by the first call.
 *
 * The modules that speak gRPC are loaded here and not before: they cost most of the start-up time,
 * and help, mistyped options and a bad certificate need none of them.
 *
 * @throws {ClientError} The address or the identity is no good.
 */
export async function openSession(options: CommonOptions, terminal: Terminal): Promise<Session> {
  terminal.renounceWriting();
  const endpoint = chooseEndpoint(options, terminal);
  const { Session } = await import("./session.ts");
  return new Session(endpoint, {
    isPatient: options.retry ?? true,
    onAbsent: (server) => terminal.note(`nobody answers at ${server}, trying again...`),
  });
}
