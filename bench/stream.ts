import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { Benchmark } from "./benchmark.ts";
import { alternate, processMs } from "./measure.ts";
import { CLIENT, type World } from "./world.ts";

const RUNS = 5;
const LOG_MIB = 256;
const LOG_BYTES = LOG_MIB * 1024 ** 2;

/** A finished job's output, fetched as a whole. */
export const stream: Benchmark = {
  name: "stream",
  measures: `The ${LOG_MIB} MiB of text that a finished job has printed, to a file: ` +
    "`worker-client stream ID >file` against `ssh host cat LOG >file`, whole processes.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server();
    const client = server.client();
    const job = await client.shell("yes a line that a job prints | head -c $1", `${LOG_BYTES}`);
    await client.wait(job);
    const env = server.cliEnvironment();
    const log = join(server.logDir, "jobs", job, "output");
    const { ours, theirs } = await alternate(RUNS, {
      ours: () => rate(world, (stdout) => processMs(CLIENT, ["stream", job], { env, stdout })),
      theirs: () => rate(world, (stdout) => processMs("ssh", ssh.args("cat", log), { stdout })),
    });
    return [{
      what: `stream of a finished ${LOG_MIB} MiB log to a file`,
      unit: "MB/s",
      ours,
      alternative: { name: "`ssh host cat`", values: theirs },
      target: {
        text: "180 MB/s, then more than ssh",
        isMet: (mine, other) => mine >= 180 && mine > other,
      },
    }];
  },
};

/** Megabytes a second of a transfer into a new file, which is checked to be whole. */
async function rate(world: World, transfer: (file: string) => Promise<number>): Promise<number> {
  const file = join(world.folder, "copy");
  const elapsedMs = await transfer(file);
  assert.equal((await Deno.stat(file)).size, LOG_BYTES);
  await Deno.remove(file);
  return LOG_BYTES / 1000 / elapsedMs;
}
