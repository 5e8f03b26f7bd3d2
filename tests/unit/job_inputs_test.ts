/** Who sends a job its input, and what of it is in files. */
import { strict as assert } from "node:assert";
import { SILENT_SENDER_MS } from "../../lib/job/inputs.ts";
import { HeldInput } from "../../lib/input/held_input.ts";
import { MAX_AHEAD_BYTES, MAX_UNHELD_BYTES, SEGMENT_BYTES } from "../../lib/input/ledger.ts";
import { until } from "../support/wait.ts";
import { makeInputFolder } from "../support/input_folder.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, requestOf, soon } from "../support/job_host.ts";

const { signal } = new AbortController();

const bytes = (text: string) => new TextEncoder().encode(text);

/** A host with a job that has an open input. */
async function hostWithJob() {
  const host = await JobHost.open();
  const id = await host.start(requestOf({ openStdin: true }));
  const files = await makeInputFolder(host.folderOf(id));
  const enter = (sender: string, caller = "alice") =>
    host.manager.input(id, { caller, sender, signal });
  return { host, id, files, enter, [Symbol.asyncDispose]: () => host[Symbol.asyncDispose]() };
}

Deno.test("input: one sender at a time; the same one takes its own place, another caller with its key does not", async () => {
  await using place = await hostWithJob();
  const { enter } = place;
  const first = await enter("one");
  await assertJobError(enter("two"), "precondition", /another client sends it/);
  await assertJobError(enter("one", "mallory"), "precondition", /another client sends it/);
  const entering = enter("one");
  await soon("the first one to be told", () => first.over.aborted);
  assert.match(String(first.over.reason), /goes on with the input/);
  assert(!first.isOver);
  first[Symbol.dispose]();
  using again = await entering;
  assert(!again.over.aborted);
});

Deno.test("input: of senders that come at the same moment one has its turn", async () => {
  await using place = await hostWithJob();
  const { enter } = place;
  const senders = ["one", "two", "three"];
  const results = await Promise.allSettled(senders.map((sender) => enter(sender)));
  const entered = results.flatMap((each) => each.status === "fulfilled" ? [each.value] : []);
  assert.equal(entered.length, 1);
  entered[0]?.[Symbol.dispose]();
  using next = await enter("four");
  assert(!next.over.aborted);
});

Deno.test("input: a sender without a key is nobody's earlier one; after its end the next one may send", async () => {
  await using place = await hostWithJob();
  const { enter } = place;
  const first = await enter("");
  await assertJobError(enter(""), "precondition", /another client sends it/);
  first[Symbol.dispose]();
  using _next = await enter("two");
});

Deno.test("input: a sender that was silent for a minute makes room, one that says something does not", async () => {
  await using place = await hostWithJob();
  const { host, enter } = place;
  const first = await enter("one");
  host.clock.advance(SILENT_SENDER_MS - 1);
  first.heard();
  host.clock.advance(SILENT_SENDER_MS - 1);
  await assertJobError(enter("two"), "precondition", /another client/);
  host.clock.advance(1);
  const entering = enter("two");
  await soon("the silent one to be told", () => first.over.aborted);
  first[Symbol.dispose]();
  (await entering)[Symbol.dispose]();
});

Deno.test("input: a job that was not started for it has none", async () => {
  await using host = await JobHost.open();
  const id = await host.start();
  await assertJobError(
    host.manager.input(id, { caller: "alice", sender: "", signal }),
    "precondition",
    /not started with an open standard input/,
  );
});

Deno.test("input: at the job's end the sender is told, what is not read is freed, and how much came stays known", async () => {
  await using place = await hostWithJob();
  const { host, id, files, enter } = place;
  const sending = await enter("one");
  await sending.input.append(bytes("abc"));
  const ending = host.end(id);
  await soon("the sender to be told", () => sending.over.aborted);
  assert(sending.isOver);
  sending[Symbol.dispose]();
  await ending;
  assert.deepEqual(files.names(), ["bell", "end.3", "over"]);
  assert.equal((await host.manager.query(id)).inputBytes, 3);
  using late = await enter("one");
  assert.deepEqual([late.isOver, late.input.isEnded, late.input.heldBytes], [true, true, 3]);
});

Deno.test("input: a server that follows goes on where the files are, and rings once", async () => {
  await using place = await hostWithJob();
  const { host, id, files } = place;
  {
    using sending = await host.manager.input(id, { caller: "alice", sender: "one", signal });
    await sending.input.append(bytes("abc"));
  }
  host.crash();
  host.executor.adoptions.set(id, { kind: "tracked", ...host.executor.begin(id) });
  await host.serve();
  assert(await files.wasRung());
  for (const isFirst of [true, false]) {
    using sending = await host.manager.input(id, { caller: "alice", sender: "one", signal });
    assert.equal(sending.input.heldBytes, 3);
    assert.equal(await files.wasRung(), isFirst);
  }
});

/** An input with files of its own. */
async function heldInput() {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-input-" });
  const files = await makeInputFolder(folder);
  return {
    files,
    open: () => HeldInput.open(files.folder, { rings: false }),
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

Deno.test("HeldInput: bytes go to segments, and more is allowed for each that was fed", async () => {
  await using place = await heldInput();
  const { files } = place;
  using input = await place.open();
  const all = new Uint8Array(MAX_AHEAD_BYTES).fill(7);
  for (let sent = 0; sent < all.length;) sent += await input.append(all.subarray(sent));
  assert.deepEqual([input.heldBytes, input.allowedBytes], [MAX_AHEAD_BYTES, MAX_AHEAD_BYTES]);
  assert.equal(await input.look(signal), false);
  await files.feed(0);
  assert.equal(await input.look(signal), true);
  assert.equal(input.allowedBytes, MAX_AHEAD_BYTES + Math.min(SEGMENT_BYTES, MAX_UNHELD_BYTES));
  assert(!files.names().includes("0"));
});

Deno.test("HeldInput: what was written when the server was killed counts, to the byte", async () => {
  await using place = await heldInput();
  const { files } = place;
  {
    using input = await place.open();
    await input.append(bytes("whole"));
  }
  // A write of which the kernel took a part.
  await Deno.writeTextFile(files.folder.segmentPath(0), "pa", { append: true });
  using input = await place.open();
  assert.equal(input.heldBytes, 7);
  await input.append(bytes("rest"));
  assert.deepEqual([await files.read(0), await files.read(7)], ["wholepa", "rest"]);
});

/** A fault: until it is disposed of, files that are opened have a full disk under them. */
function withFullDisk(): Disposable {
  const { open } = Deno;
  Deno.open = async (path, options) => {
    const file = await open(path, options);
    file.write = () => Promise.reject(new Error("No space left on device (os error 28)"));
    return file;
  };
  return { [Symbol.dispose]: () => Deno.open = open };
}

Deno.test("HeldInput: a full disk takes nothing and loses nothing", async () => {
  await using place = await heldInput();
  const { files } = place;
  using input = await place.open();
  {
    using _full = withFullDisk();
    assert.equal(await input.append(bytes("abc")), 0);
    assert.deepEqual([input.isDiskFull, input.hasNewsToCome, input.heldBytes], [true, true, 0]);
    await input.look(signal);
  }
  using again = await place.open();
  assert.equal(await again.append(bytes("abc")), 3);
  assert.deepEqual([again.isDiskFull, again.heldBytes, await files.read(0)], [false, 3, "abc"]);
});

Deno.test("HeldInput: the feeder is told of the first byte at once, of many at intervals, and of the last ones too", async () => {
  await using place = await heldInput();
  const { files } = place;
  const { now } = performance;
  // However slow the host is, they come at once.
  performance.now = () => 1_000;
  try {
    using input = await place.open();
    await input.append(bytes("a"));
    assert(await files.wasRung());
    for (let count = 0; count < 3; count++) await input.append(bytes("b"));
  } finally {
    performance.now = now;
  }
  await until("the feeder to be told of the rest", files.wasRung);
});

Deno.test("HeldInput: a job that has closed its input is noticed after the next byte, and the end is kept", async () => {
  await using place = await heldInput();
  using input = await place.open();
  assert(!input.hasNewsToCome);
  await input.append(bytes("a"));
  assert(input.hasNewsToCome);
  // The feeder takes longer than the first look.
  assert.equal(await input.look(signal), false);
  assert(input.hasNewsToCome);
  await place.files.leave();
  assert.equal(await input.look(signal), true);
  assert(input.isUnread);
  await input.end();
  using next = await place.open();
  assert.deepEqual([next.isUnread, next.isEnded, next.heldBytes], [true, true, 1]);
});
