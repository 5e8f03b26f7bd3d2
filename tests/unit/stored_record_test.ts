import { strict as assert } from "node:assert";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { RecordReader } from "../../lib/store/record_reader.ts";
import { toRecord } from "../../lib/store/stored_record.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { exited } from "../support/fake_executor.ts";
import { recordOf } from "../support/job_host.ts";

const RUNNING = { kind: "running", pid: 1, startedAtMs: 1 } as const;

/** A row as the database gives it, with a column whose integers are bigint. */
function rowOf({ handle: placement, ...record }: { readonly id?: unknown; handle?: unknown }) {
  const text = JSON.stringify({ ...record, placement });
  return { id: String(record.id), first_offset: 4096n, record: text };
}

Deno.test("toRecord: a record of each state is read as it was stored, with its column", () => {
  const begun = { pid: 1, startedAtMs: 1 };
  const states = [
    { kind: "starting" },
    RUNNING,
    { ...RUNNING, kind: "stopping", killAtMs: 2 },
    { ...begun, ...exited() },
    { ...begun, kind: "lost", reason: "x", endedAtMs: 2 },
    { kind: "pending" },
    { ...RUNNING, node: "n1" },
    { kind: "never-ran", reason: "x", endedAtMs: 2 },
  ] as const;
  for (const state of states) {
    const record = recordOf(state, {
      timedOut: true,
      stoppedBy: "bob",
      askedLimits: { cpuCores: 1 },
    });
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

Deno.test("RecordReader: no row is no record", () => {
  assert.equal(new RecordReader().read(undefined), undefined);
});

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
  { handle: undefined },
  { handle: null },
  { handle: "/g" },
  { state: undefined },
  { state: {} },
  { state: { kind: "asleep" } },
  { state: { kind: "running", pid: "1", startedAtMs: 1 } },
  { state: { kind: "running", pid: 1 } },
  { state: { kind: "stopping", pid: 1, startedAtMs: 1 } },
  { state: { kind: "lost", pid: 1, startedAtMs: 1, endedAtMs: 2 } },
  { state: { kind: "never-ran", reason: "x" } },
  { state: { kind: "never-ran", endedAtMs: 2 } },
  { state: { ...RUNNING, node: 1 } },
  { engine: { asOfMs: "now" } },
  { settings: { ...DEFAULT_SETTINGS, queue: { cpus: "2" } } },
  { id: "../../etc" },
  { createdAtMs: 8.64e15 + 1 },
  { createdAtMs: -1 },
  { limits: { memoryBytes: 2 ** 60 } },
  { state: { kind: "running", pid: 1.5, startedAtMs: 1 } },
  { state: { kind: "running", pid: 1, startedAtMs: 2 ** 62 } },
  { state: { kind: "lost", pid: 1, startedAtMs: 1, reason: "", endedAtMs: 8.64e15 + 1 } },
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
  { stoppedBy: 5 },
];

Deno.test("RecordReader: a damaged record is passed over, and told once with its id", () => {
  const id = crypto.randomUUID();
  const whole = rowOf({ ...recordOf(RUNNING), id });
  const texts = ["", "{", "null", "[]", "1", '"text"', "{}", `{"command": {"args": ["s3cret]`];
  const rows: unknown[] = [
    ...texts.map((record) => ({ ...whole, record })),
    ...DAMAGE.map((fields) => ({ ...rowOf({ ...recordOf(RUNNING), id, ...fields }), id })),
    { ...whole, record: whole.record.replace('"startedAtMs":1', '"startedAtMs":1e999') },
    { ...whole, id: crypto.randomUUID() },
    { ...whole, first_offset: -1n },
    { ...whole, first_offset: 2n ** 60n },
    { ...whole, first_offset: null },
    { id },
    {},
  ];
  for (const row of rows) {
    using log = new CapturedLog();
    const reader = new RecordReader();
    for (let look = 0; look < 3; look++) assert.equal(reader.read(row), undefined, show(row));
    assert.deepEqual(log.messages("error"), [
      "a job's record is damaged, and passed over; its folder is kept",
    ]);
    assert(JSON.stringify(log.entries).length < 400, "the log repeats the record");
    assert(!JSON.stringify(log.entries).includes("s3cret"), "the log repeats the record");
  }
  assert.equal(new RecordReader().read(whole)?.id, id);
});

function show(row: unknown): string {
  return JSON.stringify(row, (_, value) => typeof value === "bigint" ? String(value) : value);
}
