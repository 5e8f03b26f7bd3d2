import type { Benchmark } from "./benchmark.ts";
import { callAlternatives, callRows } from "./call_rows.ts";
import { alternate, processMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const RUNS = 15;

/** A command run on the host, from the shell's prompt and back. */
export const start: Benchmark = {
  name: "start",
  measures:
    "`worker-client start true` against `ssh host true`: whole processes, over a new connection, " +
    "over one that is open already, and without a network; and a compiled program that does " +
    "nothing. Ours returns when the job runs, ssh when the command has ended.",

  async run(world) {
    const [ssh, floor] = [await world.ssh(), await world.floor()];
    await using _shared = await ssh.share();
    await using server = await world.server();
    const env = server.cliEnvironment();
    const sides = await alternate(world.runs(RUNS), {
      ours: () => processMs(CLIENT, ["start", "true"], { env }),
      ...callAlternatives(ssh, floor),
    });
    return callRows("worker-client start true", sides);
  },
};
