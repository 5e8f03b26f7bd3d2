/**
 * Decides which requests the local page's server accepts: only those from the page itself. Pure.
 *
 * Every process and every web page on this machine can send requests to a port of the loopback
 * interface. Other programs do not know the token. Neither do other web pages; besides, their
 * requests have their own origin (RFC 6454), and those of a page that has pointed its name at
 * 127.0.0.1 (DNS rebinding) have that name in Host.
 */
import { Buffer } from "node:buffer";
import { timingSafeEqual } from "node:crypto";

/** 256 bits cannot be guessed. */
const TOKEN_BYTES = 32;

/** Names of the loopback interface that a browser does not look up (RFC 6761). */
const HOSTS = ["127.0.0.1", "localhost"];

/** A new secret, as text that needs no quotes in a URL. */
export function makeToken(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(TOKEN_BYTES))).toString("base64url");
}

/** The checked part of a request. */
export interface CheckedRequest {
  readonly method: string;
  /** The path, as it was sent. */
  readonly path: string;
  readonly headers: Headers;
}

/** The expected token and port. */
export interface Access {
  readonly token: string;
  readonly port: number;
}

/** The path of an accepted request, or the reason of a refusal. */
export type Verdict =
  | { readonly kind: "accepted"; readonly path: string }
  | { readonly kind: "refused"; readonly status: number; readonly reason: string };

/**
 * Checks a request.
 *
 * @returns For an accepted request the path after the token, with a slash in front.
 */
export function checkRequest(
  { method, path, headers }: CheckedRequest,
  { token, port }: Access,
): Verdict {
  const host = headers.get("host") ?? "";
  if (!HOSTS.some((name) => host === `${name}:${port}`)) {
    return refused(
      421,
      `The Host must be 127.0.0.1:${port}: forward the same port at both ends, or use --port.`,
    );
  }
  const origin = headers.get("origin");
  if (origin !== null && origin !== `http://${host}`) {
    return refused(403, "Requests from other pages are not allowed.");
  }
  // Sent by browsers (W3C Fetch Metadata): the page itself or its user caused the request.
  const site = headers.get("sec-fetch-site") ?? "none";
  if (site !== "none" && site !== "same-origin") {
    return refused(403, "Requests from other pages are not allowed.");
  }
  const [, given = "", ...rest] = path.split("/");
  if (!isSame(given, token) || rest.length === 0) {
    return refused(403, 'Use the whole address that "worker-client ui" has printed.');
  }
  if (method === "GET") return { kind: "accepted", path: `/${rest.join("/")}` };
  if (method !== "POST") return refused(405, "Only GET and POST are allowed.");
  // Browsers send it with each POST; a request without it does not come from a page.
  if (origin === null) return refused(403, "A POST must have an Origin.");
  if (headers.get("content-type") !== "application/json") {
    // A form of another page cannot send this type, and a script needs permission first (CORS).
    return refused(415, "A POST must be application/json.");
  }
  return { kind: "accepted", path: `/${rest.join("/")}` };
}

function refused(status: number, reason: string): Verdict {
  return { kind: "refused", status, reason };
}

/** Compares in constant time. */
function isSame(given: string, token: string): boolean {
  const [one, other] = [Buffer.from(given), Buffer.from(token)];
  return one.length === other.length && timingSafeEqual(one, other);
}
