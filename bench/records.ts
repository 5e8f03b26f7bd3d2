import { join } from "node:path";
import type { JobRecord } from "../lib/model/record.ts";
import { JobStore } from "../lib/store.ts";
import { LOG_DIR } from "../tests/support/binaries.ts";
import { elapsedMs } from "./measure.ts";
import type { Benchmark, Row } from "./benchmark.ts";
import type { World } from "./world.ts";

const COUNTS = [10, 1000, 100_000];
const QUERIES = 300;

/** Jobs of which there is output too, not only a folder; those are asked for. */
const WITH_OUTPUT = 10;

/** What finished jobs on record cost. */
export const records: Benchmark = {
  name: "records",
  measures:
    `A server with ${COUNTS.map((count) => count.toLocaleString("en")).join(", ")} finished jobs ` +
    "on record, each with its folder: from its start to `ready`, its memory then, and a query over an open connection.",

  async run(world) {
    const rows: Row[] = [];
    for (const count of COUNTS) rows.push(...await withRecords(world, count));
    return rows;
  },
};

async function withRecords(world: World, count: number): Promise<Row[]> {
  const logDir = join(LOG_DIR, `records-${crypto.randomUUID()}`);
  await Deno.mkdir(logDir, { recursive: true, mode: 0o700 });
  try {
    const ids = await fill(logDir, count);
    // Nothing is to be removed while it is measured.
    const flags = ["--retain-count", "1000000"];
    let server: Awaited<ReturnType<World["server"]>> | undefined;
    const readyMs = await elapsedMs(async () => server = await world.server({ logDir, flags }));
    if (server === undefined) throw new Error("there is no server");
    await using running = server;
    const { residentBytes } = await running.resources();
    const client = running.client();
    const queriesMs: number[] = [];
    for (let index = 0; index < QUERIES; index++) {
      const id = ids[index % ids.length] ?? "";
      queriesMs.push(await elapsedMs(() => client.query(id)));
    }
    const what = `${count.toLocaleString("en")} finished jobs`;
    return [
      { what: `server's start to ready, ${what}`, unit: "ms", ours: [readyMs] },
      { what: `server's memory, ${what}`, unit: "MB", ours: [residentBytes / 1e6] },
      { what: `query, ${what}`, unit: "ms", ours: queriesMs.slice(QUERIES / 3) },
    ];
  } finally {
    await Deno.remove(logDir, { recursive: true });
  }
}

/** @returns The ids of some jobs, from the first to the last. */
async function fill(logDir: string, count: number): Promise<string[]> {
  const store = new JobStore(logDir);
  const ids: string[] = [];
  const step = Math.max(1, Math.floor(count / WITH_OUTPUT));
  for (let index = 0; index < count; index++) {
    const record = finishedJob(Date.now() - (count - index) * 1000);
    store.insert(record);
    const folder = join(logDir, "jobs", record.id);
    await Deno.mkdir(folder, { recursive: true });
    if (index % step !== 0) continue;
    ids.push(record.id);
    await Deno.writeTextFile(join(folder, "output"), "done\n");
  }
  store.close();
  return ids;
}

function finishedJob(endedAtMs: number): JobRecord {
  const startedAtMs = endedAtMs - 500;
  return {
    id: crypto.randomUUID(),
    command: {
      name: "/usr/bin/rsync",
      args: ["--archive", "--delete", "/srv/data", "backup:/data"],
    },
    owner: "alice",
    idempotencyKey: crypto.randomUUID(),
    createdAtMs: startedAtMs,
    limits: {},
    handle: { groups: [], tracker: "", populatedFile: "", counters: [] },
    state: {
      kind: "exited",
      pid: 4711,
      startedAtMs,
      endedAtMs,
      exitCode: 0,
      signal: 0,
      oomKilled: false,
      usage: {},
    },
    firstOffset: 0,
  };
}
