/**
 * A second connection for one long stream. On this runtime node:tls copies received data byte by
 * byte; `Deno.connectTls` does not. With a small HTTP/2 reader on top of it a stream is more than
 * twice as fast and takes a third of the memory.
 *
 * It only adds speed. How and why a stream ended is not reported here: the caller continues at the
 * next byte over the ordinary connection, which reports it.
 */
import { Buffer } from "node:buffer";
import {
  jobService,
  type StreamRequest,
  type StreamResponse__Output,
} from "../../../proto/contract.ts";
import { concatenate } from "../../../common/bytes.ts";
import type { Endpoint } from "../../endpoint/endpoint.ts";
import { AnswerReader } from "./answer_reader.ts";
import { prefaceFrames, requestFrames } from "./frames.ts";
import { frameMessage, MessageReader } from "../messages.ts";

/** One that takes longer would not pay off. */
const CONNECT_TIMEOUT_MS = 1_500;

/** How much is read from the connection at once. */
const READ_BYTES = 256 * 1024;

/** How much is read at once of what the server sends first. */
const MAX_GREETING_BYTES = 1024;

/** What is read over the connection. */
export interface BulkRequest {
  readonly request: StreamRequest;
  /** The longest message that is accepted, in bytes. */
  readonly maxMessageBytes: number;
  /** Ends the stream. */
  readonly signal: AbortSignal;
  /** Called with each message. What it throws ends the stream and is thrown on. */
  readonly onMessage: (message: StreamResponse__Output) => void;
  /** A promise while nothing more should be read; TCP flow control then slows down the server. */
  readonly room?: (() => Promise<void> | undefined) | undefined;
}

/** A connection for one stream. */
export class BulkConnection implements Disposable {
  readonly #connection: Deno.TlsConn;
  readonly #authority: string;
  /** What the server has sent before it was asked for anything. */
  readonly #greeting: Uint8Array;

  private constructor({ connection, greeting }: Opened, authority: string) {
    this.#connection = connection;
    this.#greeting = greeting;
    this.#authority = authority;
  }

  /** Whether this runtime has what it takes. Another one has other ways, and no need of this one. */
  static get isPossible(): boolean {
    return globalThis.Deno !== undefined;
  }

  /**
   * Makes one, on which a request takes a round trip.
   *
   * @param certificate The server's certificate, DER, as the ordinary connection has verified it. The
   * server must present the same one here, so no further checks are needed; and since that server
   * accepts nothing below TLS 1.3, which `Deno.connectTls` cannot require, this is TLS 1.3 too.
   * @returns Nothing where it fails, takes long, or another certificate is shown.
   */
  static async open(
    endpoint: Endpoint,
    certificate: Uint8Array,
  ): Promise<BulkConnection | undefined> {
    const opened = await connect(endpoint, certificate);
    return opened && new BulkConnection(opened, endpoint.address.text);
  }

  /**
   * Reads a stream until it ends or fails.
   *
   * It reads from the network only as fast as the output is consumed, so a slow standard output slows
   * down the server.
   */
  async read(options: BulkRequest): Promise<void> {
    const close = () => this[Symbol.dispose]();
    options.signal.addEventListener("abort", close, { once: true });
    let failure: { error: unknown } | undefined;
    const onMessage = (message: StreamResponse__Output) => {
      try {
        options.onMessage(message);
      } catch (error) {
        failure = { error };
        throw error;
      }
    };
    try {
      await this.#readAnswer({ ...options, onMessage });
    } catch {
      // The connection broke, or the server violated the protocol: see the module's comment.
    } finally {
      options.signal.removeEventListener("abort", close);
    }
    if (failure !== undefined) throw failure.error;
  }

  async #readAnswer(options: BulkRequest): Promise<void> {
    const { path, requestSerialize, responseDeserialize } = jobService.Stream;
    let isOver = false;
    const replies: Uint8Array[] = [];
    const messages = new MessageReader(options.maxMessageBytes, (message) => {
      options.onMessage(responseDeserialize(Buffer.from(message.buffer)));
    });
    const answer = new AnswerReader({
      onData: (bytes) => messages.take(bytes),
      onReply: (frames) => replies.push(frames),
      onEnd: () => isOver = true,
    });
    const message = frameMessage(requestSerialize(options.request));
    answer.take(this.#greeting);
    const request = requestFrames({ path, authority: this.#authority, message });
    await write(this.#connection, concatenate([...replies.splice(0), request]));
    const buffer = new Uint8Array(READ_BYTES);
    while (!isOver && !options.signal.aborted) {
      const waiting = options.room?.();
      if (waiting !== undefined) await waiting;
      const length = await this.#connection.read(buffer);
      if (length === null) return;
      answer.take(buffer.subarray(0, length));
      for (const reply of replies.splice(0)) await write(this.#connection, reply);
    }
  }

  [Symbol.dispose](): void {
    closeQuietly(this.#connection);
  }
}

/** A connection on which the server has sent something. */
interface Opened {
  readonly connection: Deno.TlsConn;
  readonly greeting: Uint8Array;
}

async function connect(
  { address, identity }: Endpoint,
  certificate: Uint8Array,
): Promise<Opened | undefined> {
  let isLate = false;
  let begun: Deno.TlsConn | undefined;
  const connecting = Deno.connectTls({
    hostname: address.host,
    port: address.port,
    caCerts: [identity.ca],
    cert: identity.cert,
    key: identity.key,
    alpnProtocols: ["h2"],
  }).then(async (connection) => {
    if (isLate) return closeQuietly(connection);
    begun = connection;
    const { alpnProtocol } = await connection.handshake();
    const isSameServer = alpnProtocol === "h2" &&
      isEqual(peerCertificateOf(connection), certificate);
    const greeting = isSameServer ? await greet(connection) : undefined;
    if (greeting !== undefined && !isLate) return { connection, greeting };
    closeQuietly(connection);
  }).catch(() => {
    if (begun !== undefined) closeQuietly(begun);
  });
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => {
      isLate = true;
      if (begun !== undefined) closeQuietly(begun);
      resolve(undefined);
    }, CONNECT_TIMEOUT_MS);
  });
  try {
    return await Promise.race([connecting, late]) ?? undefined;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Begins HTTP/2, and waits for the server's first bytes, its settings. Only they tell that the handshake is
 * done: its last part leaves this host some 40 ms after the runtime has called it done (Nagle's algorithm,
 * which the runtime does not switch off, waits for an acknowledgement, which the server's kernel delays).
 *
 * @returns The server's first bytes. Undefined: it has closed the connection.
 */
async function greet(connection: Deno.TlsConn): Promise<Uint8Array | undefined> {
  await write(connection, prefaceFrames());
  const buffer = new Uint8Array(MAX_GREETING_BYTES);
  const length = await connection.read(buffer);
  return length === null ? undefined : buffer.subarray(0, length);
}

async function write(connection: Deno.TlsConn, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length;) {
    written += await connection.write(bytes.subarray(written));
  }
}

/**
 * The certificate of the peer, whose key it has proven to have; DER. The runtime has it in an internal
 * interface; where that is missing there is no second connection.
 */
function peerCertificateOf(connection: Deno.TlsConn): Uint8Array | undefined {
  const runtime = Deno as unknown as Record<symbol, Record<string, symbol> | undefined>;
  const internal = (Deno as unknown as { internal?: symbol }).internal;
  const getter = internal === undefined ? undefined : runtime[internal]?.["getPeerCertificate"];
  if (getter === undefined) return undefined;
  const inspectable = connection as unknown as Record<
    symbol,
    ((detailed: boolean) => { raw?: unknown } | null) | undefined
  >;
  const raw = inspectable[getter]?.(true)?.raw;
  return raw instanceof Uint8Array ? raw : undefined;
}

function isEqual(first: Uint8Array | undefined, second: Uint8Array): boolean {
  return first !== undefined && Buffer.compare(first, second) === 0;
}

function closeQuietly(connection: Deno.TlsConn): void {
  try {
    connection.close();
  } catch {
    // It was closed already.
  }
}
