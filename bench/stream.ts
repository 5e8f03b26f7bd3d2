import { strict as assert } from "node:assert";
import { join } from "node:path";
import { MAX_WINDOW_BYTES, RawConnection } from "../tests/support/raw_reader.ts";
import type { TestServer } from "../tests/support/server.ts";
import type { Benchmark } from "./benchmark.ts";
import { runChild } from "./child.ts";
import { alternate, elapsedMs, processMs } from "./measure.ts";
import { CLIENT } from "./world.ts";

const RUNS = 5;
const LOG_MIB = 256;
const LOG_BYTES = LOG_MIB * 1024 ** 2;

/** Runs a program, and counts the bytes that it writes into a pipe. */
const COUNT = '"$@" | wc -c';

/** A program with its arguments and environment. */
interface Program {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: Record<string, string>;
}

/** A finished job's output, fetched as a whole. */
export const stream: Benchmark = {
  name: "stream",
  measures:
    `The ${LOG_MIB} MiB of text that a finished job has printed, into a pipe and to a file: ` +
    "`worker-client stream ID` against `ssh host cat LOG`, whole processes, a new connection each; and " +
    "what the server feeds a client of which nothing is measured but that it reads.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server();
    const client = server.client();
    const job = await client.shell("yes a line that a job prints | head -c $1", `${LOG_BYTES}`);
    await client.wait(job);
    const log = join(server.logDir, "jobs", job, "output");
    const ours = { program: CLIENT, args: ["stream", job], env: server.cliEnvironment() };
    const theirs = { program: "ssh", args: ssh.args("cat", log) };
    const plain = { program: "ssh", args: ssh.plainArgs("cat", log) };
    const copy = join(world.folder, "copy");
    const rates = await alternate(world.runs(RUNS), {
      oursPiped: () => pipeRate(ours),
      theirsPiped: () => pipeRate(theirs),
      plainPiped: () => pipeRate(plain),
      fed: () => feedRate(server, job),
      oursFiled: () => fileRate(ours, copy),
      theirsFiled: () => fileRate(theirs, copy),
    });
    const name = "`ssh host cat`";
    return [
      {
        what: `stream of a finished ${LOG_MIB} MiB log into a pipe`,
        unit: "MB/s",
        ours: rates.oursPiped,
        alternative: { name, values: rates.theirsPiped },
        target: {
          text: "180 MB/s, then as fast as ssh",
          isMet: (mine, other) => mine >= 180 && mine >= other,
        },
      },
      {
        what: "the same, where ssh chooses its cipher itself",
        unit: "MB/s",
        ours: rates.oursPiped,
        alternative: { name: "`ssh host cat`, as installed", values: rates.plainPiped },
      },
      {
        what: "the same to a client that only reads frames",
        unit: "MB/s",
        ours: rates.fed,
        alternative: { name, values: rates.theirsPiped },
      },
      {
        what: "the same to a file",
        unit: "MB/s",
        ours: rates.oursFiled,
        alternative: { name, values: rates.theirsFiled },
      },
    ];
  },
};

/** Megabytes a second into a pipe, whose reader does nothing but count; all must arrive. */
async function pipeRate({ program, args, env = {} }: Program): Promise<number> {
  let counted = "";
  const tookMs = await elapsedMs(async () => {
    counted = await runChild("/bin/sh", ["-c", COUNT, "sh", program, ...args], { env });
  });
  assert.equal(Number(counted), LOG_BYTES);
  return LOG_BYTES / 1000 / tookMs;
}

/** Megabytes a second that come over a connection whose windows never hold the server back. */
async function feedRate(server: TestServer, job: string): Promise<number> {
  const tookMs = await elapsedMs(async () => {
    using connection = await RawConnection.open(server, MAX_WINDOW_BYTES);
    const stream = await connection.stream({ jobID: job });
    await stream.readAll();
    assert(stream.payloadBytes >= LOG_BYTES, "the log has not come whole");
  });
  return LOG_BYTES / 1000 / tookMs;
}

/** Megabytes a second into a new file, which must be whole. */
async function fileRate({ program, args, env = {} }: Program, file: string): Promise<number> {
  const tookMs = await processMs(program, args, { env, stdout: file });
  assert.equal((await Deno.stat(file)).size, LOG_BYTES);
  await Deno.remove(file);
  return LOG_BYTES / 1000 / tookMs;
}
