/** Events of compiled binaries: nothing is lost or told twice when the server is killed in between. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { BIN_DIR } from "../support/binaries.ts";
import { assertStatus } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

/** The fields of a line that are looked at. */
interface Line {
  readonly event: string;
  readonly jobID: string;
  readonly by: string | null;
  readonly cursor: string;
  readonly exitCode: number | null;
  readonly name: string | null;
}

/** The compiled client's lines, until it is told to end. */
function watch(server: TestServer, args: readonly string[], identity: string) {
  const child = new Deno.Command(join(BIN_DIR, "worker-client"), {
    args: ["events", ...args],
    env: server.cliEnvironment(identity),
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const lines: Line[] = [];
  const read = (async () => {
    // deno-lint-ignore no-explicit-any -- Node's and the web's types of the same stream differ
    const input = Readable.fromWeb(child.stdout as any);
    for await (const text of createInterface({ input })) lines.push(JSON.parse(text));
  })();
  const notes = new Response(child.stderr).text();
  return {
    lines,
    async end(): Promise<string> {
      child.kill("SIGTERM");
      await Promise.all([read, child.status]);
      return await notes;
    },
  };
}

Deno.test("events: a reader is told of each start and end once, also when the server is killed", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const early = await client.startWith({ name: "sh", args: ["-c", "exit 3"], title: "early" });
  await client.wait(early);
  const watching = watch(server, ["--since", "1h"], "bob");
  await until("the past is told", () => watching.lines.length === 2);
  const ids: string[] = [];
  ids.push(await client.start("sleep", "600"));
  await until("its start is told", () => watching.lines.at(-1)?.jobID === ids[0]);
  // It ends while no server runs: the next one tells it.
  ids.push(await client.startWith({ name: "sh", args: ["-c", "sleep 0.3; exit 7"] }));
  await server.end("SIGKILL");
  await server.launch();
  const next = server.client();
  await next.wait(ids[1] ?? "");
  await next.stop(ids[0] ?? "", 0);
  await next.remove(ids[0] ?? "");
  await until("all is told", () => watching.lines.at(-1)?.event === "removed");
  const notes = await watching.end();
  const told = watching.lines.map(({ event, jobID, by }) => [event, jobID, by]);
  const expected = [early, ...ids].flatMap((id) => [["started", id, "alice"]]);
  const of = (word: string) => told.filter(([event]) => event === word);
  assert.deepEqual(of("started"), expected);
  assert.deepEqual(of("ended").map(([, id]) => id).toSorted(), [early, ...ids].toSorted());
  assert.deepEqual(of("stopping"), [["stopping", ids[0], "alice"]]);
  assert.deepEqual(of("removed"), [["removed", ids[0], "alice"]]);
  assert.equal(told.length, 8);
  const cursors = watching.lines.map(({ cursor }) => Number(cursor));
  assert.deepEqual(cursors, [...new Set(cursors)].toSorted((one, other) => one - other));
  const [, first] = watching.lines;
  assert.deepEqual([first?.event, first?.exitCode, first?.name], ["ended", 3, "early"]);
  assert.match(notes, /connection lost, trying again.*\n.*connected again; no event was lost/);

  // Another call goes on after a cursor, and ends.
  const rest = await server.cli(["events", "--after", String(cursors.at(-3)), "--no-follow"]);
  const after = rest.stdout.trim().split("\n").map((line) => JSON.parse(line).cursor);
  assert.deepEqual(after, watching.lines.slice(-2).map(({ cursor }) => cursor));
  const one = await server.cli(
    ["events", "early", "--since", "1h", "--no-follow", "--format", "{event} {name} {by}"],
  );
  assert.equal(one.stdout, "started early alice\nended early -\n");
});

Deno.test("events: what cannot be told is refused, and a call ends at its time", async () => {
  await using server = await TestServer.start();
  const { raw } = server.client();
  const events = (request: object) => Array.fromAsync(raw.Events(request) as AsyncIterable<object>);
  await assertStatus(events({ after: "not a cursor" }), status.INVALID_ARGUMENT, /cursor/);
  await assertStatus(events({ jobID: "nobody" }), status.NOT_FOUND);
  const labels = Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`l${index}`, ""]));
  await assertStatus(events({ labels }), status.INVALID_ARGUMENT, /labels/);
  await assertStatus(events({ owner: "x".repeat(20_000) }), status.RESOURCE_EXHAUSTED);
  // A cursor of another log directory: the reader is told, and goes on.
  const [missed] = await events({ after: "9000000000000000", noFollow: true });
  assert.equal((missed as { kind: string }).kind, "EVENT_KIND_MISSED");
  assert.equal((await events({ untilMs: Date.now() + 200 })).length, 1);
  const wrong = await server.cli(["events", "--since", "soon"]);
  assert.deepEqual([wrong.code, wrong.stderr.includes("such as 10m")], [2, true]);
});
