/** When output was written: as a job's own clock says it, over a server that is killed meanwhile. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** How exact the time of a single line is: what a busy machine takes to copy it. */
const EXACT_MS = 1000;

/** Each line is the time at which it was printed, in milliseconds; it waits for a file. */
const SCRIPT = 'for file do until [ -e "$file" ]; do sleep 0.05; done; date +%s%3N; done';

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
  const gates = [1, 2, 3, 4].map((line) => join(server.folder, `line-${line}`));
  const id = await server.client().shell(SCRIPT, ...gates);
  const folder = join(server.logDir, "jobs", id);
  const print = async (line: number) => {
    await Deno.writeTextFile(gates[line - 1] ?? "", "");
    await until("the line is there", async () => {
      return (await Deno.readTextFile(join(folder, "output"))).split("\n").length > line;
    });
  };
  const untilTimes = (count: number) =>
    until("the line has its time", async () => {
      const { size } = await Deno.stat(join(folder, "times")).catch(() => ({ size: 0 }));
      return size === 16 * count;
    });
  for (const line of [1, 2]) {
    await print(line);
    await untilTimes(line);
  }
  await server.end("SIGKILL");
  await print(3);
  await server.launch();
  await untilTimes(3);
  await print(4);
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
    const { stdout, code } = await server.cli(["run", "--timestamps", "date", "+%s%3N"]);
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
