/** The local page's server: answers its own page on the loopback, and nobody else. */
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Session } from "../connection/session.ts";
import { API } from "./api.ts";
import { isAsset, readAsset } from "./assets.ts";
import { LongBodyError, MAX_BODY_BYTES } from "./request_body.ts";
import { type Gate, judge, makeToken } from "./access_check.ts";
import { reply, replyError, replyRefusal } from "./replies.ts";

/** Reachable from this machine alone. */
const LOOPBACK = "127.0.0.1";

/** A page that is open, to be closed. */
export interface OpenPage extends AsyncDisposable {
  /** Its address, with the token. */
  readonly url: string;
}

/**
 * Begins to serve the page.
 *
 * @param session Whose identity all calls bear.
 * @param options The port; 0 is a free one. `note` is told of mistakes of ours.
 * @throws {ClientError} The port cannot be had.
 */
export function openPage(
  session: Session,
  { port, note }: { port: number; note: (text: string) => void },
): OpenPage {
  const token = makeToken();
  const leave = new AbortController();
  let gate: Gate = { token, port };
  const handle = async (request: Request) => {
    try {
      return await answer(request, { session, gate });
    } catch (error) {
      note(`Internal error: ${messageOf(error)}. Please report it.`);
      return replyRefusal(`Internal error: ${messageOf(error)}. Please report it.`, 500);
    }
  };
  const server = listen(port, { signal: leave.signal, handle });
  gate = { token, port: server.addr.port };
  return {
    url: `http://${LOOPBACK}:${gate.port}/${token}/`,
    async [Symbol.asyncDispose]() {
      // Streams are as long as jobs: they end here, not there.
      leave.abort();
      await server.finished;
    },
  };
}

function listen(
  port: number,
  { signal, handle }: { signal: AbortSignal; handle: (request: Request) => Promise<Response> },
): Deno.HttpServer<Deno.NetAddr> {
  try {
    return Deno.serve({ hostname: LOOPBACK, port, signal, onListen() {} }, handle);
  } catch (error) {
    throw new ClientError(
      `Cannot listen at ${LOOPBACK}:${port}: ${messageOf(error)}. Choose another --port, or none.`,
      ExitStatus.failed,
    );
  }
}

async function answer(
  request: Request,
  { session, gate }: { session: Session; gate: Gate },
): Promise<Response> {
  const { method, headers } = request;
  const verdict = judge({ method, path: new URL(request.url).pathname, headers }, gate);
  if (verdict.kind === "refused") return replyRefusal(verdict.reason, verdict.status);
  const { path } = verdict;
  if (method === "GET") {
    const asset = await readAsset(path);
    if (asset !== undefined) return reply(asset.text, asset);
    return API.has(path)
      ? replyRefusal("This must be a POST.", 405)
      : replyRefusal("There is nothing at this address.", 404);
  }
  const handler = API.get(path);
  if (handler === undefined) {
    return isAsset(path)
      ? replyRefusal("This must be a GET.", 405)
      : replyRefusal("There is nothing at this address.", 404);
  }
  try {
    return await handler(request, session);
  } catch (error) {
    if (error instanceof LongBodyError) {
      return replyRefusal(`The request is above ${MAX_BODY_BYTES} bytes.`, 413);
    }
    const refusal = replyError(error);
    if (refusal === undefined) throw error;
    return refusal;
  }
}
