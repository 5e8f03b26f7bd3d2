/** What the metrics count of each event, and what the HTTP server answers with it. */
import { strict as assert } from "node:assert";
import type { AccessEvent, CallEnded } from "../../lib/access/events.ts";
import { Metrics } from "../../lib/server/metrics.ts";
import { StreamTotals } from "../../lib/server/stream_totals.ts";
import { ALICE } from "../support/fake_http2.ts";

const CALL: CallEnded = {
  kind: "call-ended",
  path: "/JobService/Query",
  caller: ALICE,
  peer: "",
  job: undefined,
  details: {},
  hasChanged: false,
  code: "OK",
  durationMs: 3,
};

function newMetrics(streams = new StreamTotals()): Metrics {
  return new Metrics({
    version: "1",
    activeStates: () => ["starting", "running", "running", "stopping"] as const,
    endedCount: () => 5,
    connectionCount: () => 2,
    expiries: () => [{ file: "/ca.crt", atMs: 1_700_000_000_000 }],
    streams,
    residentBytes: () => 77,
  });
}

/** The values of a metric after some events, by their labels. */
async function valuesOf(
  name: string,
  events: readonly AccessEvent[],
): Promise<Record<string, number>> {
  using metrics = newMetrics();
  for (const event of events) metrics.count(event);
  return parse(await metrics.text(), name);
}

function parse(text: string, name: string): Record<string, number> {
  const found = text.matchAll(new RegExp(`^${name}(\\{.*\\})? (\\S+)$`, "gm"));
  return Object.fromEntries([...found].map(([, labels = "", value]) => [labels, Number(value)]));
}

Deno.test("Metrics: calls are counted by method and status", async () => {
  const events: CallEnded[] = [
    CALL,
    CALL,
    { ...CALL, code: "NOT_FOUND" },
    { ...CALL, path: "/grpc.health.v1.Health/Check" },
  ];
  assert.deepEqual(await valuesOf("job_worker_calls_total", events), {
    '{method="Query",code="OK"}': 2,
    '{method="Query",code="NOT_FOUND"}': 1,
    '{method="Health/Check",code="OK"}': 1,
  });
});

Deno.test("Metrics: methods that do not exist are one series, whatever their names", async () => {
  const events = ["/x", "/JobService/Fly", "", '/a"} 9'].map((path) => ({
    ...CALL,
    path,
    code: "UNIMPLEMENTED",
  }));
  assert.deepEqual(await valuesOf("job_worker_calls_total", events), {
    '{method="unknown",code="UNIMPLEMENTED"}': 4,
  });
});

Deno.test("Metrics: durations are in seconds, and only of calls that do not wait", async () => {
  const name = "job_worker_call_duration_seconds_(?:sum|count)";
  const waiting = [
    "/JobService/Stream",
    "/JobService/Wait",
    "/grpc.health.v1.Health/Watch",
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  ].map((path) => ({ ...CALL, path }));
  assert.deepEqual(await valuesOf(name, waiting), {});
  const unknown = [{ ...CALL, path: "/JobService/Fly", code: "UNIMPLEMENTED" }];
  assert.deepEqual(await valuesOf(name, unknown), {});
  const sums = await valuesOf("job_worker_call_duration_seconds_sum", [CALL, CALL]);
  assert.deepEqual(sums, { '{method="Query"}': 0.006 });
});

Deno.test("Metrics: refused connections are counted by reason, and changes not", async () => {
  const name = "job_worker_refused_connections_total";
  assert.deepEqual(await valuesOf(name, []), { '{reason="handshake"}': 0, '{reason="storm"}': 0 });
  const refused = { kind: "handshake-refused", peer: "", reason: "" } as const;
  const events: AccessEvent[] = [
    refused,
    refused,
    { kind: "reset-storm", peer: "", holder: ALICE },
    { ...CALL, kind: "change-begun", job: "" },
  ];
  assert.deepEqual(await valuesOf(name, events), {
    '{reason="handshake"}': 2,
    '{reason="storm"}': 1,
  });
});

Deno.test("Metrics: what is read anew has its value at that time, in the units of the names", async () => {
  const streams = new StreamTotals();
  using metrics = newMetrics(streams);
  await metrics.text();
  streams.open = 3;
  streams.bytes = 4096;
  const text = await metrics.text();
  assert.deepEqual(parse(text, "job_worker_jobs"), {
    '{state="pending"}': 0,
    '{state="running"}': 2,
    '{state="stopping"}': 1,
    '{state="ended"}': 5,
  });
  assert.deepEqual(parse(text, "job_worker_open_streams"), { "": 3 });
  assert.deepEqual(parse(text, "job_worker_streamed_bytes_total"), { "": 4096 });
  assert.deepEqual(parse(text, "job_worker_connections"), { "": 2 });
  assert.deepEqual(parse(text, "process_resident_memory_bytes"), { "": 77 });
  assert.deepEqual(parse(text, "job_worker_expiry_timestamp_seconds"), {
    '{file="/ca.crt"}': 1_700_000_000,
  });
});
