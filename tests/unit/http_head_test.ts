/** Heads of HTTP requests and answers, as text. */
import { strict as assert } from "node:assert";
import {
  BadRequestError,
  formatHead,
  parseChunkLength,
  parseHead,
} from "../../common/http_head.ts";

const head = (...lines: string[]) => parseHead(lines.join("\r\n"));

Deno.test("parseHead: method, address, fields and length", () => {
  const read = head("POST /a/../b?c=d HTTP/1.1", "Host: x:1", "X-Empty:", "CONTENT-LENGTH:\t12 ");
  assert.equal(read.method, "POST");
  assert.equal(read.url, "http://localhost/a/../b?c=d");
  assert.deepEqual([...read.headers], [["content-length", "12"], ["host", "x:1"], ["x-empty", ""]]);
  assert.deepEqual([read.length, read.takesChunks], [12, true]);
  assert.equal(head("GET / HTTP/1.1").length, 0);
});

Deno.test("parseHead: an address with a host is kept, and two slashes are none", () => {
  assert.equal(head("GET http://evil.example/x HTTP/1.1").url, "http://evil.example/x");
  const { url } = head("GET //evil.example/x HTTP/1.0");
  assert.equal(new URL(url).hostname, "localhost");
  assert.equal(head("GET / HTTP/1.0").takesChunks, false);
  assert.equal(head("POST / HTTP/1.1", "Transfer-Encoding: Chunked").length, "chunked");
});

const REFUSED: readonly (readonly [lines: string[], status: number])[] = [
  [[""], 400],
  [["GET /"], 400],
  [["GET / HTTP/2"], 400],
  [["GET  / HTTP/1.1"], 400],
  [["get / HTTP/1.1"], 400],
  [["GET /\u00e9 HTTP/1.1"], 400],
  [["GET * HTTP/1.1"], 400],
  [["GET / HTTP/1.1", " folded: x"], 400],
  [["GET / HTTP/1.1", "a: b", "\tc"], 400],
  [["GET / HTTP/1.1", "name : x"], 400],
  [["GET / HTTP/1.1", "name"], 400],
  [["GET / HTTP/1.1", "name: a\nb"], 400],
  [["GET / HTTP/1.1", "name: a\0b"], 400],
  [["POST / HTTP/1.1", "Content-Length: -1"], 400],
  [["POST / HTTP/1.1", "Content-Length: 1e3"], 400],
  [["POST / HTTP/1.1", "Content-Length: 1", "Content-Length: 2"], 400],
  [["POST / HTTP/1.1", "Content-Length: 1", "Transfer-Encoding: chunked"], 400],
  [["POST / HTTP/1.1", "Transfer-Encoding: gzip, chunked"], 501],
];

for (const [lines, status] of REFUSED) {
  Deno.test(`parseHead: refuses ${JSON.stringify(lines)}`, () => {
    assert.throws(
      () => head(...lines),
      (error) => error instanceof BadRequestError && error.status === status,
    );
  });
}

Deno.test("parseChunkLength: hexadecimal, with or without an extension", () => {
  assert.deepEqual(["0", "1f", "1F;a=b", "00a ; x"].map(parseChunkLength), [0, 31, 31, 10]);
  for (const line of ["", "g", "-1", "0x1", "1 2", "123456789"]) {
    assert.throws(() => parseChunkLength(line), BadRequestError);
  }
});

Deno.test("formatHead: ends with an empty line, also of a status without a name", () => {
  const headers = new Headers({ a: "b" });
  assert.equal(formatHead({ status: 200, headers }), "HTTP/1.1 200 OK\r\na: b\r\n\r\n");
  assert.match(
    formatHead({ status: 418, headers: new Headers() }),
    /^HTTP\/1\.1 418 Other\r\n\r\n$/,
  );
});
