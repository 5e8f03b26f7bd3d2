/** The head of an HTTP/1.1 request, and that of an answer (RFC 9112). Pure. */

/** What a client asks for, before its body. */
export interface RequestHead {
  readonly method: string;
  /** Absolute; of a request that names a path only, with the host `localhost`. */
  readonly url: string;
  readonly headers: Headers;
  /** How long the body is. */
  readonly length: number | "chunked";
  /** Whether the client can read an answer in chunks (HTTP/1.1). */
  readonly takesChunks: boolean;
}

/** A request that cannot be answered as it should. */
export class BadRequestError extends Error {
  override name = "BadRequestError";

  /** @param status The status of the answer. */
  constructor(readonly status: number, message: string) {
    super(message);
  }
}

const REQUEST_LINE = /^([A-Z]{1,20}) ([\x21-\x7e]+) HTTP\/1\.([01])$/;

/** Line breaks within a field are not taken: they are obsolete, and a way to smuggle requests. */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([\x20-\x7e\x80-\xff\t]*?)[ \t]*$/;

/**
 * Reads a head.
 *
 * @param text Up to the empty line, without it; each byte is one character (ISO 8859-1).
 * @throws {BadRequestError} It is not one, or its body has no definite end.
 */
export function parseHead(text: string): RequestHead {
  const [requestLine = "", ...fields] = text.split("\r\n");
  const [, method = "", target = "", minor] = REQUEST_LINE.exec(requestLine) ?? [];
  const url = target.startsWith("/") ? `http://localhost${target}` : target;
  if (method === "" || !URL.canParse(url)) {
    throw new BadRequestError(400, "not an HTTP/1.1 request");
  }
  const headers = new Headers();
  for (const field of fields) {
    const [, name, value = ""] = FIELD.exec(field) ?? [];
    if (name === undefined) throw new BadRequestError(400, "a header field is malformed");
    headers.append(name, value);
  }
  return { method, url, headers, length: lengthOf(headers), takesChunks: minor === "1" };
}

function lengthOf(headers: Headers): number | "chunked" {
  const [coding, length] = [headers.get("transfer-encoding"), headers.get("content-length")];
  if (coding !== null) {
    if (length !== null) throw new BadRequestError(400, "the body has two lengths");
    if (coding.toLowerCase() === "chunked") return "chunked";
    throw new BadRequestError(501, "the body can be chunked, and nothing else");
  }
  if (length === null) return 0;
  // Several lengths are joined by commas.
  if (/^\d{1,15}$/.test(length)) return Number(length);
  throw new BadRequestError(400, "the length of the body is malformed");
}

/** How long the chunk is that a line announces (RFC 9112, 7.1). @throws {BadRequestError} */
export function parseChunkLength(line: string): number {
  const [, digits] = /^([0-9a-fA-F]{1,8})(?:[ \t]*;.*)?$/.exec(line) ?? [];
  if (digits === undefined) throw new BadRequestError(400, "a chunk is malformed");
  return Number.parseInt(digits, 16);
}

/** The head of an answer, with the empty line. */
export function formatHead({ status, headers }: { status: number; headers: Headers }): string {
  const fields = [...headers].map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${REASONS[status] ?? "Other"}\r\n${fields.join("")}\r\n`;
}

/** The reasons are for people; programs read the number. */
const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  500: "Internal Server Error",
  503: "Service Unavailable",
};
