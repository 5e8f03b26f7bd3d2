import { type Destination, endpointOf } from "../endpoint/choose_endpoint.ts";
import type { Session } from "../connection/session.ts";
import { noteWhenSlow } from "../screen/slow_note.ts";
import type { Terminal } from "../terminal.ts";

/**
 * Reads the identity; the connection itself is made by the first call.
 *
 * The modules that use gRPC are loaded here and not earlier: they cost most of the start-up time, and
 * help, a mistyped option or an invalid certificate need none of them.
 *
 * @param retriesFirst Whether a server that refuses connections is tried again for a few seconds.
 * @throws {ClientError} The address or the identity is not valid.
 */
export async function openSession(
  destination: Destination,
  { terminal, retriesFirst }: { terminal: Terminal; retriesFirst: boolean },
): Promise<Session> {
  const endpoint = endpointOf(destination, terminal);
  const { Session } = await import("../connection/session.ts");
  return new Session(endpoint, {
    retriesFirst,
    noteWhenSlow: (server) => noteWhenSlow(terminal, () => `waiting for ${server}...`),
    onUnreachable: (server) => terminal.note(`cannot reach ${server}, trying again...`),
  });
}
