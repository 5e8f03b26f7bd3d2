/** A server that has grown too far is followed by a fresh one, and no client loses a byte or a call. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestServer } from "../support/server.ts";
import { assertCounted, callEveryMethod, COUNTING, reconnect } from "../support/load.ts";

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
    const id = await server.client().shell(COUNTING, gate);
    const following = server.cli(["stream", id]);
    const waiting = server.cli(["wait", id], "bob");
    const work = { isOver: false };
    const calling = Promise.all(
      Array.from({ length: CALLERS }, (_, index) => callEveryMethod(server, index, work)),
    );
    const loading = Array.from({ length: LOAD_WORKERS }, () => reconnect(server, work));
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
