/**
 * Who may speak to the local page: whoever was given its address, and nobody whom a browser was led
 * to send. Pure.
 *
 * Every process and every web page on this machine can send requests to a port of the loopback. What
 * other programs lack is the token. What a foreign web page lacks is the token as well; besides, its
 * requests bear its own origin (RFC 6454), and one that has pointed its name at 127.0.0.1 (DNS
 * rebinding) bears its own name in Host.
 */
import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";

/** 256 bits cannot be guessed. */
const TOKEN_BYTES = 32;

/** Names of the loopback that a browser asks no name server for (RFC 6761). */
const HOSTS = ["127.0.0.1", "localhost"];

/** A new secret, as text that needs no quotes in a URL. */
export function makeToken(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))).toString("base64url");
}

/** What is looked at of a request. */
export interface Visit {
  readonly method: string;
  /** The path, as it was sent. */
  readonly path: string;
  readonly headers: Headers;
}

/** What a request has to match. */
export interface Gate {
  readonly token: string;
  readonly port: number;
}

/** What the gate says: where the request may go to, or why it may not. */
export type Verdict =
  | { readonly kind: "let in"; readonly path: string }
  | { readonly kind: "refused"; readonly status: number; readonly reason: string };

/**
 * Judges a request.
 *
 * @returns Let in: the path behind the token, which begins with a slash.
 */
export function judge({ method, path, headers }: Visit, { token, port }: Gate): Verdict {
  const host = headers.get("host") ?? "";
  if (!HOSTS.some((name) => host === `${name}:${port}`)) {
    return refused(
      421,
      `The Host must be 127.0.0.1:${port}: forward the same port at both ends, or use --port.`,
    );
  }
  const origin = headers.get("origin");
  if (origin !== null && origin !== `http://${host}`) {
    return refused(403, "Other pages may not use this one.");
  }
  // Where a browser says who is behind a request (W3C Fetch Metadata): this page, or its user.
  const site = headers.get("sec-fetch-site") ?? "none";
  if (site !== "none" && site !== "same-origin") {
    return refused(403, "Other pages may not use this one.");
  }
  const [, given = "", ...rest] = path.split("/");
  if (!isSame(given, token) || rest.length === 0) {
    return refused(403, 'Use the whole address that "worker-client ui" has printed.');
  }
  if (method === "GET") return { kind: "let in", path: `/${rest.join("/")}` };
  if (method !== "POST") return refused(405, "Only GET and POST are understood.");
  // Browsers send it with each POST; what goes without it was made by no page.
  if (origin === null) return refused(403, "A POST must say its Origin.");
  if (headers.get("content-type") !== "application/json") {
    // A form of a foreign page cannot send this type, and a script must ask before it does.
    return refused(415, "A POST must be application/json.");
  }
  return { kind: "let in", path: `/${rest.join("/")}` };
}

function refused(status: number, reason: string): Verdict {
  return { kind: "refused", status, reason };
}

/** Compares without telling by its time how much of it is right. */
function isSame(given: string, token: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(token)];
  return one.length === other.length && timingSafeEqual(one, other);
}
