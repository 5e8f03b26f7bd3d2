/** The server's log: JSON for collectors, with priorities where the journal reads it. */
import { strict as assert } from "node:assert";
import { TestServer } from "../support/server.ts";

/** The lines that a server writes from its start to its end. */
async function linesOf(prelude: string): Promise<string[]> {
  await using server = await TestServer.start({ prelude });
  await server.end();
  return server.log.trim().split("\n");
}

Deno.test("log: each line is one JSON object with time, level and message", async () => {
  for (const line of await linesOf(":")) {
    const { time, level, message } = JSON.parse(line);
    assert(!Number.isNaN(Date.parse(time)), line);
    assert(["info", "warn", "error"].includes(level), line);
    assert.equal(typeof message, "string", line);
  }
});

Deno.test("log: in the journal each line has its priority before it", async () => {
  const numbers: Record<string, string> = { info: "6", warn: "4", error: "3" };
  // A descriptor that jobs would inherit is worth a warning.
  const prelude = 'export JOURNAL_STREAM="$(stat -L -c %d:%i /proc/self/fd/2)"; exec 20</dev/null';
  const lines = await linesOf(prelude);
  const levels = lines.map((line) => {
    const [, number, json = ""] = /^<(\d)>(\{.*\})$/.exec(line) ?? [];
    const { level } = JSON.parse(json);
    assert.equal(number, numbers[level], line);
    return level;
  });
  assert(levels.includes("info") && levels.includes("warn"), lines.join("\n"));
});

Deno.test("log: standard error that has left the journal has no priorities", async () => {
  for (const stream of ["1:2", "", "nonsense", "0:0", "$(stat -L -c %d:%i /dev/null)"]) {
    for (const line of await linesOf(`export JOURNAL_STREAM="${stream}"`)) {
      assert.match(line, /^\{/, stream);
    }
  }
});
