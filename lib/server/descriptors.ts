/** How many file descriptors the server may have open, and how many of them are for connections. */
import { log } from "../log.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";

/**
 * This part of all descriptors is for connections. The others are for what calls need: one for each
 * stream of output, up to three for each start that is under way, files, and the log.
 */
const CONNECTIONS_SHARE = 1 / 2;

/** This part of the connections may be in their handshake, so that strangers do not take them all. */
const HANDSHAKES_SHARE = 1 / 2;

/** Limits of open file descriptors (RLIMIT_NOFILE in getrlimit(2)); Infinity: none. */
export interface DescriptorLimits {
  /** What the server was started with: jobs keep it. */
  readonly startedWith: number;
  /** What the server has now. */
  readonly present: number;
  /** Why it could not be raised. */
  readonly failure: string | undefined;
}

/** What connections are bounded by. */
interface ConnectionBounds {
  readonly maxConnections: number;
  readonly maxHandshakes: number;
}

/** Raises the server's soft limit to its hard limit, as far as that is possible. */
export async function raiseDescriptorLimit(): Promise<DescriptorLimits> {
  const limits = parseDescriptorLimits(await runScript(scripts.descriptors));
  if (limits.failure !== undefined) {
    log.warn(
      "cannot raise the limit of open file descriptors: install prlimit (Debian's util-linux), or " +
        "set LimitNOFILE= in the server's unit",
      { limit: limits.present, error: limits.failure },
    );
  }
  return limits;
}

/** @param report What the script has printed, see lib/shim/descriptors.sh. */
export function parseDescriptorLimits(report: string): DescriptorLimits {
  const valueOf = (name: string) => new RegExp(`^${name} (.+)$`, "m").exec(report)?.[1];
  const numberOf = (name: string) => {
    const text = valueOf(name);
    const number = text === "unlimited" ? Infinity : Number(text);
    if (Number.isNaN(number)) throw new Error(`the shell did not tell the ${name} limit of files`);
    return number;
  };
  const failure = valueOf("failed");
  const startedWith = numberOf("soft");
  return { startedWith, present: failure === undefined ? numberOf("hard") : startedWith, failure };
}

/** The bounds that fit the descriptors there are; a warning tells when they are lower than asked for. */
export function fitBounds(bounds: ConnectionBounds, descriptors: number): ConnectionBounds {
  const maxConnections = Math.min(
    bounds.maxConnections,
    Math.floor(descriptors * CONNECTIONS_SHARE),
  );
  const maxHandshakes = Math.min(
    bounds.maxHandshakes,
    Math.floor(descriptors * CONNECTIONS_SHARE * HANDSHAKES_SHARE),
  );
  if (maxConnections < bounds.maxConnections || maxHandshakes < bounds.maxHandshakes) {
    log.warn(
      "fewer connections fit the limit of open file descriptors than --max-connections and " +
        "--max-handshakes allow: raise LimitNOFILE= in the server's unit, or lower these",
      { descriptors, maxConnections, maxHandshakes },
    );
  }
  return { maxConnections, maxHandshakes };
}
