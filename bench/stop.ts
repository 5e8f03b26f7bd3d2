import type { TestClient } from "../tests/support/client.ts";
import type { Benchmark } from "./benchmark.ts";
import { alternate, processMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const RUNS = 7;
const PROCESSES = 100;

/** A shell and its children, all deaf to SIGTERM; it says when they are there. */
const STUBBORN_TREE = 'trap "" TERM; i=1; while [ $i -lt $1 ]; do sleep 1000 & i=$((i+1)); done; ' +
  "echo ready; wait";

/** The kill of a whole job that does not want to end. */
export const stop: Benchmark = {
  name: "stop",
  measures:
    `A job of ${PROCESSES} processes that ignore SIGTERM: \`worker-client stop --grace 0\` ` +
    "against `ssh host` with a kill of such a job's process group and a wait until none of it runs. " +
    "Whole processes, a new connection each.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server();
    const client = server.client();
    const env = server.cliEnvironment();
    const { ours, theirs } = await alternate(world.runs(RUNS), {
      ours: async () => {
        const { job } = await startTree(client);
        return await processMs(CLIENT, ["stop", "--grace", "0", job], { env });
      },
      theirs: async () => {
        const { pid } = await startTree(client);
        // A process that has ended and waits to be reaped (Z) is gone.
        const wait = `while pgrep -g ${pid} -r R,S,D,T >/dev/null; do sleep 0.01; done`;
        return await processMs("ssh", ssh.args(`kill -KILL -${pid}; ${wait}`));
      },
    });
    return [{
      what: `stop of ${PROCESSES} processes that ignore SIGTERM, grace 0`,
      unit: "ms",
      ours,
      alternative: { name: "`ssh host kill`, and waiting", values: theirs },
      target: { text: "no slower", isMet: (mine, other) => mine <= other },
    }];
  },
};

/** A job's main process leads a session of its own, so its id names the group of all. */
async function startTree(client: TestClient): Promise<{ job: string; pid: number }> {
  const job = await client.shell(STUBBORN_TREE, `${PROCESSES}`);
  await client.untilOutput(job, /ready/);
  return { job, pid: (await client.query(job)).pid };
}
