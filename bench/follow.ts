import { quantile } from "simple-statistics";
import { join } from "node:path";
import type { TestServer } from "../tests/support/server.ts";
import type { Benchmark } from "./benchmark.ts";
import type { SshHost } from "./ssh_host.ts";
import { CLIENT } from "./world.ts";
import { wallClockMs } from "./measure.ts";

const RUNS = 3;

/** How fast a job writes lines. */
export interface Pace {
  readonly perSecond: number;
  /** All lines; a fifth of them, the first, find both sides still connecting, and do not count. */
  readonly lines: number;
}

/** Lines of a job that reports what it does. */
export const BRISK: Pace = { perSecond: 100, lines: 500 };

/** Lines of a job that a person reads along. */
const SLOW: Pace = { perSecond: 10, lines: 100 };

const IGNORED_SHARE = 0.2;

/** So many lines a second, each the time at which it was written. */
const CLOCK = "$| = 1; for (1 .. $ARGV[0]) { printf qq(%.3f\\n), time * 1000; sleep 1 / $ARGV[1] }";

/** How long after the job has written a line it is there. */
export const follow: Benchmark = {
  name: "follow",
  measures:
    `A job that writes a line with the time ${BRISK.perSecond} times a second, and one that does ${SLOW.perSecond} ` +
    "times: from its write to the line's arrival from `worker-client stream`, against `ssh host tail -f` of the same file.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server();
    const inTurns = async (pace: Pace) => {
      const [ours, theirs]: [number[][], number[][]] = [[], []];
      // The first turn of each warms up.
      for (let turn = 0; turn <= world.runs(RUNS); turn++) {
        ours.push(await followed(server, (job) => [CLIENT, ["stream", job]], pace));
        theirs.push(await followed(server, (job) => overSsh(ssh, server, job), pace));
      }
      return { ours, theirs };
    };
    const at = (share: number, runs: number[][]) =>
      runs.slice(1).map((latencies) => quantile(latencies, share));
    const name = "`ssh host tail -f`";
    const { ours, theirs } = await inTurns(BRISK);
    const slow = await inTurns(SLOW);
    return [
      {
        what: "from a job's write to the client's output, p50",
        unit: "ms",
        ours: at(0.5, ours),
        alternative: { name, values: at(0.5, theirs) },
        target: { text: "under 5 ms", isMet: (mine) => mine < 5 },
      },
      {
        what: "the same, p99",
        unit: "ms",
        ours: at(0.99, ours),
        alternative: { name, values: at(0.99, theirs) },
        target: { text: "under 25 ms", isMet: (mine) => mine < 25 },
      },
      {
        what: `the same at ${SLOW.perSecond} lines a second, p50`,
        unit: "ms",
        ours: at(0.5, slow.ours),
        alternative: { name, values: at(0.5, slow.theirs) },
      },
      {
        what: "the same, p99",
        unit: "ms",
        ours: at(0.99, slow.ours),
        alternative: { name, values: at(0.99, slow.theirs) },
      },
    ];
  },
};

function overSsh(ssh: SshHost, server: TestServer, job: string): [string, string[]] {
  return ["ssh", ssh.args("tail", "-n", "+1", "-f", join(server.logDir, "jobs", job, "output"))];
}

/** Latencies in milliseconds of the lines that a program brings of a new job. */
export async function followed(
  server: TestServer,
  commandOf: (job: string) => [string, string[]],
  { lines, perSecond }: Pace = BRISK,
): Promise<number[]> {
  const job = await server.client().start(
    "perl",
    "-MTime::HiRes=time,sleep",
    "-e",
    CLOCK,
    `${lines}`,
    `${perSecond}`,
  );
  const [program, args] = commandOf(job);
  const child = new Deno.Command(program, {
    args,
    env: server.cliEnvironment(),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const latencies: number[] = [];
  let text = "";
  const decoder = new TextDecoder();
  for await (const bytes of child.stdout) {
    const nowMs = wallClockMs();
    const arrived = (text + decoder.decode(bytes)).split("\n");
    text = arrived.pop() ?? "";
    latencies.push(...arrived.map((line) => nowMs - Number(line)));
    if (latencies.length >= lines) break;
  }
  try {
    child.kill("SIGTERM");
  } catch {
    // It has ended with the job.
  }
  await child.status;
  return latencies.slice(lines * IGNORED_SHARE);
}
