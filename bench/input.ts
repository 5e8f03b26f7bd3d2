import { strict as assert } from "node:assert";
import type { Benchmark } from "./benchmark.ts";
import { runChild } from "./child.ts";
import { alternate, elapsedMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const RUNS = 5;
const INPUT_MIB = 256;
const INPUT_BYTES = INPUT_MIB * 1024 ** 2;

/** Feeds a program, whose output is returned. */
const FEED = 'bytes=$1; shift; head -c "$bytes" /dev/zero | "$@"';

/** A job's input, sent while it runs. */
export const input: Benchmark = {
  name: "input",
  measures:
    `${INPUT_MIB} MiB into a job that counts them: \`worker-client run -i wc -c\` against ` +
    "`ssh host wc -c`, whole processes, a new connection each.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server();
    const env = server.cliEnvironment();
    const rates = await alternate(world.runs(RUNS), {
      ours: () => rate(CLIENT, ["run", "-i", "-q", "wc", "-c"], env),
      theirs: () => rate("ssh", ssh.args("wc", "-c")),
    });
    return [{
      what: `${INPUT_MIB} MiB into a job`,
      unit: "MB/s",
      ours: rates.ours,
      alternative: { name: "`ssh host wc -c`", values: rates.theirs },
      target: { text: "100 MB/s", isMet: (mine) => mine >= 100 },
    }];
  },
};

/** Megabytes a second from standard input to the program's end; all must arrive. */
async function rate(
  program: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<number> {
  let counted = "";
  const tookMs = await elapsedMs(async () => {
    const words = ["-c", FEED, "sh", `${INPUT_BYTES}`, program, ...args];
    counted = await runChild("/bin/sh", words, { env });
  });
  assert.equal(Number(counted), INPUT_BYTES);
  return INPUT_BYTES / 1000 / tookMs;
}
