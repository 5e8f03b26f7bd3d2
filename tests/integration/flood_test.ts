/**
 * Floods of calls whose work depends on what the server stores: others are answered meanwhile, few
 * processes run, and no work is left when the callers have gone.
 */
// Attacks: the calls of others, by floods of costly calls and half-sent requests.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { JobStore } from "../../lib/store.ts";
import { LOG_DIR } from "../support/binaries.ts";
import type { TestClient } from "../support/client.ts";
import {
  assertAnswered,
  Flood,
  latenciesMs,
  median,
  peakChildren,
  processorMs,
} from "../support/flood.ts";
import type { FloodCall } from "../support/flood_worker.ts";
import { recordOf } from "../support/job_host.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** What an honest caller may wait beside any flood. */
const MAX_MEDIAN_MS = 500;

/** Shells of the server beside each other: some for scripts, one for each running job. */
const MAX_CHILDREN = 24;

/** The server's memory at any time: half of what it restarts at. */
const MAX_RESIDENT_BYTES = 512 * 1024 ** 2;

/** When callers have gone, the server comes to rest in this time, measured by one like it. */
const REST_MS = 1000;

/** What a server that rests may use in {@linkcode REST_MS}: its regular checks. */
const MAX_RESTING_PROCESSOR_MS = 150;

/** Records that the server has: as many as it keeps by default. */
const RECORDS = 100_000;

/** Below what is kept by default, so that nothing of it is rotated away. */
const LOG_BYTES = 200_000_000;

/** How long the honest caller is watched where the flood goes on. */
const OBSERVATION_MS = 2500;

/** Makes a log directory with many finished jobs on record, none with output. */
async function fillRecords(logDir: string): Promise<void> {
  await Deno.mkdir(logDir, { recursive: true, mode: 0o700 });
  const nowMs = Date.now();
  const store = new JobStore(logDir);
  const state = {
    kind: "lost",
    pid: 1,
    startedAtMs: nowMs,
    reason: "test",
    endedAtMs: nowMs,
  } as const;
  store.insert(recordOf(state, { createdAtMs: nowMs }));
  store.close();
  using database = new DatabaseSync(join(logDir, "jobs.db"));
  database.exec(`
    WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number LIMIT ${RECORDS})
    INSERT INTO jobs (id, owner, active, ended_at_ms, output_bytes, first_offset, record, created_at_ms,
      state, labels)
    SELECT printf('%08x-0000-4000-8000-000000000000', n), owner, 0, ended_at_ms, 0, 0,
      json_set(record, '$.id', printf('%08x-0000-4000-8000-000000000000', n)), created_at_ms - n,
      state, '{"team":"somebody"}'
    FROM number, jobs`);
}

/** A running job to ask for, and one with a log without any newline. */
interface Host {
  readonly server: TestServer;
  readonly honest: TestClient;
  readonly running: string;
  readonly large: string;
}

async function withHost(body: (host: Host) => Promise<void>): Promise<void> {
  const logDir = join(LOG_DIR, `flood-${crypto.randomUUID()}`);
  try {
    await fillRecords(logDir);
    await using server = await TestServer.start({ logDir, flags: ["--retain-count", "1000000"] });
    await server.pki.issue("eve", "writer");
    const honest = server.client("alice");
    const large = await honest.shell(`head -c ${LOG_BYTES} /dev/zero | tr '\\0' x`);
    assert.equal((await honest.wait(large)).exitCode, 0);
    await body({ server, honest, large, running: await honest.start("sleep", "1000") });
  } finally {
    await Deno.remove(logDir, { recursive: true });
  }
}

/** Waits until the server uses almost no processor time, for not longer than it may take. */
async function assertRests(server: TestServer): Promise<void> {
  const beganMs = performance.now();
  let usedMs = Infinity;
  await until("the server to rest", async () => {
    const before = await processorMs(server.pid);
    await new Promise((resolve) => setTimeout(resolve, REST_MS));
    usedMs = await processorMs(server.pid) - before;
    return usedMs <= MAX_RESTING_PROCESSOR_MS || performance.now() - beganMs > 2 * REST_MS;
  });
  assert(
    usedMs <= MAX_RESTING_PROCESSOR_MS,
    `${usedMs} ms of processor time for callers that went`,
  );
}

/** Runs one flood beside the honest caller; the callers go away where it has not ended by then. */
async function beside(
  { server, honest, running }: Host,
  flooding: { call: FloodCall; count: number; mustEnd?: boolean; refused?: number },
): Promise<void> {
  const { call, count, mustEnd = false, refused = 0 } = flooding;
  using flood = await Flood.begin(server, { who: "eve", call, count });
  const observed = new AbortController();
  const children = peakChildren(server.pid, observed.signal);
  const beganMs = performance.now();
  const latencies = await latenciesMs(
    honest,
    running,
    () =>
      flood.isOver ||
      !mustEnd && flood.refusedCount >= refused && performance.now() - beganMs > OBSERVATION_MS,
  );
  const { residentBytes } = await server.resources();
  const result = await (mustEnd ? flood.ended() : flood.giveUp());
  observed.abort();
  const peak = await children;
  console.log(
    `${count} x ${call.method}: an honest Query takes ${
      median(latencies).toFixed(1)
    } ms (median of ` +
      `${latencies.length}, the slowest ${latencies.at(-1)?.toFixed(0)} ms), ${peak} processes, ` +
      `${(residentBytes / 1024 ** 2).toFixed(0)} MiB, ${result.answered} answered in ${
        (performance.now() - beganMs).toFixed(0)
      } ms`,
  );
  if (mustEnd) assertAnswered(result, count);
  assert(median(latencies) < MAX_MEDIAN_MS, `${median(latencies)} ms`);
  assert(peak <= MAX_CHILDREN, `${peak} processes`);
  assert(residentBytes < MAX_RESIDENT_BYTES, `${residentBytes} bytes of memory`);
  await assertRests(server);
}

Deno.test("flood", async (t) => {
  await withHost(async (host) => {
    const { running, large } = host;
    await t.step("2,000 Query calls of a running job take few processes", async () => {
      await beside(host, {
        call: { method: "Query", jobID: running },
        count: 2000,
        mustEnd: true,
      });
    });
    await t.step("1,000 Signal calls take few processes", async () => {
      await beside(host, {
        call: { method: "Signal", jobID: running, signal: "SIGCONT" },
        count: 1000,
        mustEnd: true,
      });
    });
    await t.step("300 searches for the last lines of a log without newlines", async () => {
      await beside(host, {
        call: { method: "Stream", request: { jobID: large, tailLines: 4_000_000_000 } },
        count: 300,
      });
    });
    const halfSent = (path: string, bytes: number, pieceBytes = 16_384) =>
      ({ method: "half-sent", path, bytes, pieceBytes }) as const;
    const largest = 4 * 1024 ** 2;
    await t.step("330 half-sent requests of 4 MiB to Query are refused", async () => {
      const call = halfSent("/JobService/Query", largest);
      await beside(host, { call, count: 330, refused: 330 });
    });
    await t.step("330 half-sent starts of 4 MiB hold no more than one user may", async () => {
      const call = halfSent("/JobService/Start", largest);
      await beside(host, { call, count: 330, refused: 1 });
    });
    await t.step("half-sent starts in pieces of one byte hold no more either", async () => {
      await beside(host, { call: halfSent("/JobService/Start", largest, 1), count: 60 });
    });
    await t.step("requests for a method that is not there hold nothing", async () => {
      await beside(host, { call: halfSent("/JobService/Fly", largest), count: 330 });
    });
    await t.step("30 searches for a label that no job has", async () => {
      await beside(host, {
        call: { method: "List", request: { labels: { team: "nobody" } } },
        count: 30,
      });
    });
  });
});
