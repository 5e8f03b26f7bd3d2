import { until } from "../tests/integration/harness.ts";
import type { Benchmark } from "./benchmark.ts";

const FOLLOWERS = 1000;
const OBSERVED_MS = 5000;

/** Clock ticks a second in /proc/PID/stat: the kernel's constant for programs (USER_HZ). */
const TICKS_PER_SECOND = 100;

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
      // Cancelling them at the end is no failure.
      stream.on("error", () => {});
      return stream;
    });
    await until("all to follow", () => following === FOLLOWERS);
    const after = (await server.resources()).residentBytes;
    const share = await cpuShare(server.pid);
    for (const stream of streams) stream.cancel();
    return [
      { what: "server's memory, one silent job", unit: "MB", ours: [before / 1e6] },
      { what: `the same, ${FOLLOWERS} idle followers`, unit: "MB", ours: [after / 1e6] },
      { what: "memory of each", unit: "KB", ours: [(after - before) / 1e3 / FOLLOWERS] },
      {
        what: `server's CPU with ${FOLLOWERS} idle followers`,
        unit: "% of a core",
        ours: [share * 100],
        target: { text: "idle is idle: under 1 %", isMet: (percent) => percent < 1 },
      },
    ];
  },
};

/** The part of a core that a process uses while it is observed. */
async function cpuShare(pid: number): Promise<number> {
  const before = await cpuTicks(pid);
  const begin = performance.now();
  await new Promise((resolve) => setTimeout(resolve, OBSERVED_MS));
  const seconds = (performance.now() - begin) / 1000;
  return (await cpuTicks(pid) - before) / TICKS_PER_SECOND / seconds;
}

/** User and system time: fields 14 and 15 of proc(5), counted behind the name in brackets. */
async function cpuTicks(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return Number(fields[11]) + Number(fields[12]);
}
