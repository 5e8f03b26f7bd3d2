import { join } from "node:path";
import { CLIENT, type World } from "./world.ts";
import { runChild } from "./child.ts";
import type { Benchmark, Row } from "./benchmark.ts";
import type { TestServer } from "../tests/support/server.ts";
import { alternate, elapsedMs } from "./measure.ts";

const RUNS = 3;
const WRITTEN_BYTES = 1024 ** 3;
const READERS = [0, 1, 10];

/** A job's own speed. */
export const writer: Benchmark = {
  name: "writer",
  measures:
    "A job that writes 1 GiB as fast as it can, from its start to its end on record, while " +
    `${
      READERS.join(", ")
    } programs \`worker-client stream ID\` follow it, against the same command ` +
    "with its output in a file. Readers take their share of the same cores.",

  async run(world) {
    await using server = await world.server({ flags: ["--max-output", "max"] });
    const rows: Row[] = [];
    for (const readers of READERS) {
      const { ours, theirs } = await alternate(world.runs(RUNS), {
        ours: () => asJob(server, readers),
        theirs: () => alone(world),
      });
      rows.push({
        what: `a job that writes 1 GiB, ${readers} followers`,
        unit: "ms",
        ours,
        alternative: { name: "the command alone", values: theirs },
        ...(readers === 0 && {
          target: { text: "5 % slower at most", isMet: (mine, other) => mine <= 1.05 * other },
        }),
      });
    }
    return rows;
  },
};

async function asJob(server: TestServer, readers: number): Promise<number> {
  const client = server.client();
  if (readers === 0) {
    const job = await client.start("head", "-c", `${WRITTEN_BYTES}`, "/dev/zero");
    const { startedAtMs, endedAtMs } = await client.wait(job);
    await client.remove(job);
    return endedAtMs - startedAtMs;
  }
  const gate = join(server.folder, "gate");
  await Deno.remove(gate).catch(() => {});
  const job = await client.shell(
    'while [ ! -e "$2" ]; do sleep 0.01; done; exec head -c "$1" /dev/zero',
    `${WRITTEN_BYTES}`,
    gate,
  );
  const env = server.cliEnvironment();
  const reading = Array.from(
    { length: readers },
    () => runChild(CLIENT, ["stream", job], { env, stdout: "/dev/null" }),
  );
  // Time enough for all to be connected.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  const beganMs = Date.now();
  await Deno.writeTextFile(gate, "");
  const { endedAtMs } = await client.wait(job);
  await Promise.all(reading);
  await client.remove(job);
  return endedAtMs - beganMs;
}

async function alone(world: World): Promise<number> {
  const stdout = join(world.folder, "written");
  const ms = await elapsedMs(() =>
    runChild("head", ["-c", `${WRITTEN_BYTES}`, "/dev/zero"], { stdout })
  );
  await Deno.remove(stdout);
  return ms;
}
