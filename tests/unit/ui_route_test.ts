/** What the address of the page keeps. */
import assert from "node:assert/strict";
import { linkTo, NO_FILTER, parseRoute, type Route } from "../../client/ui/page/route.ts";

const ROUTES: readonly (readonly [hash: string, route: Route])[] = [
  ["#/jobs", { view: "jobs", filter: NO_FILTER }],
  ["#/jobs?state=failed", { view: "jobs", filter: { ...NO_FILTER, choice: "Failed" } }],
  ["#/jobs?text=a%26b+%23c%3F&label=%27k%3Da+b%27&page=t1&page=t2", {
    view: "jobs",
    filter: { choice: "All", text: "a&b #c?", label: "'k=a b'", pages: ["t1", "t2"] },
  }],
  ["#/start", { view: "start" }],
  ["#/start?again=12ab", { view: "start", again: "12ab" }],
  ["#/job/12ab", { view: "job", jobID: "12ab" }],
  ["#/job/12ab?find=x&show=stderr", { view: "job", jobID: "12ab", find: "x", show: "stderr" }],
  ["#/job/a%2Fb%3F?find=%2F%3F+%C3%A9", { view: "job", jobID: "a/b?", find: "/? é" }],
];
for (const [hash, route] of ROUTES) {
  Deno.test(`route: ${hash} is the address of its view, and the other way round`, () => {
    assert.deepEqual(parseRoute(hash), route);
    assert.equal(linkTo(route), hash);
  });
}

for (const hash of ["", "#", "#/", "#/nonsense", "#/job/", "#/jobs?state=nonsense&other=1", "#?"]) {
  Deno.test(`route: ${JSON.stringify(hash)} leads to all jobs`, () => {
    assert.deepEqual(parseRoute(hash), { view: "jobs", filter: NO_FILTER });
  });
}

Deno.test("route: an output that there is not is none", () => {
  assert.deepEqual(parseRoute("#/job/12ab?show=stdin"), { view: "job", jobID: "12ab" });
});

Deno.test("route: half of an escape is taken as it is", () => {
  assert.deepEqual(parseRoute("#/job/a%2"), { view: "job", jobID: "a%2" });
});
