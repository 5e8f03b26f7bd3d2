/**
 * The contract by the rules of buf.yaml, and against the contracts that clients were made from:
 * fixtures/seed.proto, and fixtures/released.proto, which is a copy made at each release.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { runBuf } from "../../tools/build/buf.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");
const CONTRACT = await Deno.readTextFile(join(ROOT, "proto", "job_service.proto"));
const FIXTURES = join(ROOT, "tests", "fixtures");

/** The seed's text does not say its syntax. */
const SEED = 'syntax = "proto3";\n' + await Deno.readTextFile(join(FIXTURES, "seed.proto"));
const RELEASED = await Deno.readTextFile(join(FIXTURES, "released.proto"));

/** Checks one rule set in the place of those of buf.yaml. */
function flagsOfRules(rules: string): string[] {
  const [kind = "", name = ""] = rules.split(":");
  return ["--config", JSON.stringify({ version: "v2", [kind]: { use: [name] } })];
}

/** What buf finds, one line a finding, without the place. */
function findings({ code, output }: { code: number; output: string }): string[] {
  const lines = output.trim().split("\n").filter((line) => line !== "");
  assert.equal(code, lines.length === 0 ? 0 : 100, output);
  return lines.map((line) => line.replace(/^[^:]+:\d+:\d+:/, ""));
}

/** What of a contract would break clients of another. */
async function breaking(contract: string, against: string, flags: string[]): Promise<string[]> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-contract-" });
  try {
    for (const [name, text] of Object.entries({ now: contract, before: against })) {
      await Deno.mkdir(join(folder, name));
      await Deno.writeTextFile(join(folder, name, "job_service.proto"), text);
    }
    const cwd = join(folder, "now");
    return findings(await runBuf(["breaking", ".", "--against", "../before", ...flags], { cwd }));
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const STRICTEST = flagsOfRules("breaking:FILE");

Deno.test("contract rules: buf finds nothing but what buf.yaml gives a reason for", async () => {
  assert.deepEqual(findings(await runBuf(["lint"], { cwd: ROOT })), []);
});

Deno.test("contract rules: names are lower_snake_case but for the seed's own", async () => {
  const folder = join(ROOT, "proto");
  const found = findings(
    await runBuf(["lint", ".", ...flagsOfRules("lint:FIELD_LOWER_SNAKE_CASE")], { cwd: folder }),
  );
  const names = new Set(found.map((line) => /^Field name "(\w+)"/.exec(line)?.[1]));
  assert.deepEqual([...names].sort(), ["exitCode", "jobID"]);
});

Deno.test("contract rules: the last release's clients go on working", async () => {
  assert.deepEqual(await breaking(CONTRACT, RELEASED, STRICTEST), []);
});

Deno.test("contract rules: the seed's clients go on working, and output is bytes on purpose", async () => {
  assert.deepEqual(await breaking(CONTRACT, SEED, STRICTEST), [
    'Field "1" with name "output" on message "StreamResponse" changed type from "string" to "bytes".',
  ]);
  // On the wire the two are the same.
  assert.deepEqual(await breaking(CONTRACT, SEED, flagsOfRules("breaking:WIRE")), []);
});

/** Changes that break clients, and what the finding says. */
const BREAKS: readonly (readonly [from: RegExp, to: string, found: RegExp])[] = [
  [/string name = 1;/, "string name = 99;", /field "1" with name "name" on message "StartReq/i],
  [/int32 pid = 1;/, "string pid = 1;", /"pid".* changed type from "int32" to "string"/],
  [/bool exited = 3;/, "", /field "3" with name "exited".* was deleted/],
  [/string jobID = 1;/, "string job_id = 1;", /name from "jobID" to "job_id"/],
  [/rpc Stop\(.*\n/, "", /RPC "Stop" on service "JobService" was deleted/],
  [/repeated string args/, "string args", /"args".*changed cardinality/i],
  [/stream StreamResponse/, "StreamResponse", /"Stream".*server (un)?stream/i],
  [/syntax = .*/, "$&\npackage job.v1;", /package changed/],
];

for (const [from, to, found] of BREAKS) {
  Deno.test(`contract rules: ${from} as ${JSON.stringify(to)} is found`, async () => {
    const changed = CONTRACT.replace(from, to);
    assert.notEqual(changed, CONTRACT);
    for (const before of [RELEASED, SEED]) {
      const lines = await breaking(changed, before, STRICTEST);
      assert.match(lines.join("\n"), found);
    }
  });
}
