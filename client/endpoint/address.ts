import { isIP } from "node:net";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/** Where a server listens. */
export interface ServerAddress {
  /** A name or an IP address, without brackets. */
  readonly host: string;
  readonly port: number;
  /** `HOST:PORT` as a user writes it, with brackets around an IPv6 address. */
  readonly text: string;
}

/** The default of `--server`. */
export const DEFAULT_SERVER = "localhost:50051";

const DEFAULT_PORT = 50051;

/**
 * Reads `HOST:PORT`, `HOST`, `[IPV6]:PORT` or `[IPV6]`.
 *
 * @throws {ClientError} The text is not an address; exit status 2.
 */
export function parseAddress(text: string): ServerAddress {
  if (/^\[?[0-9a-fA-F:.]+%[^\]]+\]?(:\d+)?$/.test(text)) {
    throw new ClientError(
      `Cannot connect to "${text}": the client's runtime takes no address with a zone ("%…"). Use ` +
        "another address of that host, or a tunnel (ssh -L).",
      ExitStatus.usage,
    );
  }
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^\s:/@[\]]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (host === undefined || port < 1 || port > 65535 || (match?.[1] && isIP(host) !== 6)) {
    throw new ClientError(
      `Cannot read the server's address "${text}": expected HOST:PORT, for instance ` +
        `worker.example.org:50051, 192.0.2.7:50051 or [2001:db8::7]:50051.`,
      ExitStatus.usage,
    );
  }
  return { host, port, text: isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}` };
}
