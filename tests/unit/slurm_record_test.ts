import { strict as assert } from "node:assert";
import { parseNodeRecord } from "../../lib/executor/slurm/node_record.ts";

const BEGUN = "launcher 17 100 b00t\nnode d1\njob 4711 200\n";

function parse(text: string) {
  // As the file is: filled with blanks at first.
  const filled = text + " ".repeat(Math.max(0, 4096 - text.length));
  return parseNodeRecord(filled, { commandName: "true", writtenAtMs: 1000 });
}

Deno.test("parseNodeRecord: tells launcher, beginning and end, each when its line is whole", () => {
  assert.deepEqual(parse(""), { writtenAtMs: 1000 });
  assert.deepEqual(parse("launcher 17 100 b00t\nnode d"), { writtenAtMs: 1000 });
  assert.deepEqual(parse("launcher 17 100 b00t\nnode d1\njob 47"), {
    writtenAtMs: 1000,
    node: "d1",
  });
  assert.deepEqual(parse(BEGUN), { writtenAtMs: 1000, node: "d1", pid: 4711 });
  assert.equal(parse(`${BEGUN}exit 3\n`).ending, undefined);
  assert.deepEqual(parse(`${BEGUN}exit 3\ncounter cpuacct.usage\n5000\nend\n`).ending, {
    kind: "exited",
    exitCode: 3,
    signal: 0,
    oomKilled: false,
    usage: { cpuUsec: 5 },
    endedAtMs: 1000,
  });
});

Deno.test("parseNodeRecord: lines of its own are no message about a signal", () => {
  const text = `${BEGUN}output 12\nexit 143\nend\n`;
  const { ending, outputBytes } = parse(text);
  assert(ending?.kind === "exited");
  assert.deepEqual([ending.signal, ending.timedOut, outputBytes], [0, undefined, 12]);
});

Deno.test("parseNodeRecord: a signal, a timeout and bytes that the disk refused are told together", () => {
  const { ending } = parse(
    `${BEGUN}Terminated\nunwritten 5\ntimed-out\noutput 12\nexit 143\nend\n`,
  );
  assert(ending?.kind === "exited");
  assert.deepEqual([ending.signal, ending.timedOut, ending.unwrittenBytes], [15, true, 5]);
});

for (
  const [text, reason] of [
    [
      "launcher 17 100 b\nnode d1\nrefused working-directory\nend\n",
      "Cannot start the job: its working directory is not a folder on the server, or its user may not enter it",
    ],
    // Who enters the job's namespaces says so after the launcher, and the launcher tells of the end.
    [
      "launcher 17 100 b\nnode d1\nrefused isolation\nno permission\nexit 125\nend\n",
      "Cannot start the job: the server's host cannot isolate it: ",
    ],
    [
      "launcher 17 100 b\nnode d1\nrefused stopped\nend\n",
      "it was stopped before its command began",
    ],
    ["withdrawn\n", "it was taken back before its command began"],
  ] as const
) {
  Deno.test(`parseNodeRecord: never ran: ${reason}`, () => {
    const { ending } = parseNodeRecord(text, { commandName: "true", writtenAtMs: 1000 });
    assert(ending?.kind === "never-ran");
    assert.equal(ending.reason, reason);
  });
}
