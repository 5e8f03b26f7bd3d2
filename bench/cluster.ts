import { quantile } from "simple-statistics";
import { join } from "node:path";
import { LOG_DIR } from "../tests/support/binaries.ts";
import { Cluster } from "../tests/support/cluster/cluster.ts";
import { whyNoOwnCluster } from "../tests/support/cluster/possible.ts";
import type { TestServer } from "../tests/support/server.ts";
import { until } from "../tests/support/wait.ts";
import type { Benchmark, Row } from "./benchmark.ts";
import { runChild } from "./child.ts";
import { followed } from "./follow.ts";
import { alternate, elapsedMs, inFlight, processMs, wallClockMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const SINGLE_RUNS = 9;
const BURST_RUNS = 3;
const FOLLOW_RUNS = 3;

/** A few seconds of work for each side. */
const BURST = 50;
const AT_ONCE = 8;

/** Processors that each of the two nodes pretends to have, so that nothing waits for a place. */
const NODE_CPUS = "64";

/** Writes down when it runs: milliseconds since 1970-01-01 UTC. */
const WITNESS = "date +%s%3N >>";

/** Jobs on a Slurm cluster, beside Slurm's own commands. */
export const cluster: Benchmark = {
  name: "cluster",
  measures:
    "A server over a Slurm cluster of two nodes on this host, whose scheduler waits for no further " +
    "jobs, beside plain `sbatch`, `squeue` and `tail -f` on the same cluster: whole processes, and " +
    `${BURST} jobs, ${AT_ONCE} submissions at once, over one connection and by \`sbatch\`. That a ` +
    "command runs is taken from what it writes itself.",

  async run(world) {
    const reason = await whyNoOwnCluster();
    if (reason !== undefined) {
      world.report(`cluster: left out: ${reason}`);
      return [];
    }
    await Deno.mkdir(LOG_DIR, { recursive: true, mode: 0o700 });
    const sharedFolder = await Deno.makeTempDir({ dir: LOG_DIR, prefix: "cluster-" });
    try {
      await using slurm = await Cluster.start({ parameters: { NodeCPUs: NODE_CPUS } });
      const flags = ["--engine", "slurm", "--shared-dir", sharedFolder];
      await using server = await world.server({
        flags: [...flags, "--slurm-conf", slurm.confFile],
      });
      const bench = new ClusterBench(server, { slurm, sharedFolder, folder: world.folder });
      return [...await bench.calls(), ...await bench.bursts(), ...await bench.follow()];
    } finally {
      await Deno.remove(sharedFolder, { recursive: true });
    }
  },
};

/** Measures one server over one cluster. */
class ClusterBench {
  readonly #server: TestServer;
  readonly #sharedFolder: string;
  /** For what jobs write down. */
  readonly #folder: string;
  readonly #slurmEnvironment: Record<string, string>;
  #witnesses = 0;

  constructor(
    server: TestServer,
    { slurm, sharedFolder, folder }: {
      readonly slurm: Cluster;
      readonly sharedFolder: string;
      readonly folder: string;
    },
  ) {
    this.#server = server;
    this.#sharedFolder = sharedFolder;
    this.#folder = folder;
    this.#slurmEnvironment = { SLURM_CONF: slurm.confFile };
  }

  /** One call at a time, as a user makes it. */
  async calls(): Promise<Row[]> {
    const env = this.#server.cliEnvironment();
    const submitted: Record<"ours" | "theirs", number[]> = { ours: [], theirs: [] };
    const running = await alternate(SINGLE_RUNS, {
      ours: () =>
        this.#untilRuns(
          submitted.ours,
          (script) => runChild(CLIENT, ["start", "sh", "-c", script], { env }),
        ),
      theirs: () => this.#untilRuns(submitted.theirs, (script) => this.#sbatch(script)),
    });
    const client = this.#server.client();
    const job = await client.start("sleep", "1000");
    const number = await until(
      "Slurm's number of the job",
      async () => (await client.query(job)).engineJob || undefined,
    );
    const told = await alternate(SINGLE_RUNS, {
      ours: () => processMs(CLIENT, ["query", job], { env }),
      theirs: () => processMs("squeue", [`--job=${number}`], { env: this.#slurmEnvironment }),
    });
    await client.stop(job, 0);
    return [
      {
        what: "on a cluster: from the command line to the job's first instruction",
        unit: "ms",
        ours: running.ours,
        alternative: { name: "`sbatch`", values: running.theirs },
      },
      {
        what: "of which until `worker-client start` has ended",
        unit: "ms",
        // The first turn warms up.
        ours: submitted.ours.slice(1),
        alternative: { name: "`sbatch`", values: submitted.theirs.slice(1) },
      },
      {
        what: "`worker-client query` of a job on a cluster, whole process",
        unit: "ms",
        ours: told.ours,
        alternative: { name: "`squeue`", values: told.theirs },
      },
    ];
  }

  /** Many jobs at once. */
  async bursts(): Promise<Row[]> {
    const client = this.#server.client();
    const submitted: Record<"ours" | "theirs", number[]> = { ours: [], theirs: [] };
    const done = await alternate(BURST_RUNS, {
      ours: () => this.#burst(submitted.ours, (script) => client.shell(script)),
      theirs: () => this.#burst(submitted.theirs, (script) => this.#sbatch(script)),
    });
    return [
      {
        what: `starts a second on a cluster, ${AT_ONCE} in flight`,
        unit: "/s",
        ours: submitted.ours.slice(1),
        alternative: { name: "`sbatch`", values: submitted.theirs.slice(1) },
      },
      {
        what: `jobs a second that ran, ${BURST} at once`,
        unit: "/s",
        ours: done.ours,
        alternative: { name: "`sbatch`", values: done.theirs },
      },
    ];
  }

  /** How long after its write a job's line is here. */
  async follow(): Promise<Row[]> {
    const [ours, theirs]: [number[][], number[][]] = [[], []];
    for (let turn = 0; turn <= FOLLOW_RUNS; turn++) {
      ours.push(await followed(this.#server, (job) => [CLIENT, ["stream", job]]));
      theirs.push(await followed(this.#server, (job) => this.#tail(job)));
    }
    const at = (share: number, runs: number[][]) =>
      runs.slice(1).map((latencies) => quantile(latencies, share));
    return ([["p50", 0.5], ["p99", 0.99]] as const).map(([name, share]) => ({
      what: `from a job's write on a node to the client's output, ${name}`,
      unit: "ms",
      ours: at(share, ours),
      alternative: { name: "`tail -f` on the share", values: at(share, theirs) },
    }));
  }

  /**
   * Submits a job, and waits until its command runs.
   *
   * @param submitted Takes how long the submission took, in milliseconds.
   * @returns How long the whole took, in milliseconds.
   */
  async #untilRuns(
    submitted: number[],
    submit: (script: string) => Promise<unknown>,
  ): Promise<number> {
    const file = this.#witness();
    const beganMs = wallClockMs();
    submitted.push(await elapsedMs(() => submit(WITNESS + file)));
    const [ranMs = NaN] = await this.#ranAt(file, 1);
    return ranMs - beganMs;
  }

  /**
   * The same for many jobs.
   *
   * @param submitted Takes how many were submitted a second.
   * @returns How many ran a second, until the last command did.
   */
  async #burst(
    submitted: number[],
    submit: (script: string) => Promise<unknown>,
  ): Promise<number> {
    const file = this.#witness();
    const beganMs = wallClockMs();
    const tookMs = await elapsedMs(() =>
      inFlight({ count: BURST, atOnce: AT_ONCE }, () => submit(WITNESS + file))
    );
    submitted.push(BURST / tookMs * 1000);
    const ranAtMs = await this.#ranAt(file, BURST);
    return BURST / (Math.max(...ranAtMs) - beganMs) * 1000;
  }

  #witness(): string {
    return join(this.#folder, `ran-${++this.#witnesses}`);
  }

  /** When each of so many jobs has run; milliseconds since 1970-01-01 UTC. */
  #ranAt(file: string, count: number): Promise<number[]> {
    return until(`${count} jobs to run`, async () => {
      const text = await Deno.readTextFile(file).catch(() => "");
      const times = text.split("\n").filter(Boolean).map(Number);
      return times.length >= count && times;
    });
  }

  #sbatch(script: string): Promise<string> {
    const args = ["--output=/dev/null", "--chdir=/", `--wrap=${script}`];
    return runChild("sbatch", args, { env: this.#slurmEnvironment });
  }

  #tail(job: string): [string, string[]] {
    return ["tail", ["-n", "+1", "-f", join(this.#sharedFolder, "jobs", job, "output")]];
  }
}
