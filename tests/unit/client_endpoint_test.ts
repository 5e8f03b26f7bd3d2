/** Which server and which identity a command line means. */
import assert from "node:assert/strict";
import { type Destination, destinationOf } from "../../client/endpoint/choose_endpoint.ts";
import type { IdentityFiles } from "../../client/endpoint/identity_files.ts";
import { splitContexts } from "../../client/endpoint/context_names.ts";
import { placedID, splitPlacedID } from "../../client/jobs/placed_job.ts";

const PROD = { server: "prod:1", identity: "/prod.pem" };
const LAB = { server: "lab:1", ca: "/lab.crt", cert: "/a.crt", key: "/a.key" };
const CONTEXTS = { prod: PROD, lab: LAB };

interface Case {
  readonly options?: IdentityFiles & { readonly server?: string };
  readonly chosen?: string;
  /** The context in use; none unless given. */
  readonly current?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

function choose({ options = {}, chosen, current, environment = {} }: Case): Destination {
  return destinationOf(options, {
    config: { contexts: CONTEXTS, ...(current !== undefined && { current }) },
    chosen,
    environment: (name) => environment[name],
  });
}

const LAB_FILES = { ca: "/lab.crt", cert: "/a.crt", key: "/a.key" };

const CASES: readonly (readonly [what: string, given: Case, expected: Partial<Destination>])[] = [
  ["nothing is given", {}, { context: undefined, server: undefined, files: {} }],
  [
    "the environment names a server",
    { environment: { JOB_WORKER_SERVER: "env:1" } },
    { context: undefined, server: "env:1" },
  ],
  [
    "an option takes precedence over the environment",
    { options: { server: "option:1" }, environment: { JOB_WORKER_SERVER: "env:1" } },
    { server: "option:1" },
  ],
  [
    "the current context applies",
    { current: "prod" },
    { context: "prod", server: "prod:1", files: { identity: "/prod.pem" } },
  ],
  [
    "a chosen context takes precedence over the current one",
    { current: "prod", chosen: "lab" },
    { context: "lab", server: "lab:1", files: LAB_FILES },
  ],
  [
    "a chosen context takes precedence over the environment",
    {
      chosen: "lab",
      environment: { JOB_WORKER_SERVER: "env:1", JOB_WORKER_IDENTITY: "/env.pem" },
    },
    { context: "lab", server: "lab:1", files: LAB_FILES },
  ],
  [
    "the environment's server takes precedence over the current context's",
    { current: "lab", environment: { JOB_WORKER_SERVER: "env:1" } },
    { context: undefined, server: "env:1", files: LAB_FILES },
  ],
  ...["IDENTITY", "CA", "CERT", "KEY"].map((part) =>
    [
      `the environment's ${part} takes precedence over the current context's identity`,
      { current: "lab", environment: { [`JOB_WORKER_${part}`]: "/env" } },
      { context: "lab", server: "lab:1", files: {} },
    ] as const
  ),
  [
    "an option's server takes precedence over a chosen context's, not its identity",
    { options: { server: "option:1" }, chosen: "lab" },
    { context: undefined, server: "option:1", files: LAB_FILES },
  ],
  ...(["identity", "ca", "cert", "key"] as const).map((part) =>
    [
      `an option's ${part} replaces the whole identity of a chosen context`,
      { options: { [part]: "/option" }, chosen: "lab" },
      { context: "lab", server: "lab:1", files: { [part]: "/option" } },
    ] as const
  ),
];

for (const [what, given, expected] of CASES) {
  Deno.test(`destinationOf: ${what}`, () => {
    const { context, server, files } = choose(given);
    const actual: Record<string, unknown> = { context, server, files };
    for (const [name, value] of Object.entries(expected)) {
      assert.deepEqual(actual[name], value, name);
    }
  });
}

for (const chosen of ["other", "", "constructor", "__proto__"]) {
  Deno.test(`destinationOf: the context "${chosen}" does not exist`, () => {
    assert.throws(() => choose({ chosen }), /There is no context ".*"\. Choose one of prod, lab\./);
  });
}

Deno.test("splitContexts: names each once, in order, and keeps empty ones to be refused", () => {
  assert.deepEqual(splitContexts("prod, lab,prod"), ["prod", "lab"]);
  assert.deepEqual(splitContexts("lab", ["prod"]), ["prod", "lab"]);
  assert.deepEqual(splitContexts("prod,"), ["prod", ""]);
});

Deno.test("splitPlacedID: the first slash separates the context", () => {
  for (
    const [text, context, jobID] of [
      ["a3c1e8b4", undefined, "a3c1e8b4"],
      ["prod/a3c1e8b4", "prod", "a3c1e8b4"],
      ["prod/a/b", "prod", "a/b"],
      ["/x", "", "x"],
      ["prod/", "prod", ""],
      ["", undefined, ""],
    ] as const
  ) {
    assert.deepEqual(splitPlacedID(text), { context, jobID }, text);
    assert.equal(placedID(context, jobID), text);
  }
});
