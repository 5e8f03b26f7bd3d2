import assert from "node:assert/strict";
import { join } from "node:path";
import { findLeftovers } from "../../tools/test/leftovers.ts";
import { whyNoOwnCluster } from "../support/cluster/possible.ts";
import { testUnless } from "../support/skip.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");
const PLACES = { binDir: join(ROOT, "build", "demo-bin"), logDir: "/run/job-worker-demo" };
const NOT_ROOT = Deno.uid() === 0 ? undefined : "only root may make control groups";

/** Runs the demo and ends it by a signal as soon as it prints a text. */
async function runDemo(
  { end, args = [] }: {
    readonly end?: { readonly at: string; readonly signal: Deno.Signal };
    readonly args?: readonly string[];
  } = {},
): Promise<{ code: number; output: string }> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", join(ROOT, "tools", "demo", "main.ts"), ...args],
    cwd: "/",
    env: { NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "null",
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  let isSignalled = false;
  for await (const chunk of child.stdout) {
    output += decoder.decode(chunk, { stream: true });
    if (end === undefined || isSignalled || !output.includes(end.at)) continue;
    isSignalled = true;
    child.kill(end.signal);
  }
  return { code: (await child.status).code, output };
}

/** What a demo left, apart from what other programs have on this host. */
async function findDemoLeftovers(): Promise<string[]> {
  return [...await findLeftovers(PLACES)].filter((line) =>
    line.startsWith("process ") || line.includes("job-worker-demo")
  );
}

testUnless(NOT_ROOT, {
  name: "demo: shows the main job and leaves nothing",
  fn: async () => {
    const { code, output } = await runDemo();
    assert.equal(code, 0, output);
    const story = [
      /^\$ worker-client start sh -c .*\nJob ID: [0-9a-f-]{36} Started$/m,
      /^\$ worker-client query .*\nPid: \d+ Exit code: - Exited: false$/m,
      /^\$ worker-client stream .*\nstep 1 of 5\nstep 2 of 5\nstep 3 of 5\nstep 4 of 5\nstep 5 of 5$/m,
      /^\$ worker-client query .*\nPid: \d+ Exit code: 0 Exited: true$/m,
      /^The clock says .* the CPU worked /m,
      /^\$ worker-client -i certs\/bob.pem stop .*\nworker-client: .*\n\(exit status 4\)$/m,
      /^\$ worker-client stop .*\n\n.*\n\$ worker-client query .*\n(?:worker-client: .*\n)?Pid: \d+ Exit code: 143 Exited: true$/m,
      /^What next$/m,
    ];
    for (const part of story) assert.match(output, part);
    const share = Number(/the CPU worked .*: (\d+)%/.exec(output)?.[1]);
    assert.ok(share > 5 && share < 60, `a job limited to 50% took ${share}% of a CPU`);
    assert.deepEqual(await findDemoLeftovers(), []);
  },
});

for (
  const [signal, at, status] of [
    ["SIGINT", "step 2 of 5", 130],
    ["SIGTERM", "worker-certs init", 143],
  ] as const
) {
  testUnless(NOT_ROOT, {
    name: `demo: ${signal} at "${at}" ends it, and nothing is left`,
    fn: async () => {
      const { code, output } = await runDemo({ end: { at, signal } });
      assert.equal(code, status, output);
      assert.doesNotMatch(output, /What next/);
      assert.deepEqual(await findDemoLeftovers(), []);
    },
  });
}

/** Where the demo has its cluster. */
const CLUSTER_FOLDER = /^\$ export SLURM_CONF=(.*)\/etc\/slurm.conf$/m;

const NO_CLUSTER = await whyNoOwnCluster();

testUnless(NO_CLUSTER, {
  name: "demo: shows the main job on two nodes and leaves nothing",
  fn: async () => {
    const { code, output } = await runDemo({ args: ["--cluster"] });
    assert.equal(code, 0, output);
    const story = [
      /^ok +cluster +Slurm /m,
      // Slurm says one or the other, by when it looked.
      /third +pending +\((?:Resources|Priority)\)/,
      /^Waits for: +(?:Resources|Priority)$/m,
      /^\$ worker-client stream third\nstep 1 of 5 on (\w+)\n(?:step \d of 5 on \1\n){4}/m,
      /third +exited +jw\w+n\d +0 /,
      /second +stopped +jw\w+n\d +143 /,
      /^What next$/m,
    ];
    for (const part of story) assert.match(output, part);
    await assertClusterGone(output);
  },
});

testUnless(NO_CLUSTER, {
  name: "demo: SIGINT while jobs wait and run on its cluster ends it, and nothing is left",
  fn: async () => {
    const end = { at: "worker-client start --name third", signal: "SIGINT" } as const;
    const { code, output } = await runDemo({ args: ["--cluster"], end });
    assert.equal(code, 130, output);
    await assertClusterGone(output);
  },
});

async function assertClusterGone(output: string): Promise<void> {
  const folder = CLUSTER_FOLDER.exec(output)?.[1] ?? "";
  assert.notEqual(folder, "", output);
  await assert.rejects(Deno.stat(folder), Deno.errors.NotFound);
  assert.deepEqual(await findDemoLeftovers(), []);
}
