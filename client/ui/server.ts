/** The local page's server, on the loopback interface; it answers only its own page. */
import { HttpServer } from "../../common/http_server.ts";
import { ClientError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import type { Session } from "../connection/session.ts";
import { API } from "./api.ts";
import { isAsset, readAsset } from "./assets.ts";
import { LongBodyError, MAX_BODY_BYTES } from "./request_body.ts";
import { type Access, checkRequest, makeToken } from "./access_check.ts";
import { downloadAt, downloadOutput } from "./download.ts";
import { reply, replyError, replyRefusal } from "./replies.ts";

/** Reachable only from this machine. */
const LOOPBACK = "127.0.0.1";

/** A page that is being served; the caller closes it. */
export interface OpenPage extends Disposable {
  /** Its address, with the token. */
  readonly url: string;
}

/**
 * Starts to serve the page.
 *
 * @param session Makes all calls to the server.
 * @param options The port; 0 is a free one. `note` is called with internal errors.
 * @throws {ClientError} The port cannot be used.
 */
export function openPage(
  session: Session,
  { port, note }: { port: number; note: (text: string) => void },
): OpenPage {
  const token = makeToken();
  const leave = new AbortController();
  let access: Access = { token, port };
  const handle = async (request: Request) => {
    try {
      return await answer(request, { session, access });
    } catch (error) {
      note(`Internal error: ${messageOf(error)}. Please report it.`);
      return replyRefusal(`Internal error: ${messageOf(error)}. Please report it.`, 500);
    }
  };
  const server = listen(port, { signal: leave.signal, handle });
  access = { token, port: server.port };
  return {
    url: `http://${LOOPBACK}:${access.port}/${token}/`,
    [Symbol.dispose]() {
      // Nobody is waited for: a stream lasts as long as its job, and a call as long as its server hangs.
      leave.abort();
    },
  };
}

function listen(
  port: number,
  { signal, handle }: { signal: AbortSignal; handle: (request: Request) => Promise<Response> },
): HttpServer {
  try {
    return new HttpServer({ hostname: LOOPBACK, port, signal, handle });
  } catch (error) {
    throw new ClientError(
      `Cannot listen at ${LOOPBACK}:${port}: ${
        messageOf(error)
      }. Choose another --port, or leave it out.`,
      ExitStatus.failed,
    );
  }
}

async function answer(
  request: Request,
  { session, access }: { session: Session; access: Access },
): Promise<Response> {
  const { method, headers } = request;
  const verdict = checkRequest({ method, path: new URL(request.url).pathname, headers }, access);
  if (verdict.kind === "refused") return replyRefusal(verdict.reason, verdict.status);
  const { path } = verdict;
  try {
    return method === "GET"
      ? await answerGet(path, { session, signal: request.signal })
      : await answerPost(path, request, session);
  } catch (error) {
    if (error instanceof LongBodyError) {
      return replyRefusal(`The request is longer than ${MAX_BODY_BYTES} bytes.`, 413);
    }
    const refusal = replyError(error);
    if (refusal === undefined) throw error;
    return refusal;
  }
}

/** A file of the page, or a job's output as a file: nothing that changes anything. */
async function answerGet(
  path: string,
  { session, signal }: { session: Session; signal: AbortSignal },
): Promise<Response> {
  const asset = await readAsset(path);
  if (asset !== undefined) return reply(asset.text, asset);
  const download = downloadAt(path);
  if (download !== undefined) return await downloadOutput(download, { session, signal });
  return API.has(path)
    ? replyRefusal("This must be a POST.", 405)
    : replyRefusal("There is nothing at this address.", 404);
}

async function answerPost(path: string, request: Request, session: Session): Promise<Response> {
  const handler = API.get(path);
  if (handler !== undefined) return await handler(request, session);
  return isAsset(path)
    ? replyRefusal("This must be a GET.", 405)
    : replyRefusal("There is nothing at this address.", 404);
}
