import assert from "node:assert/strict";
import { attackedBy, Attacks, readAttacks } from "../../tools/test/attacks.ts";

const FILE = { file: "tests/integration/flood_test.ts", attacked: "the port" };

const OUTPUT = `running 3 tests from ./tests/integration/flood_test.ts
flood: of Stop ...
------- output -------
200 x Stop: an honest Query takes 4.0 ms
----- output end -----
  a step ... ok (1s)
flood: of Stop ... ok (2s)
flood: of List ... FAILED (3ms)
flood: of Fly ... ignored (0ms)

FAILED | 1 passed (1 step) | 1 failed | 1 ignored (5s)
`;

Deno.test("attackedBy: only of files that say so, in a line of its own", () => {
  assert.equal(attackedBy("/** Floods. */\n// Attacks: the port.\nimport x;"), "the port");
  assert.equal(attackedBy("/** Attacks: the port. */\nimport x;"), undefined);
});

Deno.test("readAttacks: each test is one, and its steps are none", () => {
  assert.deepEqual(readAttacks(FILE, { output: OUTPUT, succeeded: false }), [
    { attacked: "the port", name: "flood: of Stop", end: "held" },
    { attacked: "the port", name: "flood: of List", end: "broken" },
    { attacked: "the port", name: "flood: of Fly", end: "skipped" },
  ]);
});

Deno.test("readAttacks: a run that fails without a failed test is broken", () => {
  const output = "flood: of Stop ... ok (2s)\nended after 900000 ms\n";
  assert.deepEqual(readAttacks(FILE, { output, succeeded: false }).map(({ end }) => end), [
    "held",
    "broken",
  ]);
  assert.equal(readAttacks(FILE, { output, succeeded: true }).length, 1);
});

Deno.test("Attacks.summary: a line for each attack, or in short for each thing and each broken one", () => {
  const attacks = new Attacks();
  attacks.add(FILE, { output: OUTPUT, succeeded: false });
  attacks.add({ file: "x", attacked: "a parser" }, {
    output: "bytes ... ok (1s)",
    succeeded: true,
  });
  const end = [
    "200 x Stop: an honest Query takes 4.0 ms",
    "attacks: 3 tried, 2 held, 1 broken, 1 skipped",
  ];
  assert.deepEqual(attacks.summary({ isShort: false }), [
    "held: the port: flood: of Stop",
    "broken: the port: flood: of List",
    "skipped: the port: flood: of Fly",
    "held: a parser: bytes",
    ...end,
  ]);
  assert.deepEqual(attacks.summary({ isShort: true }), [
    "the port: 2 tried, 1 held, 1 broken, 1 skipped",
    "a parser: 1 tried, 1 held, 0 broken",
    "broken: the port: flood: of List",
    ...end,
  ]);
});
