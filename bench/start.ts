import type { Benchmark } from "./benchmark.ts";
import { callRows } from "./call_rows.ts";
import { alternate, processMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const RUNS = 15;

/** A command run on the host, from the shell's prompt and back. */
export const start: Benchmark = {
  name: "start",
  measures: "`worker-client start true` against `ssh host true`: whole processes, a new " +
    "connection each, and a compiled program that does nothing. Ours returns when the job runs.",

  async run(world) {
    const [ssh, floor] = [await world.ssh(), await world.floor()];
    await using server = await world.server();
    const env = server.cliEnvironment();
    const { ours, theirs, empty } = await alternate(RUNS, {
      ours: () => processMs(CLIENT, ["start", "true"], { env }),
      theirs: () => processMs("ssh", ssh.args("true")),
      empty: () => processMs(floor, []),
    });
    return callRows("worker-client start true", { ours, theirs, empty });
  },
};
