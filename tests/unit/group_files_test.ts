/** Control groups read, awaited and removed. They are faked by plain folders (tests/support/fake_groups.ts). */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { CounterName, Placement } from "../../lib/cgroup/types.ts";
import {
  hasProcesses,
  insistOnDiscarding,
  isVacated,
  parseFiles,
  readCounters,
  removeEmptyGroups,
  removeGroups,
  whenEmpty,
} from "../../lib/executor/group_files.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { runScript } from "../../lib/shim/shell.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeGroups } from "../support/fake_groups.ts";
import { IdleProcess } from "../support/idle_process.ts";
import { isSettled } from "../support/settled.ts";

Deno.test("parseFiles: each file's lines; a file that is not there is empty", () => {
  const text = "file /a b\none\n  two\n\nend\nfile /absent\nend\nfile /c\nx\nend\n";
  const expected = [["/a b", "one\n  two\n\n"], ["/absent", ""], ["/c", "x\n"]];
  assert.deepEqual([...parseFiles(text)], expected);
});

Deno.test("parseFiles: what was cut short keeps whole lines, and what belongs to no file is dropped", () => {
  assert.deepEqual([...parseFiles("")], []);
  assert.deepEqual([...parseFiles("file /a")], []);
  assert.deepEqual([...parseFiles("file /a\n")], [["/a", ""]]);
  assert.deepEqual([...parseFiles("file /a\none\ntw")], [["/a", "one\n"]]);
  assert.deepEqual([...parseFiles("before\nfile /a\none\nend\nbetween\nfile /b\nx\nen")], [
    ["/a", "one\n"],
    ["/b", "x\n"],
  ]);
});

Deno.test("readCounters: each placement's own texts, without what is gone or empty", async () => {
  await using groups = await FakeGroups.make();
  const place = async (name: string, files: Partial<Record<CounterName, string>>) => {
    const group = await groups.group(name, files);
    const names: CounterName[] = ["cpu.stat", "memory.current", "pids.current"];
    const counters = names.map((counter) => ({ name: counter, file: join(group, counter) }));
    return { groups: [group], tracker: group, populatedFile: "", counters };
  };
  const first = await place("first", { "cpu.stat": "usage_usec 5\nx 1\n", "pids.current": "1\n" });
  const gone = await place("gone", {});
  const second = await place("second", { "memory.current": "7\n", "pids.current": "" });
  const read = (files: readonly string[]) => runScript(scripts.read, files);
  assert.deepEqual(await readCounters([first, gone, second], read), [
    new Map([["cpu.stat", "usage_usec 5\nx 1\n"], ["pids.current", "1\n"]]),
    new Map(),
    new Map([["memory.current", "7\n"]]),
  ]);
  assert.deepEqual(await readCounters([], read), []);
});

/** A placement whose populated file has this name and text. */
async function placementWith(groups: FakeGroups, file: string, text: string): Promise<Placement> {
  const group = await groups.group("job", { [file]: text });
  return { groups: [group], tracker: group, populatedFile: join(group, file), counters: [] };
}

Deno.test("hasProcesses: cgroup.events says it by its line, cgroup.procs by having a process", async () => {
  const cases: [file: string, text: string, expected: boolean][] = [
    ["cgroup.events", "populated 1\nfrozen 0\n", true],
    ["cgroup.events", "frozen 0\npopulated 1\n", true],
    ["cgroup.events", "populated 0\nfrozen 1\n", false],
    ["cgroup.events", "populated 10\n", false],
    ["cgroup.events", "unpopulated 1\n", false],
    ["cgroup.events", "", false],
    ["cgroup.procs", "1\n", true],
    ["cgroup.procs", "12\n345\n", true],
    ["cgroup.procs", "", false],
    ["cgroup.procs", "\n", false],
    // A process that cannot be seen from here, nor ended.
    ["cgroup.procs", "0\n", false],
  ];
  for (const [file, text, expected] of cases) {
    await using groups = await FakeGroups.make();
    const placement = await placementWith(groups, file, text);
    assert.equal(await hasProcesses(placement), expected, `${file} ${JSON.stringify(text)}`);
  }
});

Deno.test("hasProcesses: cgroup.procs counts with those of the groups that the job has made", async () => {
  await using groups = await FakeGroups.make();
  const placement = await placementWith(groups, "cgroup.procs", "");
  await groups.group("job/in ner", { "cgroup.procs": "" });
  assert.equal(await hasProcesses(placement), false);
  await groups.group("job/in ner/most", { "cgroup.procs": "17\n" });
  assert.equal(await hasProcesses(placement), true);
});

Deno.test("isVacated: groups go when no process is left, and only then", async () => {
  await using groups = await FakeGroups.make();
  const placement = await groups.place("job", { populated: true });
  await groups.group("job/inner");
  assert.equal(await isVacated(placement), false);
  assert(await Deno.stat(groups.path("job/inner")), "the job may be about to use it");
  await groups.setPopulated(placement, false);
  assert.equal(await isVacated(placement), true);
  await assert.rejects(Deno.stat(placement.tracker), Deno.errors.NotFound);
  assert.equal(await isVacated(placement), true);
});

Deno.test("hasProcesses: a process that has left the tracker for another of the job's groups counts", async () => {
  await using groups = await FakeGroups.make();
  const placement = await groups.place("job", { populated: false });
  const other = await groups.group("other", { "cgroup.procs": "" });
  const both = { ...placement, groups: [...placement.groups, other] };
  assert.equal(await hasProcesses(both), false);
  await Deno.writeTextFile(join(other, "cgroup.procs"), "12\n");
  assert.equal(await hasProcesses(both), true);
  // Of a cgroup v2 group, a list of processes is not asked for: the file of events knows them all.
  await Deno.writeTextFile(join(placement.tracker, "cgroup.procs"), "12\n");
  assert.equal(await hasProcesses(placement), false);
});

Deno.test("hasProcesses: a group that is gone has none", async () => {
  await using groups = await FakeGroups.make();
  const placement = await placementWith(groups, "cgroup.events", "populated 1\n");
  await Deno.remove(placement.tracker, { recursive: true });
  assert.equal(await hasProcesses(placement), false);
  await whenEmpty(placement);
});

Deno.test("hasProcesses: a group that is there and cannot be read is not taken for an empty one", async () => {
  await using groups = await FakeGroups.make();
  const placement = await groups.place("job", { populated: false });
  await Deno.remove(placement.populatedFile);
  // A socket can be found, and not be opened.
  using _socket = Deno.listen({ transport: "unix", path: placement.populatedFile });
  await assert.rejects(hasProcesses(placement), /script failed/);
  const waiting = whenEmpty(placement, 1);
  assert(!await isSettled(waiting));
  await Deno.remove(placement.populatedFile);
  await waiting;
});

Deno.test("discardGroups: what cannot be killed is told, and killed by a later attempt", async () => {
  await using groups = await FakeGroups.make();
  await using process = new IdleProcess();
  const group = await groups.group("job", { "cgroup.procs": `${process.pid}\n` });
  using log = new CapturedLog();
  const { Command } = Deno;
  Deno.Command = class {
    constructor() {
      Deno.Command = Command;
      throw new Error("Resource temporarily unavailable (os error 11)");
    }
  } as unknown as typeof Deno.Command;
  await insistOnDiscarding([group]);
  assert.deepEqual(log.messages("error"), [
    "cannot kill what a failed start has left, trying again",
  ]);
  assert.equal(await process.signal(), "SIGKILL");
});

Deno.test("whenEmpty: waits until no process is left", async () => {
  await using groups = await FakeGroups.make();
  const placement = await groups.place("job", { populated: true });
  let isSettled = false;
  const waiting = whenEmpty(placement, 1).finally(() => isSettled = true);
  // Each takes as long as one of its checks.
  for (let check = 0; check < 10; check++) assert.equal(await hasProcesses(placement), true);
  assert.equal(isSettled, false);
  await groups.setPopulated(placement, false);
  await waiting;
});

Deno.test("removeGroups: groups in a group go too; one that is in use stays, and the others go", async () => {
  await using groups = await FakeGroups.make();
  const empty = await groups.group("empty");
  const nested = await groups.group("nested");
  await groups.group("nested/inner");
  // A plain file keeps a folder from being removed, as a process keeps a group.
  const busy = await groups.group("busy", { "cgroup.procs": "999999999\n" });
  await removeGroups([empty, busy, groups.path("absent"), nested]);
  assert.deepEqual([...Deno.readDirSync(groups.folder)].map(({ name }) => name), ["busy"]);
});

Deno.test("removeEmptyGroups: says what is left", async () => {
  await using groups = await FakeGroups.make();
  const empty = await groups.group("empty");
  const busy = await groups.group("busy", { "cgroup.procs": "999999999\n" });
  assert.deepEqual(await removeEmptyGroups([empty, busy, groups.path("absent")]), [busy]);
});
