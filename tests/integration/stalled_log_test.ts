/** Where standard error or the audit trail's file stands still, calls are answered all the same. */
// Attacks: the log, by a reader that has stopped.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { LOG_DIR } from "../support/binaries.ts";
import type { TestClient } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { inTime, until } from "../support/wait.ts";

/** More lines than the pipe and the server's queue have room for. */
const CALLS = 4500;

/** As many calls as this are open at a time. */
const CALLS_AT_ONCE = 32;

/** The server ends in less, also where it waits a second each for the log and for the trail. */
const END_DEADLINE_MS = 6000;

/** Makes the calls; each of them leaves a line in the log and in the audit trail. */
async function callOften(client: TestClient, id: string): Promise<void> {
  let left = CALLS;
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, async () => {
    while (left-- > 0) await client.query(id);
  }));
}

/** Entries of a text of whole lines; one that is cut or mixed with another fails the test. */
function entriesOf(text: string): Record<string, unknown>[] {
  return text.trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** How many lines are told as dropped. */
function droppedIn(entries: readonly Record<string, unknown>[]): number {
  return entries.reduce((sum, { dropped }) => sum + Number(dropped ?? 0), 0);
}

/** How many entries are about a call of Query. */
function queriesIn(entries: readonly Record<string, unknown>[]): number {
  return entries.filter(({ method }) => method === "/JobService/Query").length;
}

/** Sends SIGTERM, and returns the exit status where the server ends in its usual time. */
async function endPromptly(server: TestServer): Promise<number> {
  const { code } = await inTime("the server to end", server.end(), END_DEADLINE_MS);
  return code;
}

/** A server whose standard error is read by a process that can be stopped. */
class ReadServer implements AsyncDisposable {
  readonly server: TestServer;
  readonly #folder: string;
  readonly #reader: number;

  private constructor(server: TestServer, folder: string, reader: number) {
    this.server = server;
    this.#folder = folder;
    this.#reader = reader;
  }

  static async start(): Promise<ReadServer> {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-stalled-log-" });
    const pid = join(folder, "pid");
    const server = await TestServer.start({
      prelude: `exec 2> >(exec cat >&2); echo $! >'${pid}'`,
    });
    return new ReadServer(server, folder, Number(await Deno.readTextFile(pid)));
  }

  stall(): void {
    Deno.kill(this.#reader, "SIGSTOP");
  }

  goOn(): void {
    Deno.kill(this.#reader, "SIGCONT");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.goOn();
    } catch {
      // It has ended with the server.
    }
    if (this.server.isRunning) await this.server.end("SIGKILL");
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#folder, { recursive: true });
  }
}

Deno.test("log: where nobody reads standard error, calls are answered, and a later reader is told how many lines were dropped", async () => {
  await using read = await ReadServer.start();
  const { server } = read;
  const client = server.client();
  const id = await client.start("true");
  read.stall();
  await inTime("the calls", callOften(client, id));
  read.goOn();
  const entries = await until("the number of dropped lines", () => {
    if (!server.log.endsWith("\n")) return undefined;
    const entries = entriesOf(server.log);
    return queriesIn(entries) + droppedIn(entries) >= CALLS && entries;
  });
  assert.equal(queriesIn(entries) + droppedIn(entries), CALLS);
  assert(droppedIn(entries) > 0, "nothing was dropped: the reader was not stopped for long enough");
  assert.deepEqual(
    entries.filter(({ dropped }) => dropped !== undefined).map(({ level }) => level),
    ["warn"],
  );
  assert.equal(await endPromptly(server), 0);
});

Deno.test("log: where nobody reads standard error, SIGTERM ends the server", async () => {
  await using read = await ReadServer.start();
  const client = read.server.client();
  const id = await client.start("true");
  read.stall();
  await inTime("the calls", callOften(client, id));
  assert.equal(await endPromptly(read.server), 0);
});

/** A server whose audit trail is a pipe, with its reader. */
class PipedTrail implements AsyncDisposable {
  readonly server: TestServer;
  readonly #logDir: string;
  readonly #reader: Deno.ChildProcess;
  readonly #text: Promise<string>;
  #hasEnded = false;

  private constructor(server: TestServer, logDir: string, reader: Deno.ChildProcess) {
    this.server = server;
    this.#logDir = logDir;
    this.#reader = reader;
    this.#text = reader.output().then(({ stdout }) => {
      this.#hasEnded = true;
      return new TextDecoder().decode(stdout);
    });
  }

  static async start(): Promise<PipedTrail> {
    const logDir = join(LOG_DIR, `stalled-${crypto.randomUUID().slice(0, 8)}`);
    await Deno.mkdir(join(logDir, "audit"), { recursive: true, mode: 0o700 });
    const pipe = join(logDir, "audit", "audit.jsonl");
    await run("mkfifo", ["-m", "600", pipe]);
    const reader = new Deno.Command("cat", { args: [pipe], stdin: "null", stdout: "piped" })
      .spawn();
    const server = await TestServer.start({ logDir });
    return new PipedTrail(server, logDir, reader);
  }

  stall(): void {
    this.#reader.kill("SIGSTOP");
  }

  goOn(): void {
    this.#reader.kill("SIGCONT");
  }

  /** What stands about changes, in a file of its own. */
  changes(): Promise<string> {
    return Deno.readTextFile(join(this.#logDir, "audit", "changes.jsonl"));
  }

  /** All that the reader got, when the server has ended. */
  text(): Promise<string> {
    return inTime("the reader's end", this.#text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#hasEnded) this.#reader.kill("SIGKILL");
    if (this.server.isRunning) await this.server.end("SIGKILL");
    await this.server[Symbol.asyncDispose]();
    await Deno.remove(this.#logDir, { recursive: true });
  }
}

Deno.test("audit: where its file stands still, calls are answered, changes have their lines, and the number of dropped lines is told", async () => {
  await using trail = await PipedTrail.start();
  const { server } = trail;
  const client = server.client();
  const id = await client.start("true");
  trail.stall();
  await inTime("the calls", callOften(client, id));
  const late = await client.start("true");
  await until("the log to tell", () => /"the audit trail stands still/.test(server.log));
  trail.goOn();
  await until("the log to tell how many", () => /audit trail.*"dropped":\d/.test(server.log));
  assert.equal(await endPromptly(server), 0);
  const entries = entriesOf(await trail.text());
  const changes = entriesOf(await trail.changes());
  assert.deepEqual(changes.map(({ job }) => job), [id, id, late, late]);
  assert.equal(queriesIn(entries) + droppedIn(entries), CALLS);
  assert(droppedIn(entries) > 0, "nothing was dropped: the reader was not stopped for long enough");
});

Deno.test("audit: where its file stands still, SIGTERM ends the server", async () => {
  await using trail = await PipedTrail.start();
  const client = trail.server.client();
  const id = await client.start("true");
  trail.stall();
  await inTime("the calls", callOften(client, id));
  assert.equal(await endPromptly(trail.server), 0);
});
