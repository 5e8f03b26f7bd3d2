/** Why jobs have ended, in words for people and for programs, and how jobs are found by these. */
import { strict as assert } from "node:assert";
import { describeEnding, type Ending, endingOf, hasFailed } from "../../client/jobs/ending.ts";
import { listJobs } from "../../client/jobs/list.ts";
import { FAILED, selectionOf, STATE_WORDS, type StateWord } from "../../client/jobs/selection.ts";
import { toListRequest } from "../../client/jobs/state.ts";
import { shortState } from "../../client/screen/format.ts";
import type { Session } from "../../client/connection/session.ts";
import type { QueryResponse__Output } from "../../proto/contract.ts";

function job(fields: Partial<QueryResponse__Output>): QueryResponse__Output {
  return {
    exited: true,
    state: "JOB_STATE_EXITED",
    exitCode: 0,
    signal: 0,
    oomKilled: false,
    timedOut: false,
    stoppedBy: "",
    limits: null,
    timeoutMs: 0,
    ...fields,
  } as QueryResponse__Output;
}

const MIB = 1024 ** 2;
const limits = { memoryBytes: 256 * MIB } as QueryResponse__Output["limits"];
const KILLED = { exitCode: 137, signal: 9 };
const TERMINATED = { exitCode: 143, signal: 15 };

/** How a job ended, what is said of it, and what a table prints. */
const CASES: readonly (readonly [
  fields: Partial<QueryResponse__Output>,
  ending: Ending | undefined,
  text: string | undefined,
  word: StateWord,
])[] = [
  [{ exitCode: 3 }, "exit", undefined, "exited"],
  [{ exitCode: 143 }, "exit", undefined, "exited"],
  [TERMINATED, "signal", "ended by signal 15 (SIGTERM)", "signal"],
  [{ exitCode: 139, signal: 11 }, "signal", "ended by signal 11", "signal"],
  [
    { ...KILLED, oomKilled: true, limits },
    "oom",
    "killed: out of memory (limit 256M)",
    "oom",
  ],
  [{ ...KILLED, oomKilled: true }, "oom", "killed: out of memory", "oom"],
  [
    { oomKilled: true, limits: { memoryBytes: 1.5 * MIB } as QueryResponse__Output["limits"] },
    "oom",
    "a process of it was killed: out of memory (limit 1536K)",
    "oom",
  ],
  [
    { ...TERMINATED, timedOut: true, timeoutMs: 7_200_000 },
    "timeout",
    "stopped: timeout of 2h",
    "timeout",
  ],
  [{ timedOut: true, timeoutMs: 90_000 }, "timeout", "stopped: timeout of 90s", "timeout"],
  [{ timedOut: true, timeoutMs: 1_500 }, "timeout", "stopped: timeout of 1500ms", "timeout"],
  [{ ...TERMINATED, stoppedBy: "bob" }, "stopped", "stopped by bob", "stopped"],
  // A stop that came while memory ran out: what killed it goes first.
  [{ ...KILLED, stoppedBy: "bob", oomKilled: true }, "oom", "killed: out of memory", "oom"],
  [{ state: "JOB_STATE_LOST", exitCode: -1, stoppedBy: "bob" }, "lost", undefined, "lost"],
  [{ state: "JOB_STATE_NEVER_RAN", exitCode: -1 }, "never-ran", undefined, "never-ran"],
  [{ state: "JOB_STATE_PENDING", exited: false }, undefined, undefined, "pending"],
  [
    { state: "JOB_STATE_STOPPING", exited: false, timedOut: true },
    undefined,
    undefined,
    "stopping",
  ],
  [{ state: "JOB_STATE_RUNNING", exited: false, oomKilled: true }, undefined, undefined, "running"],
];

Deno.test("endingOf, describeEnding: why a job is over, and nothing of one that has ended by itself", () => {
  for (const [fields, ending, text, word] of CASES) {
    const ended = job(fields);
    assert.deepEqual(
      [endingOf(ended), describeEnding(ended), shortState(ended)],
      [ending, text, word],
    );
  }
});

Deno.test("selectionOf: every word that a table prints finds the jobs that it prints it for", () => {
  for (const [fields, , , word] of CASES) {
    const { states, matches } = selectionOf([word]);
    const printed = job(fields);
    const [state] = toListRequest({ states }).states ?? [];
    assert.equal(state, printed.state, word);
    for (const other of STATE_WORDS) {
      const isState = `JOB_STATE_${other.toUpperCase().replace("-", "_")}` === printed.state;
      assert.equal(selectionOf([other]).matches(printed), other === word || isState, other);
    }
    assert(matches(printed));
  }
  assert.deepEqual(selectionOf(["oom", "exited", "lost"]).states, ["exited", "lost"]);
  assert(selectionOf([]).matches(job({})));
});

Deno.test("FAILED: what has ended otherwise than with 0", () => {
  const failed = CASES.map(([fields]) => fields).filter((fields) => hasFailed(job(fields)));
  assert.equal(failed.length, 11);
  assert(!FAILED.matches(job({})));
  assert(!FAILED.matches(job({ state: "JOB_STATE_RUNNING", exited: false, exitCode: 1 })));
  assert(FAILED.matches(job({ state: "JOB_STATE_LOST", exitCode: 0 })));
});

Deno.test("listJobs: a limit counts what is meant, over as many pages as it takes", async () => {
  const pages = [[0, 1], [0, 0], [2, 0, 3], [4]].map((codes) =>
    codes.map((exitCode) => job({ exitCode }))
  );
  let calls = 0;
  const call = (_method: string, { pageSize }: { pageSize: number }) => {
    assert(pageSize > 3, "a page of what the server finds is no page of what is meant");
    const jobs = pages[calls] ?? [];
    calls += 1;
    return Promise.resolve({ jobs, nextPageToken: calls < pages.length ? "more" : "" });
  };
  const session = { call } as unknown as Session;
  const found: number[] = [];
  for await (const { exitCode } of listJobs(session, {}, { limit: 3, matches: hasFailed })) {
    found.push(exitCode);
  }
  assert.deepEqual([found, calls], [[1, 2, 3], 3]);
});
