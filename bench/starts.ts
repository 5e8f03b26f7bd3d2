import { quantile } from "simple-statistics";
import { BareStarts } from "./bare_starts.ts";
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
    `connection that is open already, ${AT_ONCE} at once; and against control groups and shells by ` +
    "hand, without a server. Start answers when the job runs; the program that makes the calls takes " +
    "its share of the same cores.",

  async run(world) {
    const ssh = await world.ssh();
    await using _shared = await ssh.share();
    await using server = await world.server();
    await using bare = await BareStarts.open();
    const client = server.client();
    const called = new Latencies(() => client.start("true"));
    const byHand = new Latencies(() => bare.start());
    const { ours, theirs, least } = await alternate(RUNS, {
      ours: () => called.rate(),
      theirs: async () => {
        const command = () => runChild("ssh", ssh.sharedArgs("true"));
        const totalMs = await elapsedMs(() =>
          inFlight({ count: SSH_COMMANDS, atOnce: AT_ONCE }, command)
        );
        return SSH_COMMANDS / totalMs * 1000;
      },
      least: () => byHand.rate(),
    });
    const name = "groups and shells by hand";
    return [
      {
        what: `starts a second, ${AT_ONCE} in flight`,
        unit: "/s",
        ours,
        alternative: { name: "`ssh`, multiplexed", values: theirs },
        target: { text: "10 times ssh", isMet: (mine, other) => mine >= 10 * other },
      },
      {
        what: "the same beside the least that starts take",
        unit: "/s",
        ours,
        alternative: { name, values: least },
      },
      {
        what: "from call to running, p50",
        unit: "ms",
        ours: called.quantiles(0.5),
        alternative: { name, values: byHand.quantiles(0.5) },
      },
      {
        what: "from call to running, p99",
        unit: "ms",
        ours: called.quantiles(0.99),
        alternative: { name, values: byHand.quantiles(0.99) },
        target: { text: "under 100 ms", isMet: (mine) => mine < 100 },
      },
    ];
  },
};

/** How long starts take, in turns of many at once. */
class Latencies {
  readonly #start: () => Promise<unknown>;
  readonly #turnsMs: number[][] = [];

  constructor(start: () => Promise<unknown>) {
    this.#start = start;
  }

  /** Makes one turn; how many started a second. */
  async rate(): Promise<number> {
    const latencies: number[] = [];
    this.#turnsMs.push(latencies);
    const start = async () => {
      latencies.push(await elapsedMs(this.#start));
    };
    const totalMs = await elapsedMs(() => inFlight({ count: STARTS, atOnce: AT_ONCE }, start));
    return STARTS / totalMs * 1000;
  }

  /** A quantile for each turn but the first, which warms up; in milliseconds. */
  quantiles(share: number): number[] {
    return this.#turnsMs.slice(1).map((latencies) => quantile(latencies, share));
  }
}
