/** Standard output and standard error of a job, each in a file of its own. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** Also what it has open: nothing of the launcher. */
const BOTH = "echo out; echo err >&2; echo more >/dev/stderr; ls -x /proc/self/fd";

type Test = (server: TestServer, t: Deno.TestContext) => Promise<void>;

const TESTS: Record<string, Test> = {};

TESTS["run writes each to its own, whoever the job runs as"] = async (server, t) => {
  const ways = {
    "as root": [],
    "as another user": ["-u", "nobody"],
    "in namespaces of its own": ["--own-processes", "--private-tmp"],
    "as another user in namespaces": ["-u", "nobody", "--own-processes"],
  };
  const together = await server.cli(["run", "-q", "sh", "-c", BOTH]);
  await t.step("together, as they come, where that is not asked for", () => {
    assert.deepEqual([together.stdout.slice(0, 13), together.stderr], ["out\nerr\nmore\n", ""]);
  });
  for (const [name, flags] of Object.entries(ways)) {
    await t.step(name, async () => {
      const { code, stdout, stderr } = await server.cli([
        ...["run", "-q", "--separate-stderr", ...flags],
        ...["sh", "-c", `${BOTH}; exit 3`],
      ]);
      assert.deepEqual([code, stderr], [3, "err\nmore\n"]);
      assert.equal(stdout, together.stdout.replace("err\nmore\n", ""), "the same descriptors");
    });
  }
};

TESTS["it is read as an output is, over a server that is killed"] = async (server, t) => {
  const gate = join(server.folder, "gate");
  const script = `echo out; echo one >&2; until [ -e ${gate} ]; do sleep 0.05; done; echo two >&2`;
  const start = ["start", "-q", "--separate-stderr", "--name", "apart", "sh", "-c", script];
  const id = (await server.cli(start)).stdout.trim();
  const file = join(server.logDir, "jobs", id, "errors");
  await until("the first line is there", async () => await Deno.readTextFile(file) !== "");
  await server.end("SIGKILL");
  await server.launch();
  await Deno.writeTextFile(gate, "");
  const alice = server.client();
  const { stderrBytes, outputBytes, separateStderr } = await alice.wait(id);
  assert.deepEqual([stderrBytes, outputBytes, separateStderr], [8, 4, true]);
  await t.step("to its end, from an offset, and its last line with its time", async () => {
    assert.equal((await server.cli(["stream", "--stderr", id])).stdout, "one\ntwo\n");
    assert.equal((await server.cli(["stream", id])).stdout, "out\n");
    assert.equal((await server.cli(["stream", "--stderr", "--offset", "4", id])).stdout, "two\n");
    const { stdout } = await server.cli(["logs", "--stderr", "-t", "-n", "1", id]);
    assert.match(stdout, /^2\S{22}Z two\n$/);
  });
  await t.step("rerun keeps it apart, too", async () => {
    const again = (await server.cli(["rerun", "-q", "apart"])).stdout.trim();
    assert.equal((await alice.wait(again)).stderrBytes, 8);
    await alice.remove(again);
  });
  await t.step("remove removes it", async () => {
    await alice.remove(id);
    await assert.rejects(Deno.stat(file), Deno.errors.NotFound);
  });
};

TESTS["it is bounded as the output is, and what is missing is told"] = async (server) => {
  const alice = server.client();
  const script = "head -c 400000 /dev/zero | tr '\\0' x >&2; echo end >&2; echo out";
  const id = await alice.script(script, { separateStderr: true });
  await alice.wait(id);
  await server.end("SIGKILL");
  await server.launch();
  const { stderrFirstOffset, stderrBytes, outputFirstOffset } = await server.client().query(id);
  assert.deepEqual([stderrBytes, outputFirstOffset], [400_004, 0]);
  assert(stderrFirstOffset > 300_000, `${stderrFirstOffset}`);
  const { stdout, stderr } = await server.cli(["stream", "--stderr", id]);
  assert.equal(stdout.length, stderrBytes - stderrFirstOffset);
  assert.match(stdout, /^x+end\n$/);
  assert.match(stderr, new RegExp(`${stderrFirstOffset} bytes are missing here`));
};

TESTS["a job that has none says so"] = async (server) => {
  const id = await server.client().shell("echo both >&2");
  const { code, stdout, stderr } = await server.cli(["stream", "--stderr", id]);
  assert.deepEqual([code, stdout], [1, ""]);
  assert.match(stderr, /has no standard error of its own/);
  await assert.rejects(
    server.client().output(id, { stderr: true }),
    /FAILED_PRECONDITION.*keeps it apart/,
  );
};

Deno.test("separate stderr", async (t) => {
  await using server = await TestServer.start({ flags: ["--max-output", "64K"] });
  for (const [name, test] of Object.entries(TESTS)) {
    await t.step(name, (step) => test(server, step));
  }
});
