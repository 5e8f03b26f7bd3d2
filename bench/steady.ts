import { join } from "node:path";
import type { TestServer } from "../tests/support/server.ts";
import type { Benchmark } from "./benchmark.ts";
import { alternate } from "./measure.ts";
import { cpuPercentOfAll, processesBelow } from "./process_cpu.ts";
import { CLIENT } from "./world.ts";

const RUNS = 3;
const BYTES_PER_SECOND = 100_000_000;
const RATE = `${BYTES_PER_SECOND / 1e6} MB/s`;
const OBSERVED_MS = 4000;

/** Both sides have connected, and ours has moved to its second connection. */
const SETTLED_BYTES = 100_000_000;

/** Of this rate a follower must get so much, or he was not followed. */
const LEAST_SHARE = 0.9;

/** Writes a thousandth of the rate a thousand times a second. */
const WRITER = "my $b = 'x' x ($ARGV[0] / 1000); my $t = time; " +
  "for (my $i = 1;; $i++) { syswrite STDOUT, $b; my $rest = $t + $i / 1000 - time; sleep $rest if $rest > 0.002 }";

/** What it costs the host that one client follows a job that writes steadily and much. */
export const steady: Benchmark = {
  name: "steady",
  measures:
    `The host's processes that serve one follower of a job that writes ${
      BYTES_PER_SECOND / 1e6
    } MB a second: ` +
    "the server, against sshd and `tail -f` of the same file, with OpenSSH's own cipher and with the cheapest.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server({ flags: ["--max-output", "512MiB"] });
    const byUs = (job: string) => ({ program: CLIENT, args: ["stream", "--tail", "0", job] });
    const bySsh = (argsOf: (...command: string[]) => string[]) => (job: string) => ({
      program: "ssh",
      args: argsOf("tail", "-c", "0", "-f", join(server.logDir, "jobs", job, "output")),
      servedBy: ssh.pid,
    });
    const { ours, plain, tuned } = await alternate(world.runs(RUNS), {
      ours: () => followed(server, byUs),
      plain: () => followed(server, bySsh((...command) => ssh.plainArgs(...command))),
      tuned: () => followed(server, bySsh((...command) => ssh.args(...command))),
    });
    const what = `CPU of the host for a follower of ${RATE}`;
    return [
      {
        what,
        unit: "% of a core",
        ours,
        alternative: { name: "`ssh host tail -f`, as installed", values: plain },
        target: { text: "no more", isMet: (mine, other) => mine <= other },
      },
      {
        what: "the same, where ssh has its cheapest cipher",
        unit: "% of a core",
        ours,
        alternative: { name: "`ssh host tail -f`", values: tuned },
      },
    ];
  },
};

/** Who follows. */
interface Follower {
  readonly program: string;
  readonly args: readonly string[];
  /** The process whose children serve it; unless given, the server alone does. */
  readonly servedBy?: number;
}

/** The share of a core that is used for a follower of a new job. */
async function followed(
  server: TestServer,
  followerOf: (job: string) => Follower,
): Promise<number> {
  const client = server.client();
  const job = await client.start(
    "perl",
    "-MTime::HiRes=time,sleep",
    "-e",
    WRITER,
    `${BYTES_PER_SECOND}`,
  );
  const { program, args, servedBy } = followerOf(job);
  const child = new Deno.Command(program, {
    args: [...args],
    env: server.cliEnvironment(),
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  let bytes = 0;
  const settled = Promise.withResolvers<void>();
  const reading = (async () => {
    for await (const { length } of child.stdout) {
      bytes += length;
      if (bytes >= SETTLED_BYTES) settled.resolve();
    }
  })();
  await settled.promise;
  const before = bytes;
  const pids = servedBy === undefined ? [server.pid] : await processesBelow(servedBy);
  const percent = await cpuPercentOfAll(pids, OBSERVED_MS);
  const came = (bytes - before) / (BYTES_PER_SECOND * OBSERVED_MS / 1000);
  child.kill("SIGKILL");
  await child.status;
  await reading;
  await client.stop(job, 0);
  if (came < LEAST_SHARE) throw new Error(`the follower got ${(came * 100).toFixed(0)} % only`);
  return percent;
}
