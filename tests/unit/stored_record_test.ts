import { strict as assert } from "node:assert";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { toRecord } from "../../lib/store/stored_record.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { exited } from "../support/fake_executor.ts";
import { recordOf } from "../support/job_host.ts";

const RUNNING = { kind: "running", pid: 1, startedAtMs: 1 } as const;

function rowOf(record: unknown): { first_offset: number; record: string } {
  return { first_offset: 4096, record: JSON.stringify(record) };
}

Deno.test("toRecord: a record of each state is read as it was stored, with its column", () => {
  const begun = { pid: 1, startedAtMs: 1 };
  const states = [
    { kind: "starting" },
    RUNNING,
    { ...RUNNING, kind: "stopping", killAtMs: 2 },
    { ...begun, ...exited() },
    { ...begun, kind: "lost", reason: "x", endedAtMs: 2 },
  ] as const;
  for (const state of states) {
    const record = recordOf(state, { timedOut: true, askedLimits: { cpuCores: 1 } });
    assert.deepEqual(toRecord(rowOf(record)), { ...record, firstOffset: 4096 });
  }
});

Deno.test("toRecord: a record of an earlier server, with fewer fields, is whole", () => {
  const { settings: _, ...record } = recordOf(RUNNING);
  assert.deepEqual(toRecord(rowOf(record)), { ...record, firstOffset: 4096 });
});

Deno.test("toRecord: fields of a later server are kept", () => {
  const record = { ...recordOf(RUNNING), queue: "fast" };
  assert.deepEqual(toRecord(rowOf(record)), { ...record, firstOffset: 4096 });
});

Deno.test("toRecord: no row is no record", () => {
  assert.equal(toRecord(undefined), undefined);
});

Deno.test("toRecord: a row of another table is an error, not a damaged record", () => {
  assert.throws(() => toRecord({ id: "x" }));
});

const PLACEMENT = recordOf(RUNNING).placement;

/** Fields as a damaged disk, or an edit by hand, may leave them: missing, or of another type. */
const DAMAGE: readonly Readonly<Record<string, unknown>>[] = [
  { id: 1 },
  { id: undefined },
  { command: undefined },
  { command: { name: "ls" } },
  { command: { name: "ls", args: [1] } },
  { owner: null },
  { idempotencyKey: 1 },
  { createdAtMs: "1" },
  { limits: null },
  { limits: { cpuCores: "1" } },
  { askedLimits: { memoryBytes: null } },
  { placement: undefined },
  { placement: { ...PLACEMENT, groups: "/g" } },
  { placement: { ...PLACEMENT, tracker: 1 } },
  { placement: { ...PLACEMENT, populatedFile: undefined } },
  { placement: { ...PLACEMENT, counters: [{ name: 1, file: "/f" }] } },
  { placement: { ...PLACEMENT, counters: [{ name: "cpu.stat" }] } },
  { state: undefined },
  { state: {} },
  { state: { kind: "asleep" } },
  { state: { kind: "running", pid: "1", startedAtMs: 1 } },
  { state: { kind: "running", pid: 1 } },
  { state: { kind: "stopping", pid: 1, startedAtMs: 1 } },
  { state: { kind: "lost", pid: 1, startedAtMs: 1, endedAtMs: 2 } },
  { state: { ...exited(), pid: 1 } },
  { state: { ...exited(), pid: 1, startedAtMs: 1, exitCode: null } },
  { state: { ...exited(), pid: 1, startedAtMs: 1, usage: { cpuUsec: "1" } } },
  { settings: null },
  { settings: { ...DEFAULT_SETTINGS, user: 0 } },
  { settings: { ...DEFAULT_SETTINGS, stopSignal: "EVIL" } },
  { settings: { ...DEFAULT_SETTINGS, timeoutMs: "1s" } },
  { settings: { ...DEFAULT_SETTINGS, isolation: {} } },
  { settings: { ...DEFAULT_SETTINGS, labels: { a: 1 } } },
  { timedOut: "yes" },
];

Deno.test("toRecord: a damaged record is passed over and logged", () => {
  using log = new CapturedLog();
  const texts = [
    "",
    "{",
    "null",
    "[]",
    "1",
    '"text"',
    "{}",
    ...DAMAGE.map((fields) => JSON.stringify({ ...recordOf(RUNNING), ...fields })),
  ];
  for (const record of texts) {
    log.entries.length = 0;
    assert.equal(toRecord({ first_offset: 0, record }), undefined, record);
    assert.deepEqual(log.messages("error"), ["a job's record is damaged"], record);
    assert(JSON.stringify(log.entries).length < 1000, "the log repeats the record");
  }
});
