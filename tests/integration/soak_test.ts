/** The soak itself, in short: it passes, and it draws what it saw. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { run } from "../support/run.ts";

const SOAK = join(import.meta.dirname ?? ".", "..", "..", "soak", "main.ts");

function soak(...args: string[]): ReturnType<typeof run> {
  return run(Deno.execPath(), ["run", "--allow-all", SOAK, ...args]);
}

Deno.test("soak: a short one loses nothing, ends level and is drawn", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-soak-" });
  try {
    const out = join(folder, "soak.svg");
    const { code, stdout, stderr } = await soak("--minutes", "0.3", "--out", out);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^soak: \d+ rounds of calls and \d+ hand-overs, nothing lost/);
    const picture = await Deno.readTextFile(out);
    assert.equal(picture.match(/<polyline points="\d/g)?.length, 4, picture);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("soak --kills: a few lose nothing, and every storm says its seed", async () => {
  const { code, stdout, stderr } = await soak("--", "--kills", "4", "--seed", "7");
  assert.equal(code, 0, stderr);
  // Clients that are killed together may be more than are asked for.
  const told = /^soak: 4 kills, seed 7\nsoak: (\d+) of 4 kills, .* seed 7: \1 kills /.exec(stdout);
  assert(Number(told?.[1]) >= 4, stdout);
  assert.match(stdout, /; nothing lost\n$/);
});

for (
  const args of [
    ["--minutes", "0"],
    ["--minutes", "long"],
    ["--memory-limit", "much"],
    ["--kills", "0"],
    ["--kills", "1.5"],
    ["--kills", "3", "--seed", "x"],
    ["-x"],
  ]
) {
  Deno.test(`soak: ${args.join(" ")} is refused in one line`, async () => {
    const { code, stderr } = await soak(...args);
    assert.equal(code, 1);
    assert.match(stderr, /^soak: [^\n]+\n$/);
  });
}
