import { type Destination, endpointOf } from "../endpoint/choose_endpoint.ts";
import type { Session } from "../connection/session.ts";
import { noteWhenSlow } from "../screen/slow_note.ts";
import type { Terminal } from "../terminal.ts";

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
  destination: Destination,
  { terminal, isPatient }: { terminal: Terminal; isPatient: boolean },
): Promise<Session> {
  const endpoint = endpointOf(destination, terminal);
  const { Session } = await import("../connection/session.ts");
  return new Session(endpoint, {
    isPatient,
    noteWhenSlow: (server) => noteWhenSlow(terminal, () => `waiting for ${server}...`),
    onAbsent: (server) => terminal.note(`nobody answers at ${server}, trying again...`),
  });
}
