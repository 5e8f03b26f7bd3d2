/** One request and its answer on a connection, which is closed afterwards. */
import { Buffer } from "node:buffer";
import { deferred } from "./deferred.ts";
import {
  BadRequestError,
  formatHead,
  parseChunkLength,
  parseHead,
  type RequestHead,
} from "./http_head.ts";

/** Makes the answer to a request. */
export type HttpHandler = (request: Request) => Response | Promise<Response>;

/** The part of a connection that is used. */
export type Connection = Pick<Deno.Conn, "read" | "write" | "closeWrite" | "close">;

/** Browsers send about a kilobyte. */
const MAX_HEAD_BYTES = 16 * 1024;

const MAX_CHUNK_LINE_BYTES = 1024;

const READ_BYTES = 64 * 1024;

/** How long a client may take to send its head, and then its body. */
export const HEAD_TIMEOUT_MS = 10_000;
export const BODY_TIMEOUT_MS = 60_000;

/** How long the client may take to close after the answer; what it has not read yet would be lost. */
const LINGER_MS = 1000;

/** What an exchange needs besides its connection. */
export interface ExchangeOptions {
  readonly handle: HttpHandler;
  /** Called when the head of the request is there. */
  readonly onHead: () => void;
  /** How long the client may take to read the answer; undefined: as long as it likes. */
  readonly answerTimeoutMs?: number | undefined;
  /** Ends the exchange at once. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a request, and answers it.
 *
 * @throws When the connection fails, or the client does not do its part in time.
 */
export async function exchange(
  connection: Connection,
  { handle, onHead, answerTimeoutMs, signal }: ExchangeOptions,
): Promise<void> {
  const left = new AbortController();
  const close = () => {
    left.abort();
    closeQuietly(connection);
  };
  signal?.addEventListener("abort", close);
  const input = new Input(connection);
  let overdue = setTimeout(close, HEAD_TIMEOUT_MS);
  try {
    const head = await readHead(input);
    if (head === undefined) return;
    onHead();
    clearTimeout(overdue);
    overdue = setTimeout(close, BODY_TIMEOUT_MS);
    /** Who has sent everything is expected to stay until the answer has ended. */
    const whenSent = () => {
      clearTimeout(overdue);
      void input.drain().then(() => left.abort(), () => left.abort());
    };
    const response = head instanceof BadRequestError
      ? refusalOf(head)
      : await handle(requestOf(head, { input, signal: left.signal, whenSent }));
    clearTimeout(overdue);
    if (answerTimeoutMs !== undefined) overdue = setTimeout(close, answerTimeoutMs);
    await writeResponse(connection, response, {
      hasBody: head instanceof BadRequestError || head.method !== "HEAD",
      takesChunks: head instanceof BadRequestError || head.takesChunks,
      signal: left.signal,
    });
    await connection.closeWrite();
    clearTimeout(overdue);
    overdue = setTimeout(close, LINGER_MS);
    await input.drain();
  } finally {
    signal?.removeEventListener("abort", close);
    clearTimeout(overdue);
    close();
  }
}

/** Closes a connection that may be closed already. */
export function closeQuietly(connection: Pick<Connection, "close">): void {
  try {
    connection.close();
  } catch {
    // It is closed.
  }
}

async function readHead(input: Input): Promise<RequestHead | BadRequestError | undefined> {
  try {
    const text = await input.readTo("\r\n\r\n", MAX_HEAD_BYTES);
    return text === undefined ? undefined : parseHead(text);
  } catch (error) {
    if (error instanceof BadRequestError) return error;
    throw error;
  }
}

function refusalOf({ status, message }: BadRequestError): Response {
  return new Response(`Bad request: ${message}.\n`, {
    status,
    headers: { "content-type": "text/plain" },
  });
}

function requestOf(
  { method, url, headers, length }: RequestHead,
  { input, signal, whenSent }: { input: Input; signal: AbortSignal; whenSent: () => void },
): Request {
  const hasBody = length !== 0 && method !== "GET" && method !== "HEAD";
  if (!hasBody) whenSent();
  const body = hasBody ? ReadableStream.from(input.body(length, whenSent)) : null;
  return new Request(url, { method, headers, body, signal });
}

/** What a client sends. */
class Input {
  readonly #connection: Connection;
  #rest = new Uint8Array();
  #drained: Promise<void> | undefined;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /**
   * Reads a text up to a mark, without it.
   *
   * @returns Undefined where the client has closed before.
   * @throws {BadRequestError} It is longer than the limit.
   */
  async readTo(mark: string, limitBytes: number): Promise<string | undefined> {
    for (let text = "";;) {
      const bytes = await this.#read();
      if (bytes === undefined) return undefined;
      text += Buffer.from(bytes).toString("latin1");
      const end = text.indexOf(mark);
      if (end > limitBytes || end === -1 && text.length > limitBytes) {
        throw new BadRequestError(400, "the head of the request is too long");
      }
      if (end === -1) continue;
      this.#rest = Buffer.from(text.slice(end + mark.length), "latin1");
      return text.slice(0, end);
    }
  }

  /**
   * The body of a request.
   *
   * @param whenRead Called when all of it was read.
   */
  async *body(length: number | "chunked", whenRead: () => void): AsyncGenerator<Uint8Array> {
    if (length === "chunked") {
      for (;;) {
        const left = parseChunkLength(await this.#line());
        yield* this.#bytes(left);
        if (left === 0) break;
        if (await this.#line() !== "") throw new BadRequestError(400, "a chunk is malformed");
      }
      // Fields after the body say nothing here.
      while (await this.#line() !== "");
    } else {
      yield* this.#bytes(length);
    }
    whenRead();
  }

  /** Reads what nobody wants to have, until the client closes. */
  drain(): Promise<void> {
    return this.#drained ??= (async () => {
      while (await this.#read() !== undefined);
    })();
  }

  async *#bytes(length: number): AsyncGenerator<Uint8Array> {
    for (let left = length; left > 0;) {
      const bytes = await this.#read();
      if (bytes === undefined) throw new Error("the client has closed before its body ended");
      const part = bytes.subarray(0, left);
      this.#rest = bytes.slice(part.length);
      left -= part.length;
      yield part;
    }
  }

  async #line(): Promise<string> {
    const line = await this.readTo("\r\n", MAX_CHUNK_LINE_BYTES);
    if (line === undefined) throw new Error("the client has closed before its body ended");
    return line;
  }

  async #read(): Promise<Uint8Array | undefined> {
    const rest = this.#rest;
    if (rest.length > 0) {
      this.#rest = new Uint8Array();
      return rest;
    }
    const buffer = new Uint8Array(READ_BYTES);
    const count = await this.#connection.read(buffer);
    return count === null ? undefined : buffer.subarray(0, count);
  }
}

async function writeResponse(
  connection: Connection,
  response: Response,
  { hasBody, takesChunks, signal }: { hasBody: boolean; takesChunks: boolean; signal: AbortSignal },
): Promise<void> {
  const headers = new Headers(response.headers);
  headers.set("connection", "close");
  const body = hasBody ? response.body : null;
  if (hasBody && body === null) headers.set("content-length", "0");
  else if (hasBody && takesChunks) headers.set("transfer-encoding", "chunked");
  const write = (bytes: Uint8Array) => writeAll(connection, bytes, signal);
  const reader = body?.getReader();
  const cancel = () => void reader?.cancel().catch(() => {});
  signal.addEventListener("abort", cancel);
  try {
    await write(Buffer.from(formatHead({ status: response.status, headers }), "latin1"));
    if (reader === undefined || signal.aborted) return;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      if (value.length > 0) await write(takesChunks ? chunkOf(value) : value);
    }
    // Without it the client knows that the answer was cut off.
    if (takesChunks && !signal.aborted) await write(encode("0\r\n\r\n"));
  } finally {
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}

/** A part of an answer (RFC 9112, 7.1). */
function chunkOf(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([encode(`${bytes.length.toString(16)}\r\n`), bytes, encode("\r\n")]);
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/**
 * Writes all bytes, at the pace of the client.
 *
 * @throws When the connection fails, or the signal says that it was closed: the runtime (Deno 2.7.14)
 * ends a read that is under way then, and leaves a write waiting for a client that reads no more.
 */
async function writeAll(
  connection: Connection,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<void> {
  const { promise: closed, reject } = deferred<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    for (let written = 0; written < bytes.length;) {
      written += await Promise.race([connection.write(bytes.subarray(written)), closed]);
    }
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
