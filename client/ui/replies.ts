/** Answers of the local page's server: all of them bear the same headers. */
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/**
 * Nothing may be loaded but from here, nothing is run that is written into the page itself, no page
 * may frame this one, and no text becomes markup (Content Security Policy Level 3, Trusted Types).
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
  // The address bears the token, so it must stay here.
  "referrer-policy": "no-referrer",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
};

/** An answer with a body. */
export function reply(
  body: string | ReadableStream<Uint8Array>,
  { type, status = 200 }: { type: string; status?: number },
): Response {
  return new Response(body, { status, headers: { ...HEADERS, "content-type": type } });
}

/** An answer for the page's scripts. */
export function replyJson(value: unknown, status = 200): Response {
  return reply(JSON.stringify(value), { type: "application/json", status });
}

/** A refusal in words; the page shows them. */
export function replyRefusal(message: string, status: number): Response {
  return replyJson({ error: message }, status);
}

/** The refusal that an error is; `undefined` where it is none of the user's. */
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
