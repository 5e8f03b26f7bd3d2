import { strict as assert } from "node:assert";
import { join } from "node:path";
import { batchOf, type BatchRequest, SECRET_FILES } from "../../lib/executor/slurm/batch.ts";
import { answerTo, order } from "../../lib/executor/slurm/control.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { shell } from "../../lib/shim/shell.ts";

const REQUEST: BatchRequest = {
  jobId: "6b1a3c8e-2f4d-4a51-9c3e-0d5b7e9f1a2b",
  folder: "/shared/it's/jobs/6b1a",
  output: "/shared/it's/jobs/6b1a/output",
  gaps: "/shared/it's/jobs/6b1a/gaps",
  orders: "/shared/it's/jobs/6b1a/control",
  watch: "/shared/it's/jobs/6b1a/watch",
  command: { name: "./a b", args: ["it's", "$(id)", "a\nb", "", "'a\r\nb\r"] },
  settings: DEFAULT_SETTINGS,
  secrets: { environment: {}, input: new Uint8Array() },
  limits: {},
  graceMs: 1500,
  runsAsRoot: false,
};

/** What a script's variables are, and its command, once a shell has read it. */
async function readByShell(script: string, names: readonly string[]): Promise<string[]> {
  const [head = ""] = script.split(scripts.batch);
  const print = `printf '%s\\0' ${names.map((name) => `"$${name}"`).join(" ")} "$@"`;
  const { stdout } = await shell(`${head}\n${print}`, [], {
    PATH: "/usr/bin:/bin",
    SLURM_JOB_ID: "17",
  }).output();
  return new TextDecoder().decode(stdout).split("\0").slice(0, -1);
}

Deno.test("batchOf: a shell reads folder, group, limits and command as they were", async () => {
  const { script, files } = batchOf({
    ...REQUEST,
    limits: { cpuCores: 0.5, memoryBytes: 1 << 20, writeBytesPerSecond: 7 },
    runsAsRoot: true,
    settings: { ...DEFAULT_SETTINGS, timeoutMs: 90_000, stopSignal: "INT", umask: 0o77 },
  });
  assert.deepEqual(files, []);
  assert.match(script, /^#!\/bin\/sh\n/);
  const names = "folder output group_name is_root cpu_quota cpu_period memory_bytes read_rate " +
    "write_rate processes timeout_ms grace_ms stop_signal main_levels job_worker_umask has_input";
  assert.deepEqual(await readByShell(script, names.split(" ")), [
    REQUEST.folder,
    REQUEST.output,
    `job-worker-17-${REQUEST.jobId}`,
    "yes",
    "50000",
    "100000",
    "1048576",
    "",
    "7",
    "",
    "90000",
    "1500",
    "INT",
    "0",
    "077",
    "",
    "./a b",
    "it's",
    "$(id)",
    "a\nb",
    "",
    "'a\r\nb\r",
  ]);
  // sbatch refuses line breaks of DOS.
  assert(!script.includes("\r"));
});

Deno.test("batchOf: no value of a job's environment and no input is in the script", async () => {
  const { script, files } = batchOf({
    ...REQUEST,
    secrets: {
      environment: { TOKEN: "s3cr3t it's\n$x", "odd.name": "s3cr3t2" },
      input: new TextEncoder().encode("s3cr3t3"),
    },
  });
  assert.doesNotMatch(script, /s3cr3t|czNjcjN0/);
  assert.deepEqual(files.map(({ name, mode }) => [name, mode]), [["secrets", 0o600], [
    "input",
    0o600,
  ]]);
  assert.deepEqual(files.map(({ name }) => name), SECRET_FILES);
  const text = String(files[0]?.content);
  assert.deepEqual(
    await readByShell(text, ["job_worker_env_TOKEN", "job_worker_other_1"]),
    ["s3cr3t it's\n$x", "odd.name=s3cr3t2"],
  );
  assert.deepEqual(await readByShell(script, ["job_worker_names", "has_secrets", "has_input"]), [
    "TOKEN",
    "yes",
    "yes",
    REQUEST.command.name,
    ...REQUEST.command.args,
  ]);
});

Deno.test("batchOf: only the engine's variables are left of a node's environment", async () => {
  const output = await shell(`${scripts.cleanEnvironment}\nenv`, [], {
    PATH: "/usr/bin:/bin",
    HOME: "/home/server",
    SLURM_JOB_ID: "17",
    CUDA_VISIBLE_DEVICES: "1",
    folder: "x",
    "odd.name": "x",
    LINES_OF: "a\nb=c *",
  }).output();
  const names = new TextDecoder().decode(output.stdout).split("\n").map((line) =>
    line.split("=")[0]
  );
  for (const name of ["HOME", "folder", "LINES_OF", "b"]) assert(!names.includes(name), name);
  for (const name of ["PATH", "SLURM_JOB_ID", "CUDA_VISIBLE_DEVICES"]) {
    assert(names.includes(name), name);
  }
});

Deno.test("order: numbers grow, also after the server's restart, and an answer is to one of them", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const told = () => Deno.readTextFile(join(folder, "control"));
    assert.equal(await order(folder, { kind: "stop", signal: "TERM", graceMs: 1500.4 }), 1);
    assert.equal(await told(), "1 stop TERM 1500 all\n");
    assert.equal(await answerTo(folder, 1), undefined);
    await Deno.writeTextFile(join(folder, "control.done"), "1 reached\n");
    assert.equal(await answerTo(folder, 1), "reached");
    assert.equal(await order(folder, { kind: "signal", signal: "HUP", mainOnly: true }), 2);
    assert.equal(await told(), "2 signal HUP main\n");
    assert.equal(await answerTo(folder, 2), undefined);
    await Deno.writeTextFile(join(folder, "control.done"), "2 nob");
    assert.equal(await answerTo(folder, 2), undefined);
    await Deno.writeTextFile(join(folder, "control.done"), "2 nobody\n");
    assert.equal(await answerTo(folder, 2), "nobody");
    assert.equal(await order(folder, { kind: "kill" }), 3);
    assert.equal(await told(), "3 kill\n");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
