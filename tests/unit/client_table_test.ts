/** Tables and lines that have to fit into a terminal. */
import type { PlacedJob } from "../../client/jobs/placed_job.ts";
import { sortJobs, type SortKey } from "../../client/screen/sort.ts";
import { strict as assert } from "node:assert";
import { describeProgress } from "../../client/screen/progress.ts";
import { describeJobs } from "../../client/screen/slow_note.ts";
import { paint } from "../../client/screen/colours.ts";
import { fitLines, formatRows, formatTable } from "../../client/screen/table.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { sparkline } from "../../client/verbs/top_view.ts";

const WIDE = { columns: undefined, isUnicode: true };

Deno.test("formatRows: columns line up by what characters take, not by their number", async () => {
  assert.equal(
    await formatRows([["A", "B"], ["日本", "x"], ["👍🏽", "y"], ["é", "z"]], WIDE),
    "A     B\n日本  x\n👍🏽    y\né     z\n",
  );
});

Deno.test("formatRows: text of others neither turns the writing, nor moves the cursor, nor breaks a row", async () => {
  const table = await formatRows([["OWNER", "B"], ["al\u202eice\x1b[2J\n", "x"]], WIDE);
  assert.equal(table, "OWNER            B\nal\\u202eice [2J  x\n");
});

Deno.test("formatRows: a narrow terminal goes without what is expendable, in its order", async () => {
  const rows = [["ID", "USER", "TOOK", "COMMAND"], ["1234", "root", "5s", "sleep 600 and more"]];
  const at = async (columns: number) =>
    (await formatRows(rows, { columns, isUnicode: true }, { expendable: ["USER", "TOOK"] })).split(
      "\n",
    )[0];
  assert.equal(await at(40), "ID    USER  TOOK  COMMAND");
  assert.equal(await at(33), "ID    TOOK  COMMAND");
  assert.equal(await at(26), "ID    COMMAND");
  assert.equal(await at(10), "ID    COM…");
});

for (
  const [line, columns, isUnicode, expected] of [
    ["abcdef", 6, true, "abcdef"],
    ["abcdef", 5, true, "abcd…"],
    ["日本語", 6, true, "日本語"],
    ["日本語", 5, true, "日本…"],
    ["日本語", 4, true, "日…"],
    ["a👨‍👩‍👧‍👦bc", 4, true, "a👨‍👩‍👧‍👦…"],
    ["日本語", 9, false, "???"],
    ["abcdef", 5, false, "abcd>"],
  ] as const
) {
  Deno.test(`fitLines: ${line} in ${columns} columns is ${expected}`, async () => {
    assert.deepEqual(await fitLines([line], { columns, isUnicode }), [expected]);
  });
}

Deno.test("formatRows: ten thousand rows take no more than a moment", async () => {
  const rows = Array.from({ length: 10_000 }, (_, index) => [`${index}`, "name", "a command é"]);
  const begin = performance.now();
  await formatRows(rows, { columns: 20, isUnicode: true });
  // A layout whose time grows with the square of the rows takes half a minute.
  assert(performance.now() - begin < 5_000);
});

Deno.test("sparkline: bars, or ASCII where a terminal has no more", () => {
  assert.equal(sparkline([0, 50, 100]).trimStart(), "▁▅█");
  assert.equal(sparkline([0, 50, 100], { isUnicode: false }).trimStart(), "_=#");
});

Deno.test("describeProgress: a total only where it is known and holds", () => {
  const rates = { bytesPerSecond: 2 ** 20 };
  const bytes = 3 * 2 ** 20;
  assert.equal(
    describeProgress({ bytes, totalBytes: 2 ** 28, ...rates }),
    "3 MiB of 256 MiB, 1 MiB/s",
  );
  assert.equal(describeProgress({ bytes, totalBytes: undefined, ...rates }), "3 MiB, 1 MiB/s");
  assert.equal(describeProgress({ bytes, totalBytes: 5, ...rates }), "3 MiB, 1 MiB/s");
});

Deno.test("describeJobs: a few are named, more are counted", () => {
  assert.equal(describeJobs(["a"]), "job a");
  assert.equal(describeJobs(["a", "b"]), "jobs a and b");
  assert.equal(describeJobs(["a", "b", "c", "d"]), "4 jobs");
});

Deno.test("sortJobs: by any column; what is the same stays in its order", () => {
  const job = (jobID: string, fields: object) => ({
    context: undefined,
    job: { jobID, startedAtMs: 5, endedAtMs: 9, exited: true, ...fields },
  });
  const jobs = [
    job("a", { exitCode: 3, outputBytes: 1, title: "x" }),
    job("b", { exited: false, exitCode: 0, endedAtMs: 0, outputBytes: 9, title: "x" }),
    job("c", { exitCode: 1, outputBytes: 5, title: "b", startedAtMs: 8 }),
  ] as unknown as PlacedJob[];
  const order = (key: SortKey) => sortJobs(jobs, key, 100).map(({ job }) => job.jobID).join("");
  assert.deepEqual(
    (["exit", "output", "name", "started", "ended", "took"] as const).map(order),
    ["cab", "acb", "cab", "abc", "acb", "cab"],
  );
  assert.equal(jobs[0]?.job.jobID, "a", "the caller's list stays as it is");
});

const JOB = {
  jobID: "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219",
  title: "nightly",
  name: "make",
  args: ["test"],
  owner: "alice",
  user: "root",
  state: "JOB_STATE_EXITED",
  exited: true,
  exitCode: 3,
  startedAtMs: 1000,
  endedAtMs: 61_000,
} as unknown as QueryResponse__Output;

/** The table of jobs that differ from a failed one, at a time a day later. */
function tableOf(
  jobs: readonly Partial<QueryResponse__Output>[],
  surface: Partial<Parameters<typeof formatTable>[1]["surface"]>,
): Promise<string> {
  return formatTable(jobs.map((job) => ({ context: undefined, job: { ...JOB, ...job } })), {
    surface: { columns: undefined, isUnicode: true, ...surface },
    nowMs: 86_400_000,
    withContext: false,
  });
}

Deno.test("formatTable: at 60 columns the exit code stays, and what no job has goes first", async () => {
  const failed = await tableOf([{}], { columns: 60 });
  assert.equal(
    failed.split("\n")[0],
    "ID        NAME     STATE   EXIT  STARTED  TOOK  COMMAND",
  );
  const args = ["x".repeat(50)];
  const running = { state: "JOB_STATE_RUNNING" as const, exited: false, args };
  const [head, row] = (await tableOf([running], { columns: 60 })).split("\n");
  assert.equal(head, "ID        NAME     STATE    STARTED  TOOK  COMMAND");
  assert.equal(row?.length, 60);
  const narrow = await tableOf([{ args }], { columns: 50 });
  assert.equal(narrow.split("\n")[0], "ID        NAME     STATE   EXIT  COMMAND");
});

Deno.test("formatTable: a long name gives way to the state, and the id stays whole", async () => {
  const [head, row] = (await tableOf([{ title: "n".repeat(60) }], { columns: 60 })).split("\n");
  assert.match(head ?? "", /^ID {8}NAME +STATE {3}COMMAND$/);
  assert.match(row ?? "", /^a3c1e8b4 {2}n+… {2}exited {2}make test$/);
  const whole = await tableOf([{ title: "n".repeat(60) }], {});
  assert.match(whole, /n{60} {2}exited/);
});

Deno.test("formatTable: failures are red where there are colours, and only there", async () => {
  const jobs = [{}, { exitCode: 0 }, { title: "日本", stoppedBy: "bob" }];
  for (const columns of [undefined, 60]) {
    const plain = await tableOf(jobs, { columns });
    const colours = await tableOf(jobs, { columns, hasColours: true });
    const painted = ["exited", "stopped"].reduce(
      (text, state) => text.replace(state, paint(state, "red")),
      plain,
    );
    assert.equal(colours, painted);
  }
});
