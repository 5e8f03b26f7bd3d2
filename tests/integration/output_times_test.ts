/** When output was written: as a job's own clock says it, over a server that is killed meanwhile. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** How exact times are: twice a second, and what a busy machine takes. */
const EXACT_MS = 1500;

/** Each line is the time at which it was printed, in milliseconds; before some, a file has to be there. */
const SCRIPT = "date +%s%3N; sleep 1; date +%s%3N; for file do " +
  'until [ -e "$file" ]; do sleep 0.05; done; date +%s%3N; done';

interface Line {
  readonly text: string;
  readonly stampMs: number;
  readonly printedMs: number;
}

function linesOf(stdout: string): Line[] {
  return stdout.trimEnd().split("\n").map((text) => {
    const [, stamp = "", printed = ""] = /^(\S{24}) (\d+)$/.exec(text) ?? [];
    return { text, stampMs: Date.parse(stamp), printedMs: Number(printed) };
  });
}

function assertExact(lines: readonly Line[]): void {
  for (const { text, stampMs, printedMs } of lines) {
    const lateMs = stampMs - printedMs;
    assert(lateMs > -50 && lateMs < EXACT_MS, `${text} is ${lateMs} ms off`);
  }
}

Deno.test("output times: exact while the server runs, and known for what came without it", async (t) => {
  await using server = await TestServer.start();
  const gates = ["down", "up"].map((name) => join(server.folder, name));
  const id = await server.client().shell(SCRIPT, ...gates);
  const folder = join(server.logDir, "jobs", id);
  const linesThere = async (count: number) =>
    (await Deno.readTextFile(join(folder, "output"))).split("\n").length > count;
  await until(
    "the second line has its time",
    async () => await linesThere(2) && (await Deno.stat(join(folder, "times"))).size >= 32,
  );
  await server.end("SIGKILL");
  await Deno.writeTextFile(gates[0] ?? "", "");
  await until("a line is printed without a server", () => linesThere(3));
  await server.launch();
  await Deno.writeTextFile(gates[1] ?? "", "");
  const { stdout } = await server.cli(["stream", "--timestamps", id]);
  const lines = linesOf(stdout);
  const whole = await server.cli(["stream", id]);
  await t.step("every line has its time, and is otherwise as it was", () => {
    assert.equal(lines.length, 4, stdout);
    assertExact(lines);
    assert.equal(lines.map(({ printedMs }) => `${printedMs}\n`).join(""), whole.stdout);
  });
  const stampOf = (line: number) => lines[line]?.text.slice(0, 24) ?? "";
  await t.step("since and until take a time that was printed", async () => {
    const late = await server.cli(["logs", "-t", "--since", stampOf(1), id]);
    assert.deepEqual(linesOf(late.stdout), linesOf(stdout).slice(1));
    const early = await server.cli(["stream", "--until", stampOf(0), id]);
    assert.equal(early.stdout, whole.stdout.split("\n").slice(0, 1).join("") + "\n");
    assert.equal(early.stderr, "");
  });
  await t.step("since so long ago, with a tail, and since a time after the end", async () => {
    const tail = await server.cli(["logs", "--since", "10m", "-n", "2", id]);
    assert.equal(tail.stdout, whole.stdout.split("\n").slice(2).join("\n"));
    assert.equal((await server.cli(["logs", "--since", "0s", id])).stdout, "");
  });
});

Deno.test("output times: a job that runs now has them too, and a stream ends at its time", async (t) => {
  await using server = await TestServer.start();
  await t.step("run --timestamps", async () => {
    const { stdout, code } = await server.cli(["run", "--timestamps", "sh", "-c", SCRIPT]);
    assert.equal(code, 0);
    assertExact(linesOf(stdout));
  });
  await t.step("stream --until, of a job that goes on and prints nothing", async () => {
    const id = await server.client().shell("echo first; sleep 60");
    const soon = new Date(Date.now() + 1500).toISOString();
    const { stdout, code } = await server.cli(["stream", "--until", soon, id]);
    assert.deepEqual([code, stdout], [0, "first\n"]);
    assert(Date.now() >= Date.parse(soon));
    assert.equal((await server.client().query(id)).exited, false);
    await server.client().stop(id, 0);
  });
});
