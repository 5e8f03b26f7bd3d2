import { quantile } from "simple-statistics";
import { BareStarts } from "./bare_starts.ts";
import type { Benchmark } from "./benchmark.ts";
import { alternate, elapsedMs, inFlight, processMs } from "./measure.ts";

const RUNS = 3;
const AT_ONCE = 32;

/** A second or two of work for each side. */
const STARTS = 400;

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
    const called = new Bursts(STARTS, () => client.start("true"));
    const byHand = new Bursts(STARTS, () => bare.start());
    const { ours, theirs, least } = await alternate(world.runs(RUNS), {
      ours: () => called.rate(),
      theirs: () => rateOf("ssh", ssh.sharedArgs("true")),
      least: () => byHand.rate(),
    });
    const name = "groups and shells by hand";
    return [
      {
        what: `starts a second, ${AT_ONCE} in flight`,
        unit: "/s",
        ours,
        alternative: { name: "`ssh`, multiplexed", values: theirs },
        target: { text: "no fewer", isMet: (mine, other) => mine >= other },
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

/** Runs a program `$1` times, `$2` at once. */
const RUN_MANY = 'count=$1; at_once=$2; shift 2; seq "$count" | xargs -P "$at_once" -I{} "$@"';

/** Runs a program many times, some at once, as a shell does; how many were done a second. */
async function rateOf(program: string, args: readonly string[]): Promise<number> {
  const tookMs = await processMs("/bin/sh", [
    "-c",
    RUN_MANY,
    "sh",
    `${STARTS}`,
    `${AT_ONCE}`,
    program,
    ...args,
  ]);
  return STARTS / tookMs * 1000;
}

/** The same thing done many times, some at once, in turns. */
class Bursts {
  readonly #count: number;
  readonly #action: () => Promise<unknown>;
  readonly #turnsMs: number[][] = [];

  /** @param count How often in each turn. */
  constructor(count: number, action: () => Promise<unknown>) {
    this.#count = count;
    this.#action = action;
  }

  /** Makes one turn; how many were done a second. */
  async rate(): Promise<number> {
    const load = { count: this.#count, atOnce: AT_ONCE };
    const totalMs = await elapsedMs(async () => {
      this.#turnsMs.push(await inFlight(load, () => elapsedMs(this.#action)));
    });
    return this.#count / totalMs * 1000;
  }

  /** A quantile of the time that each took, for each turn but the first, which warms up; in ms. */
  quantiles(share: number): number[] {
    return this.#turnsMs.slice(1).map((latencies) => quantile(latencies, share));
  }
}
