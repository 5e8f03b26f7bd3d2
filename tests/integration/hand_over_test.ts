/** A server that has grown too far is followed by a fresh one, and no client loses a byte or a call. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestServer, until } from "./harness.ts";
import { DEFAULT_WINDOW_BYTES, RawConnection } from "./raw_reader.ts";

/** EX_TEMPFAIL: what a supervisor starts the server again on. */
const HAND_OVER_STATUS = 75;

/** A server takes more than that when it begins, so a quarter of it more is handed over. */
const MEMORY_LIMIT = "64M";

/** Of one after the other: the second server inherits from a first that was handed over to. */
const HAND_OVERS = 2;

const LOAD_WORKERS = 4;
const CALLERS = 2;

Deno.test({
  name: "worker-server --memory-limit: hand-overs under load lose no client a byte or a call",
  // Connections that the server cuts leave their last reads to end by themselves.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using server = await TestServer.start({ flags: ["--memory-limit", MEMORY_LIMIT] });
    const gate = join(server.folder, "gate");
    const script = 'n=0; while [ ! -e "$1" ]; do n=$((n + 1)); echo $n; sleep 0.002; done; ' +
      "echo end; exit 7";
    const id = await server.client().shell(script, gate);
    const following = server.cli(["stream", id]);
    const waiting = server.cli(["wait", id], "bob");
    const work = { isOver: false };
    const calling = Promise.all(
      Array.from({ length: CALLERS }, (_, index) => call(server, index, work)),
    );
    const loading = Array.from({ length: LOAD_WORKERS }, () => load(server, work));
    try {
      for (let count = 0; count < HAND_OVERS; count++) {
        // A call that fails ends the test; otherwise the calls go on until they are told.
        await Promise.race([server.ended().then(assertHandOver), calling]);
        await server.launch();
      }
    } finally {
      work.isOver = true;
      await Deno.writeTextFile(gate, "");
      await Promise.all(loading);
    }
    for (const rounds of await calling) assert(rounds > HAND_OVERS);
    assert.equal(server.log.match(/"message":"handing over/g)?.length, HAND_OVERS);
    const [stream, wait] = await Promise.all([following, waiting]);
    assert.equal(stream.code, 0, stream.stderr);
    assert(stream.stderr.match(/resumed at byte/g)?.length === HAND_OVERS, stream.stderr);
    assertCounted(stream.stdout);
    assert.equal(wait.code, 7, wait.stderr);
  },
});

function assertHandOver({ code }: Deno.CommandStatus): void {
  assert.equal(code, HAND_OVER_STATUS);
}

/** Connects and goes away again, time after time: the runtime keeps memory of each. */
async function load(server: TestServer, work: { readonly isOver: boolean }): Promise<void> {
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
async function call(
  server: TestServer,
  index: number,
  work: { readonly isOver: boolean },
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
    assert.match(await succeed("query", id), /Exited: false/);
    await succeed("stop", "--grace", "0", id);
    assert.match(await succeed("query", id), /Exited: true/);
    await succeed("remove", id);
    assert.equal(await succeed("run", "--quiet", "echo", `${rounds}`), `${rounds}\n`);
  }
  // No start was lost, and none was done twice.
  assert.equal(await Deno.readTextFile(marks), counted(rounds));
  return rounds;
}

function assertCounted(text: string): void {
  const last = Number(/(\d+)\nend\n$/.exec(text)?.[1]);
  assert(last > 0, text.slice(-100));
  assert(text === `${counted(last)}end\n`, "a line was lost, doubled or cut");
}

function counted(last: number): string {
  return Array.from({ length: last }, (_, index) => `${index + 1}\n`).join("");
}
