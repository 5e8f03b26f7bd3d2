/** What keeps a server busy, and notices when one call or one byte is lost. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type TestServer } from "./server.ts";
import { until } from "./wait.ts";
import { DEFAULT_WINDOW_BYTES, RawConnection } from "./raw_reader.ts";

/** What those who work look at, and tell. */
export interface Work {
  /** Whether it is time to end. */
  isOver: boolean;
  /** Told how many milliseconds a whole `worker-client query` took. */
  readonly onQuery?: (elapsedMs: number) => void;
}

/** What a slow reader takes at a time. */
const READ_BYTES = 32 * 1024;

/** A script that counts until the file that it is given exists, and exits with 7. */
export const COUNTING =
  'n=0; while [ ! -e "$1" ]; do n=$((n + 1)); echo $n; sleep 0.002; done; echo end; exit 7';

/** Connects and goes away again, time after time: the runtime keeps memory of each. */
export async function reconnect(server: TestServer, work: Work): Promise<void> {
  while (!work.isOver) {
    try {
      using connection = await RawConnection.open(server, DEFAULT_WINDOW_BYTES);
      await connection.read();
    } catch {
      // The server is just not there; this is load, and no client that must succeed.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/**
 * Calls every method by the compiled client, each in a process of its own.
 *
 * @returns How many rounds were made.
 */
export async function callEveryMethod(
  server: TestServer,
  index: number,
  work: Work,
): Promise<number> {
  const marks = join(server.folder, `marks-${index}`);
  const succeed = async (...args: string[]) => {
    const { code, stdout, stderr } = await server.cli(args);
    assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
    return stdout;
  };
  let rounds = 0;
  while (!work.isOver) {
    rounds += 1;
    const started = await succeed(
      "start",
      "sh",
      "-c",
      'echo "$1" >>"$0"; exec sleep 600',
      marks,
      `${rounds}`,
    );
    const id = /^Job ID: (\S+) Started/.exec(started)?.[1] ?? "";
    await until("the job's mark", async () => {
      return (await Deno.readTextFile(marks).catch(() => "")).endsWith(`${rounds}\n`);
    });
    const beginMs = performance.now();
    assert.match(await succeed("query", id), /Exited: false/);
    work.onQuery?.(performance.now() - beginMs);
    await succeed("stop", "--grace", "0", id);
    assert.match(await succeed("query", id), /Exited: true/);
    await succeed("remove", id);
    assert.equal(await succeed("run", "--quiet", "echo", `${rounds}`), `${rounds}\n`);
  }
  // No start was lost, and none was done twice.
  assert.equal(await Deno.readTextFile(marks), counted(rounds));
  return rounds;
}

/** Asserts that {@linkcode COUNTING} has written this: every number once, in order, and its end. */
export function assertCounted(text: string): void {
  const last = Number(/(\d+)\nend\n$/.exec(text)?.[1]);
  assert(last > 0, text.slice(-100));
  const expected = `${counted(last)}end\n`;
  if (text === expected) return;
  let at = 0;
  while (text[at] === expected[at]) at++;
  const around = JSON.stringify(text.slice(Math.max(0, at - 30), at + 30));
  assert.fail(`a line was lost, doubled or cut at byte ${at}: ${around}`);
}

function counted(last: number): string {
  return Array.from({ length: last }, (_, index) => `${index + 1}\n`).join("");
}

/** Reads a job's output slowly and vanishes in its middle, time after time. */
export async function readAndVanish(server: TestServer, jobID: string, work: Work): Promise<void> {
  while (!work.isOver) {
    try {
      using connection = await RawConnection.open(server, DEFAULT_WINDOW_BYTES);
      const stream = await connection.stream({ jobID });
      for (let part = 0; part < 10 && !work.isOver; part++) {
        await stream.readUntil(stream.payloadBytes + READ_BYTES);
        await stream.grant(READ_BYTES);
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    } catch {
      // The server is just not there; this is load, and no client that must succeed.
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
