/** Responses of the local page's server: all have the same headers. */
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/**
 * Everything is loaded from this server, inline scripts do not run, no page may frame this one, and no
 * text becomes markup (Content Security Policy Level 3, Trusted Types).
 */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join("; ");

const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  // The address contains the token, so it must not be sent to other servers.
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** What a response is besides its body. */
interface ReplyOptions {
  readonly type: string;
  readonly status?: number;
  /** The browser saves the body under this name, of letters, digits and `._-`, and shows it nowhere. */
  readonly fileName?: string;
}

/** A response with a body. */
export function reply(
  body: string | ReadableStream<Uint8Array>,
  { type, status = 200, fileName }: ReplyOptions,
): Response {
  const headers = {
    ...HEADERS,
    "content-type": type,
    ...(fileName !== undefined &&
      { "content-disposition": `attachment; filename="${fileName}"` }),
  };
  return new Response(body, { status, headers });
}

/** A response for the page's scripts. */
export function replyJson(value: unknown, status = 200): Response {
  return reply(JSON.stringify(value), { type: "application/json", status });
}

/** A refusal with a message, which the page shows. */
export function replyRefusal(message: string, status: number): Response {
  return replyJson({ error: message }, status);
}

/** The refusal for an error; undefined for an internal one. */
export function replyError(error: unknown): Response | undefined {
  if (!(error instanceof ClientError)) return undefined;
  return replyRefusal(messageOf(error), statusOf(error.exitStatus));
}

function statusOf(exitStatus: number): number {
  switch (exitStatus) {
    case ExitStatus.usage:
      return 400;
    case ExitStatus.refused:
      return 403;
    case ExitStatus.notFound:
      return 404;
    case ExitStatus.connection:
      return 503;
    default:
      return 409;
  }
}
