import { until } from "../tests/support/wait.ts";
import type { Benchmark } from "./benchmark.ts";
import { cpuPercent } from "./process_cpu.ts";

const FOLLOWERS = 1000;
const OBSERVED_MS = 5000;

/** What readers cost that wait for a job that says nothing. */
export const followers: Benchmark = {
  name: "followers",
  measures:
    `The server's resident memory without and with ${FOLLOWERS} followers of a silent job, ` +
    `all over one connection, and its share of a core in ${OBSERVED_MS / 1000} seconds of silence.`,

  async run(world) {
    await using server = await world.server();
    const client = server.client();
    const job = await client.shell("echo ready; exec sleep 1000");
    await client.untilOutput(job, /ready/);
    const before = (await server.resources()).residentBytes;
    let following = 0;
    const streams = Array.from({ length: FOLLOWERS }, () => {
      const stream = client.raw.Stream({ jobID: job });
      stream.once("data", () => following++);
      // Cancelling them at the end is not a failure.
      stream.on("error", () => {});
      return stream;
    });
    await until("all to follow", () => following === FOLLOWERS);
    const after = (await server.resources()).residentBytes;
    const percent = await cpuPercent(server.pid, OBSERVED_MS);
    for (const stream of streams) stream.cancel();
    return [
      { what: "server's memory, one silent job", unit: "MB", ours: [before / 1e6] },
      { what: `the same, ${FOLLOWERS} idle followers`, unit: "MB", ours: [after / 1e6] },
      { what: "memory of each", unit: "KB", ours: [(after - before) / 1e3 / FOLLOWERS] },
      {
        what: `server's CPU with ${FOLLOWERS} idle followers`,
        unit: "% of a core",
        ours: [percent],
        target: { text: "idle is idle: under 1 %", isMet: (mine) => mine < 1 },
      },
    ];
  },
};
