import { strict as assert } from "node:assert";
import { toResult, toSummary, toTable } from "../../bench/table.ts";
import { tableRowsOf } from "../support/document_commands.ts";
import { readDocument } from "../support/documents.ts";

const QUERY = toResult("query", {
  what: "a call",
  unit: "ms",
  ours: [3, 1, 2],
  alternative: { name: "ssh", values: [4, 8, 6] },
  target: { text: "less", isMet: (ours, other) => ours < other },
});

Deno.test("toTable: medians, spreads, ratio, and whether the target is met", () => {
  const idle = toResult("memory", { what: "idle", unit: "MB", ours: [76.26] });
  assert.deepEqual(tableRowsOf(toTable([QUERY, idle])).slice(1), [
    ["a call", "2.00 ms", "1.00 to 3.00", "ssh", "6.00 ms", "4.00 to 8.00", "0.33", "less", "yes"],
    ["idle", "76.3 MB", "", "", "", "", "", "", ""],
  ]);
});

Deno.test("toSummary: the first row of chosen benchmarks and rows that ask for it, in a fixed order", () => {
  const more = { ...QUERY, what: "the same beside another" };
  const chosen = { ...QUERY, what: "the same beside a third", isInSummary: true };
  const stop = toResult("stop", { what: "stop", unit: "ms", ours: [101] });
  const start = toResult("start", { what: "start", unit: "ms", ours: [99.8] });
  const idle = toResult("memory", { what: "idle", unit: "MB", ours: [76] });
  assert.deepEqual(tableRowsOf(toSummary([idle, stop, start, QUERY, more, chosen])).slice(1), [
    ["a call", "2.00 ms", "ssh", "6.00 ms", "0.33"],
    ["the same beside a third", "2.00 ms", "ssh", "6.00 ms", "0.33"],
    ["start", "99.8 ms", "", "", ""],
    ["stop", "101 ms", "", "", ""],
  ]);
});

/** The rows between a document's marks, and the line about the machine. */
async function benchmarksIn(name: string): Promise<{ rows: string[][]; machine: string }> {
  const marks = /<!-- benchmarks -->\n([^]*)<!-- \/benchmarks -->/;
  const [, text = ""] = marks.exec(await readDocument(name)) ?? [];
  const machine = text.trim().split("\n").at(-1) ?? "";
  return { rows: tableRowsOf(text).slice(1), machine };
}

Deno.test("README.md: its figures are those of docs/performance.md", async () => {
  const { rows, machine } = await benchmarksIn("README.md");
  const all = await benchmarksIn("docs/performance.md");
  assert(rows.length >= 6, `${rows.length} rows`);
  assert.match(machine, /cores/);
  assert.equal(machine, all.machine);
  const full = all.rows.map(([what, ours, , other, theirs, , ratio]) => [
    what,
    ours,
    other,
    theirs,
    ratio,
  ]);
  for (const row of rows) {
    assert(full.some((candidate) => candidate.join("|") === row.join("|")), row.join(" | "));
  }
});
