import { CLIENT } from "./world.ts";
import { cpuPercent } from "./process_cpu.ts";
import type { Benchmark } from "./benchmark.ts";

const LINES_PER_SECOND = 100_000;
const OBSERVED_MS = 5000;

/** Every line is a write of its own. */
const WRITER = "$| = 1; for (;;) { my $next = time + 0.01; " +
  "syswrite STDOUT, qq(a line that a job writes\\n) for 1 .. $ARGV[0] / 100; " +
  "my $rest = $next - time; sleep $rest if $rest > 0 }";

/** What a job that talks fast costs the server. */
export const lines: Benchmark = {
  name: "lines",
  measures: `The server's share of a core while a job makes ${
    LINES_PER_SECOND.toLocaleString("en")
  } writes of a line a second and one \`worker-client stream\` follows it.`,

  async run(world) {
    await using server = await world.server();
    const client = server.client();
    const perl = ["-MTime::HiRes=time,sleep", "-e", WRITER, `${LINES_PER_SECOND}`];
    const job = await client.start("perl", ...perl);
    const follower = new Deno.Command(CLIENT, {
      args: ["stream", job],
      env: server.cliEnvironment(),
      stdin: "null",
      stdout: "null",
      stderr: "null",
    }).spawn();
    await client.untilOutput(job, /line/);
    const before = (await client.query(job)).outputBytes;
    const percent = await cpuPercent(server.pid, OBSERVED_MS);
    const written = (await client.query(job)).outputBytes - before;
    await client.stop(job, 0);
    await follower.status;
    const perSecond = written / "a line that a job writes\n".length / OBSERVED_MS * 1000;
    return [
      { what: "lines a second that the job came to", unit: "/s", ours: [perSecond] },
      {
        what: "server's CPU meanwhile, one follower",
        unit: "% of a core",
        ours: [percent],
        target: { text: "bounded: under 50 %", isMet: (mine) => mine < 50 },
      },
    ];
  },
};
