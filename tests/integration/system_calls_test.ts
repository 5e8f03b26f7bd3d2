/**
 * What the server asks of the kernel for its usual work, held against tests/fixtures/system_calls.json: a
 * busy machine changes times, but hardly these counts.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type CallBounds, grown, perOperation } from "../support/call_growth.ts";
import { TestServer } from "../support/server.ts";
import { testUnless } from "../support/skip.ts";
import {
  childrenOf,
  countCalls,
  type Counted,
  noSystemCalls,
  OTHERS,
} from "../support/system_calls.ts";
import { until } from "../support/wait.ts";

const BOUNDS_FILE = "tests/fixtures/system_calls.json";

const bounds = JSON.parse(
  await Deno.readTextFile(join(import.meta.dirname ?? "", "../..", BOUNDS_FILE)),
) as Record<string, CallBounds>;

/** What goes before, or a timer, may disturb one count, not each. */
const ATTEMPTS = 5;

/** The bounds are those of dash: another shell makes other calls. */
const isDash = (await Deno.realPath("/bin/sh")).endsWith("dash");

/** For so long the server's own timers are counted: what they do is no operation's. */
const IDLE_MS = 2000;

/** The length of the log that is streamed. */
const LOG_MIB = 32;

interface Work {
  /** Its name in the file. */
  readonly name: string;
  readonly operations: number;
  /** Does one, or so many. */
  readonly run: (operations: number) => Promise<void>;
}

/**
 * Counts the calls of a thing, after it has been done once without being counted.
 *
 * @returns What to say where they have grown.
 */
async function growthOf(
  server: TestServer,
  { name, operations, run }: Work,
  idle: Counted,
): Promise<string[]> {
  await run(1);
  let counts: CallBounds = {};
  let found: string[] = [];
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const counted = await countCalls(server.pid, () => run(operations));
    if (!isDash) counted.calls.delete(OTHERS);
    counts = perOperation(counted, operations, idle);
    found = grown(counts, bounds[name] ?? {});
    if (found.length === 0) return [];
  }
  return [
    `${name} makes more system calls than it did:\n  ${found.join("\n  ")}\n` +
    `If that is worth it, this is the new line of ${BOUNDS_FILE}:\n  ` +
    JSON.stringify({ [name]: counts }).slice(1, -1),
  ];
}

/** Does one thing after the other, so many times. */
function repeatedly(action: () => Promise<unknown>): Work["run"] {
  return async (operations) => {
    for (let done = 0; done < operations; done++) await action();
  };
}

/** So many lines, none before the last one has come: slow enough that each is an event (lib/logs/growth.ts). */
const LINE_INTERVAL_MS = 10;

/** A job whose lines come when they are asked for, and a reader who has them at once. */
class FollowedLines implements AsyncDisposable {
  readonly #input: Deno.FsFile;
  readonly #output: AsyncGenerator<{ output: Uint8Array }>;

  private constructor(input: Deno.FsFile, output: AsyncGenerator<{ output: Uint8Array }>) {
    this.#input = input;
    this.#output = output;
  }

  static async begin(server: TestServer): Promise<FollowedLines> {
    const client = server.client();
    const pipe = join(server.folder, "lines");
    await new Deno.Command("mkfifo", { args: [pipe] }).output();
    const job = await client.shell('while read -r line; do echo "$line"; done <"$1"', pipe);
    const lines = new FollowedLines(
      await Deno.open(pipe, { read: true, write: true }),
      client.messages({ jobID: job }),
    );
    await until("an event for each line", async () => {
      await lines.follow();
      return await hasChild(server.pid, "tail");
    });
    return lines;
  }

  /** Has the job write a line, and reads until it is there. */
  async follow(): Promise<void> {
    await this.#input.write(new TextEncoder().encode("line\n"));
    for (;;) {
      const { done, value } = await this.#output.next();
      assert(done !== true, "the job has ended");
      if (value.output.length > 0) break;
    }
    await delay(LINE_INTERVAL_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#input.close();
    await this.#output.return(undefined);
  }
}

async function hasChild(pid: number, name: string): Promise<boolean> {
  const children = await childrenOf(pid);
  const names = await Promise.all(
    children.map((child) => Deno.readTextFile(`/proc/${child}/comm`).catch(() => "")),
  );
  return names.includes(`${name}\n`);
}

testUnless(await noSystemCalls(), {
  name: "system calls of a query, a start, a stream and a followed line have not grown",
  async fn() {
    await using server = await TestServer.start();
    const client = server.client();
    const running = await client.start("sleep", "1000");
    const log = await client.start("head", "-c", `${LOG_MIB * 1024 ** 2}`, "/dev/zero");
    await client.wait(log);
    await using lines = await FollowedLines.begin(server);
    const works: Work[] = [
      { name: "a followed line", operations: 30, run: repeatedly(() => lines.follow()) },
      {
        name: "a query of a running job",
        operations: 30,
        run: repeatedly(() => client.query(running)),
      },
      {
        name: "a start, to its end",
        operations: 8,
        run: repeatedly(async () => await client.wait(await client.start("true"))),
      },
      {
        name: "a streamed MiB",
        operations: LOG_MIB,
        run: async () => void await client.output(log),
      },
    ];
    const idle = await countCalls(server.pid, () => delay(IDLE_MS));
    const growth: string[] = [];
    for (const work of works) growth.push(...await growthOf(server, work, idle));
    assert(growth.length === 0, growth.join("\n\n"));
  },
});
