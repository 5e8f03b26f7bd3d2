/** The options of `start` and `run`, as a command line gives them. */
import { strict as assert } from "node:assert";
import { Command } from "commander";
import type { JobSpec } from "../../client/jobs/job_spec.ts";
import {
  defineStartOptions,
  readJobSpec,
  type StartOptions,
} from "../../client/command_line/start_options.ts";
import { FakeTerminal } from "../support/client_terminal.ts";

/** The job that these options describe. */
async function specOf(...args: string[]): Promise<JobSpec> {
  const command = new Command().exitOverride().configureOutput({ outputError: () => {} });
  defineStartOptions(command);
  command.parse(args, { from: "user" });
  const options = { idempotencyKey: "key", ...command.opts<StartOptions>() };
  return await readJobSpec(options, new FakeTerminal());
}

Deno.test("start options: limits are sent in their units", async () => {
  const { limits } = await specOf(
    ...["--cpu", "50%", "--memory", "64M", "--processes", "7"],
    ...["--disk-io", "read=1MB/s"],
  );
  assert.deepEqual(limits, {
    cpuCores: 0.5,
    memoryBytes: 64 * 1024 ** 2,
    processes: 7,
    readBytesPerSecond: 1_000_000,
  });
});

Deno.test("start options: max, and an empty text, leave a limit to the server", async () => {
  for (const word of ["max", ""]) {
    for (const option of ["--cpu", "--memory", "--disk-io", "--processes"]) {
      assert.equal((await specOf(option, word)).limits, undefined, `${option} ${word}`);
    }
  }
  // So a script can take back what stands before.
  const { limits } = await specOf("--memory", "64M", "--cpu", "10%", "--memory", "max");
  assert.deepEqual(limits, { cpuCores: 0.1 });
});
