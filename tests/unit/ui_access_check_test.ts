import assert from "node:assert/strict";
import { type CheckedRequest, checkRequest, makeToken } from "../../client/ui/access_check.ts";

const TOKEN = makeToken();
const ACCESS = { token: TOKEN, port: 4711 };
const ORIGIN = "http://127.0.0.1:4711";
const JSON_TYPE = "application/json";

function visit(
  headers: Record<string, string>,
  { method = "GET", path = `/${TOKEN}/` }: Partial<Pick<CheckedRequest, "method" | "path">> = {},
): ReturnType<typeof checkRequest> {
  const all = new Headers({ host: "127.0.0.1:4711", ...headers });
  if (headers["host"] === "") all.delete("host");
  return checkRequest({ method, path, headers: all }, ACCESS);
}

Deno.test("makeToken: is long, new each time, and needs no quotes in a URL", () => {
  assert.match(TOKEN, /^[\w-]{43}$/);
  assert.notEqual(makeToken(), TOKEN);
});

Deno.test("checkRequest: the page and what it asks for are accepted", () => {
  assert.deepEqual(visit({}), { kind: "accepted", path: "/" });
  assert.deepEqual(visit({ "sec-fetch-site": "none" }), { kind: "accepted", path: "/" });
  assert.deepEqual(visit({ host: "localhost:4711" }), { kind: "accepted", path: "/" });
  const path = `/${TOKEN}/api/jobs`;
  const post = { origin: ORIGIN, "content-type": JSON_TYPE, "sec-fetch-site": "same-origin" };
  assert.deepEqual(visit(post, { method: "POST", path }), { kind: "accepted", path: "/api/jobs" });
});

const POST = { method: "POST", path: `/${TOKEN}/api/start` };
const GOOD = { origin: ORIGIN, "content-type": JSON_TYPE };

const REFUSED: readonly (readonly [
  what: string,
  status: number,
  headers: Record<string, string>,
  rest?: { method?: string; path?: string },
])[] = [
  ["no token", 403, {}, { path: "/" }],
  ["another token", 403, {}, { path: `/${makeToken()}/` }],
  ["the beginning of the token", 403, {}, { path: `/${TOKEN.slice(0, -1)}/` }],
  ["more than the token", 403, {}, { path: `/${TOKEN}x/` }],
  ["the token in other letters", 403, {}, { path: `/${TOKEN.toLowerCase()}A/` }],
  ["the token further on", 403, {}, { path: `/x/${TOKEN}/` }],
  ["the token without what follows", 403, {}, { path: `/${TOKEN}` }],
  ["a name that leads here (DNS rebinding)", 421, { host: "evil.example:4711" }],
  ["a name that ends like ours", 421, { host: "evil.127.0.0.1:4711" }],
  ["another port in Host", 421, { host: "127.0.0.1:80" }],
  ["no port in Host", 421, { host: "127.0.0.1" }],
  ["no Host", 421, { host: "" }],
  ["an address of another network", 421, { host: "0.0.0.0:4711" }],
  ["a foreign page", 403, { ...GOOD, origin: "https://evil.example" }, POST],
  ["a page of another port", 403, { ...GOOD, origin: "http://127.0.0.1:80" }, POST],
  ["the other name of the loopback", 403, { ...GOOD, origin: "http://localhost:4711" }, POST],
  ["a page without an origin", 403, { ...GOOD, origin: "null" }, POST],
  ["a POST without an origin", 403, { "content-type": JSON_TYPE }, POST],
  ["a GET of a foreign page", 403, { origin: "https://evil.example" }],
  ["a picture on a foreign page", 403, { "sec-fetch-site": "cross-site" }],
  ["a page of another port, by fetch metadata", 403, { "sec-fetch-site": "same-site" }],
  ["a form", 415, { ...GOOD, "content-type": "text/plain" }, POST],
  ["a form with JSON inside", 415, { ...GOOD, "content-type": `text/plain; ${JSON_TYPE}` }, POST],
  ["no type", 415, { origin: ORIGIN }, POST],
  ["another method", 405, GOOD, { ...POST, method: "PUT" }],
  ["the question of a foreign script", 405, GOOD, { ...POST, method: "OPTIONS" }],
];

for (const [what, status, headers, rest] of REFUSED) {
  Deno.test(`checkRequest: ${what} is refused with ${status}`, () => {
    const verdict = visit(headers, rest);
    assert.equal(verdict.kind, "refused");
    assert.equal(verdict.kind === "refused" && verdict.status, status);
  });
}
