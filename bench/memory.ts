import { MAX_WINDOW_BYTES, RawConnection } from "../tests/support/raw_reader.ts";
import type { TestServer } from "../tests/support/server.ts";
import { BareServer } from "./bare_server_process.ts";
import { residentBytes } from "../tests/support/process_memory.ts";
import { settledBytes } from "./process_memory.ts";
import { inFlight } from "./measure.ts";
import type { Benchmark, Row } from "./benchmark.ts";
import type { World } from "./world.ts";

const JOBS = 1000;
const SHORT_JOBS = 1000;
const SLOW_READERS = 50;

/** After those, code has been compiled and buffers have been made. */
const WARM_UP_JOBS = 50;

/** Starts under way at once. */
const AT_ONCE = 16;
const LOGS_MIB = [16, 1024];

/** Readers that stop are looked at until the server has sent all that it will. */
const OBSERVED_MS = 4000;

/** What the server takes for jobs, and for readers that are slow. */
export const memory: Benchmark = {
  name: "memory",
  measures:
    `The server's resident memory (VmRSS) when it is idle after one job, beside a gRPC server on this ` +
    `runtime that does nothing, after one call; after ${SHORT_JOBS} short jobs, ${AT_ONCE} at once, ` +
    `beside itself after ${WARM_UP_JOBS}, each time when it does not change any more; with ` +
    `${JOBS} running jobs, and its highest with ${SLOW_READERS} readers, each on a connection of its own, that stop reading logs ` +
    `of ${LOGS_MIB.join(" and ")} MiB.`,

  async run(world) {
    return [
      ...await idle(world),
      ...await shortJobs(world),
      ...await runningJobs(world),
      ...await slowReaders(world),
    ];
  },
};

async function idle(world: World): Promise<Row[]> {
  await using server = await world.server();
  const client = server.client();
  await client.wait(await client.start("true"));
  await using bare = await BareServer.start(await world.bareServer());
  await bare.call();
  const [ours, least] = [await settledBytes(server.pid), await settledBytes(bare.pid)];
  return [{
    what: "server's memory, idle",
    unit: "MB",
    ours: [ours / 1e6],
    alternative: { name: "a gRPC server that does nothing", values: [least / 1e6] },
    target: { text: "at most 1.2 of it", isMet: (mine, other) => mine <= 1.2 * other },
  }];
}

async function shortJobs(world: World): Promise<Row[]> {
  await using server = await world.server();
  const client = server.client();
  const runOne = async () => await client.wait(await client.start("true"));
  await inFlight({ count: WARM_UP_JOBS, atOnce: AT_ONCE }, runOne);
  const before = await settledBytes(server.pid);
  await inFlight({ count: SHORT_JOBS, atOnce: AT_ONCE }, runOne);
  const after = await settledBytes(server.pid);
  return [{
    what: `server's memory, after ${SHORT_JOBS} short jobs`,
    unit: "MB",
    ours: [after / 1e6],
    alternative: { name: `itself, after ${WARM_UP_JOBS}`, values: [before / 1e6] },
    target: { text: "at most 1.2 of it", isMet: (mine, other) => mine <= 1.2 * other },
  }];
}

async function runningJobs(world: World): Promise<Row[]> {
  await using server = await world.server();
  const client = server.client();
  await client.wait(await client.start("true"));
  const before = await residentBytes(server.pid);
  const start = () => client.start("sleep", "1000");
  await inFlight({ count: JOBS, atOnce: AT_ONCE }, start);
  const after = await residentBytes(server.pid);
  return [
    { what: `server's memory, ${JOBS} running jobs`, unit: "MB", ours: [after / 1e6] },
    { what: "memory of each job", unit: "KB", ours: [(after - before) / 1e3 / JOBS] },
  ];
}

async function slowReaders(world: World): Promise<Row[]> {
  const peaks: number[] = [];
  for (const mebibytes of LOGS_MIB) {
    await using server = await world.server({ flags: ["--max-output", "max"] });
    const client = server.client();
    const job = await client.start("head", "-c", `${mebibytes * 1024 ** 2}`, "/dev/zero");
    await client.wait(job);
    await using readers = new AsyncDisposableStack();
    for (let index = 0; index < SLOW_READERS; index++) {
      const reader = readers.use(await RawConnection.open(server, MAX_WINDOW_BYTES));
      await reader.stream({ jobID: job });
    }
    peaks.push(await peakBytes(server));
  }
  const [small = 0, large = 0] = peaks;
  const [smallMiB, largeMiB] = LOGS_MIB;
  return [{
    what: `server's memory, ${SLOW_READERS} stopped readers of ${largeMiB} MiB`,
    unit: "MB",
    ours: [large / 1e6],
    alternative: { name: `of ${smallMiB} MiB`, values: [small / 1e6] },
    target: { text: "level in the size", isMet: (mine, other) => mine <= 1.1 * other },
  }];
}

async function peakBytes(server: TestServer): Promise<number> {
  const endMs = performance.now() + OBSERVED_MS;
  let peak = 0;
  while (performance.now() < endMs) {
    peak = Math.max(peak, await residentBytes(server.pid));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return peak;
}
