import { quantile } from "simple-statistics";
import type { Benchmark } from "./benchmark.ts";
import { alternate, elapsedMs, inFlight } from "./measure.ts";
import { runChild } from "./child.ts";

const RUNS = 3;
const AT_ONCE = 32;

/** A few seconds of work for each side. */
const STARTS = 400;
const SSH_COMMANDS = 40;

/** Many starts at once. */
export const starts: Benchmark = {
  name: "starts",
  measures: `Start of \`true\`, ${AT_ONCE} in flight over one connection, against \`ssh\` over a ` +
    `connection that is open already, ${AT_ONCE} at once. Start answers when the job runs; the ` +
    "program that makes the calls takes its share of the same cores.",

  async run(world) {
    const ssh = await world.ssh();
    await using _shared = await ssh.share();
    await using server = await world.server();
    const client = server.client();
    const latenciesMs: number[][] = [];
    const { ours, theirs } = await alternate(RUNS, {
      ours: async () => {
        const latencies: number[] = [];
        const start = async () => {
          latencies.push(await elapsedMs(() => client.start("true")));
        };
        const totalMs = await elapsedMs(() => inFlight({ count: STARTS, atOnce: AT_ONCE }, start));
        latenciesMs.push(latencies);
        return STARTS / totalMs * 1000;
      },
      theirs: async () => {
        const command = () => runChild("ssh", ssh.sharedArgs("true"));
        const totalMs = await elapsedMs(() =>
          inFlight({ count: SSH_COMMANDS, atOnce: AT_ONCE }, command)
        );
        return SSH_COMMANDS / totalMs * 1000;
      },
    });
    // The first turn warms up.
    const counted = latenciesMs.slice(1);
    return [
      {
        what: `starts a second, ${AT_ONCE} in flight`,
        unit: "/s",
        ours,
        alternative: { name: "`ssh`, multiplexed", values: theirs },
        target: { text: "10 times ssh", isMet: (mine, other) => mine >= 10 * other },
      },
      {
        what: "from call to running, p50",
        unit: "ms",
        ours: counted.map((latencies) => quantile(latencies, 0.5)),
      },
      {
        what: "from call to running, p99",
        unit: "ms",
        ours: counted.map((latencies) => quantile(latencies, 0.99)),
        target: { text: "under 100 ms", isMet: (mine) => mine < 100 },
      },
    ];
  },
};
