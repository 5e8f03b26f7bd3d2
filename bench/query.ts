import type { Benchmark } from "./benchmark.ts";
import { callAlternatives, callRows } from "./call_rows.ts";
import { alternate, processMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const RUNS = 15;

/** A question to the server, from the shell's prompt and back. */
export const query: Benchmark = {
  name: "query",
  measures:
    "`worker-client query ID` of a finished job against `ssh host true`: whole processes, over a " +
    "new connection, over one that is open already, and without a network; and a compiled program " +
    "that does nothing, and one that makes the same call by hand and does not look at the answer.",

  async run(world) {
    const [ssh, floor, bare] = [await world.ssh(), await world.floor(), await world.bareCall()];
    await using _shared = await ssh.share();
    await using server = await world.server();
    const client = server.client();
    const job = await client.start("true");
    await client.wait(job);
    const env = server.cliEnvironment();
    const bareArgs = [server.address, server.pki.file("alice.pem"), server.pki.file("ca.crt"), job];
    const { call, ...sides } = await alternate(world.runs(RUNS), {
      ours: () => processMs(CLIENT, ["query", job], { env }),
      ...callAlternatives(ssh, floor),
      call: () => processMs(bare, bareArgs),
    });
    return [
      ...callRows("worker-client query", sides),
      {
        what: "the same beside the least that such a call takes",
        unit: "ms",
        ours: sides.ours,
        alternative: { name: "a handshake and a request by hand", values: call },
      },
      {
        what: "of which the handshake and the request",
        unit: "ms",
        ours: call,
        alternative: { name: "an empty program", values: sides.empty },
      },
    ];
  },
};
