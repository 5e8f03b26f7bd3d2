/**
 * The shell scripts, run by the host's /bin/sh. Control groups are faked by plain folders
 * (tests/support/fake_groups.ts); the processes are real.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { entryEnvironment } from "../../lib/executor/job_environment.ts";
import { SpareShell } from "../../lib/executor/spare_shell.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import copyText from "../../lib/shim/copy.sh" with { type: "text" };
import ownProgramText from "../../lib/shim/own_program.sh" with { type: "text" };
import { scripts } from "../../lib/shim/scripts.ts";
import {
  listeningShell,
  MAX_SCRIPTS,
  PROGRAM_PATH,
  quoteForShell,
  runScript,
  stripComments,
} from "../../lib/shim/shell.ts";
import { FakeGroups } from "../support/fake_groups.ts";
import { testUnless } from "../support/skip.ts";
import { IdleProcess, readKernelFile } from "../support/idle_process.ts";
import { run } from "../support/run.ts";
import { inTime, until } from "../support/wait.ts";

/** Prints what `parse_stat` makes of a line. */
async function parseStat(line: string): Promise<string> {
  const [functions = ""] = scripts.alive.split("set -f\n");
  return await runScript(
    `${functions}set -fu; parse_stat "$1"; echo "$state,$nice,$start_time"`,
    [line],
  );
}

/** A line of proc(5) with the numbers of its fields as values, but for the name and the state. */
function statLine(name: string, state = "S"): string {
  const fields = Array.from({ length: 52 - 3 }, (_, index) => index + 4);
  return `1 (${name}) ${state} ${fields.join(" ")}`;
}

Deno.test("parse_stat: state and start time, whatever the process is called", async () => {
  const names = ["sleep", "a b", "a) b (c", ") S 4 5", "(", ")", "))", "*", "/*", "$(id)", "a\tb"];
  for (const name of names) assert.equal(await parseStat(statLine(name)), "S,19,22\n", name);
  assert.equal(await parseStat(statLine("x", "Z")), "Z,19,22\n");
});

Deno.test("parse_stat: a line that is cut short has no start time, and is not an error", async () => {
  for (const line of ["", "1", "1 (a", "1 (a) ", "1 (a) S", "1 (a) S 4 5 6"]) {
    assert.match(await parseStat(line), /,\n$/, line);
  }
});

Deno.test("alive.sh: prints the processes that are alive with their own start time", async () => {
  await using groups = await FakeGroups.make();
  await using odd = await IdleProcess.named("a) b (c", groups.folder);
  await using plain = new IdleProcess();
  const alive = [
    `${odd.pid}:${await odd.startTime()}`,
    `${plain.pid}:${await plain.startTime()}`,
  ];
  const others = [
    `${plain.pid}:${Number(await plain.startTime()) - 1}`,
    `${plain.pid}:`,
    `${plain.pid}`,
    `${plain.pid}:*`,
    "999999999:1",
    "self:1",
  ];
  const printed = await runScript(scripts.alive, [...others, ...alive, ...others]);
  assert.deepEqual(printed, `${alive.join("\n")}\n`);
  assert.equal(await runScript(scripts.alive), "");
});

Deno.test("alive.sh: a process that has ended is not alive, also before its parent has waited for it", async () => {
  // The shell becomes sleep(1), which never waits for the child that the shell had. That one ends behind it: else
  // the shell may wait for it.
  const script =
    '(while read -r name </proc/$$/comm && [ "$name" != sleep ]; do :; done) & echo $!; ' +
    "exec /bin/sleep 1000";
  const parent = new Deno.Command("/bin/sh", { args: ["-c", script], stdout: "piped" }).spawn();
  try {
    const reader = parent.stdout.getReader();
    const pid = Number(new TextDecoder().decode((await reader.read()).value));
    const isZombie = `
      until read -r stat </proc/${pid}/stat && parse_stat "$stat" && [ "$state" = Z ]; do
        /bin/sleep 0.01
      done
      echo "$start_time"`;
    const [functions = ""] = scripts.alive.split("set -f\n");
    const startTime = (await runScript(`${functions}set -f\n${isZombie}`)).trim();
    assert.match(startTime, /^\d+$/);
    assert.equal(await runScript(scripts.alive, [`${pid}:${startTime}`]), "");
    await reader.cancel();
  } finally {
    parent.kill("SIGKILL");
    await parent.status;
  }
});

Deno.test("signal.sh: a signal reaches the processes of all groups, and of groups within them", async () => {
  await using groups = await FakeGroups.make();
  await using outer = new IdleProcess();
  await using inner = new IdleProcess();
  await using deepest = new IdleProcess();
  await using second = new IdleProcess();
  await using outside = new IdleProcess();
  const tracker = await groups.group("job", { "cgroup.procs": `${outer.pid}\n` });
  await groups.group("job/in ner", { "cgroup.procs": `999999999\n${inner.pid}\n` });
  await groups.group("job/in ner/deepest", { "cgroup.procs": `${deepest.pid}\n` });
  const other = await groups.group("other", { "cgroup.procs": `${second.pid}\n` });
  await groups.group("outside", { "cgroup.procs": `${outside.pid}\n` });
  await runScript(scripts.signal, ["USR1", groups.path("absent"), tracker, other]);
  for (const process of [outer, inner, deepest, second]) {
    assert.equal(await process.signal(), "SIGUSR1");
  }
  assert.equal(outside.ended, undefined);
});

Deno.test("signal.sh: says whether there was a process, also for SIGKILL by cgroup.kill", async () => {
  await using groups = await FakeGroups.make();
  await using process = new IdleProcess();
  const procs = { "cgroup.procs": `${process.pid}\n` };
  const empty = await groups.group("empty", { "cgroup.procs": "" });
  const gone = await groups.group("gone", { "cgroup.procs": "999999999\n" });
  const killed = await groups.group("killed", {
    "cgroup.kill": "",
    "cgroup.events": "populated 1\n",
  });
  const idle = await groups.group("idle", { "cgroup.kill": "", "cgroup.events": "populated 0\n" });
  const busy = await groups.group("outer/inner", procs);
  const send = (signals: string, ...names: string[]) =>
    runScript(scripts.signal, [signals, ...names]);
  for (const group of [empty, gone, idle, groups.path("absent")]) {
    assert.equal(await send("KILL", group), "", group);
    assert.equal(await send("TERM CONT", group), "", group);
  }
  assert.equal(await send("KILL", killed), "reached\n");
  assert.equal(await send("KILL", empty, busy), "reached\n");
  assert.equal(await process.signal(), "SIGKILL");
});

Deno.test("signal.sh: a stopped process hears SIGTERM by the SIGCONT that follows", async () => {
  await using groups = await FakeGroups.make();
  await using process = new IdleProcess();
  const group = await groups.group("job", { "cgroup.procs": `${process.pid}\n` });
  await runScript(scripts.signal, ["STOP", group]);
  await runScript(scripts.signal, ["TERM", group]);
  assert.equal(process.ended, undefined);
  assert.equal(await runScript(scripts.signal, ["TERM CONT", group]), "reached\n");
  assert.equal(await process.signal(), "SIGTERM");
});

Deno.test("signal.sh: a main process that has left the job's groups has each signal once, and no other one has its id", async () => {
  await using groups = await FakeGroups.make();
  await using moved = new IdleProcess();
  await using stays = new IdleProcess();
  const group = await groups.group("job", { "cgroup.procs": `${stays.pid}\n` });
  const mainOf = async (process: IdleProcess) => `${process.pid}:${await process.startTime()}`;
  const send = (signals: string, main: string) => runScript(scripts.signal, [signals, main, group]);
  const empty = await groups.group("empty", { "cgroup.procs": "" });
  for (const signals of ["TERM CONT", "KILL"]) {
    const args = [signals, `${moved.pid}:1`, empty];
    assert.equal(await runScript(scripts.signal, args), "", "another process has that id now");
  }
  assert.equal(await send("USR1", await mainOf(moved)), "reached\n");
  assert.equal(await moved.signal(), "SIGUSR1");
  assert.equal(await stays.signal(), "SIGUSR1");
});

Deno.test("signal.sh: a main process in its groups is sent each signal once", async () => {
  await using groups = await FakeGroups.make();
  await using main = new IdleProcess();
  const group = await groups.group("job");
  await groups.group("job/inner", { "cgroup.procs": `${main.pid}\n` });
  const script = `kill() { echo "$@"; }\n${scripts.signal}`;
  for (const signals of ["USR1 CONT", "HUP"]) {
    const args = [signals, `${main.pid}:${await main.startTime()}`, group];
    const sent = signals.split(" ").map((signal) => `-s ${signal} ${main.pid}\n`);
    assert.equal(await runScript(script, args), `${sent.join("")}reached\n`);
  }
});

Deno.test("signal.sh: nobody but the main process, or the first one so many levels below it", async () => {
  const script = "sh -c 'sleep 1000 & echo $!; sleep 1000 & wait' & echo $!; wait";
  const main = new Deno.Command("setsid", { args: ["sh", "-c", script], stdout: "piped" }).spawn();
  const output = main.stdout.pipeThrough(new TextDecoderStream());
  let text = "";
  try {
    for await (const part of output) {
      text += part;
      if (/^\d+\n\d+\n$/.test(text)) break;
    }
    const stat = await readKernelFile(`/proc/${main.pid}/stat`);
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[22 - 3];
    const print = (levels: number, start = startTime) =>
      runScript(`kill() { echo "$@"; }\n${scripts.signal}`, [
        "KILL",
        `${main.pid}:${start}:${levels}`,
      ]);
    assert.equal(await print(0), `-s KILL ${main.pid}\nreached\n`);
    const pids = await Promise.all(
      [print(1), print(2)].map(async (printed) =>
        /^-s KILL (\d+)\nreached\n$/.exec(await printed)?.[1]
      ),
    );
    assert.deepEqual(new Set(pids), new Set(text.trim().split("\n")));
    assert.equal(await print(3), "");
    assert.equal(await print(0, "1"), "");
  } finally {
    await new Deno.Command("kill", { args: ["-s", "KILL", "--", `-${main.pid}`] }).output();
    await main.status;
  }
});

Deno.test("signal.sh: SIGKILL ends all processes below a main process that has left the job's groups", async () => {
  await using groups = await FakeGroups.make();
  const script =
    "trap '' TERM; sh -c 'echo $$; sleep 1000; :' & sh -c 'echo $$; sleep 1000; :' & wait";
  const main = new Deno.Command("setsid", { args: ["sh", "-c", script], stdout: "piped" }).spawn();
  const output = main.stdout.pipeThrough(new TextDecoderStream());
  let text = "";
  const group = await groups.group("job", { "cgroup.kill": "", "cgroup.events": "populated 0\n" });
  for await (const part of output) {
    text += part;
    if (!/^\d+\n\d+\n$/.test(text)) continue;
    const stat = await readKernelFile(`/proc/${main.pid}/stat`);
    const startTime = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[22 - 3];
    const args = ["KILL", `${main.pid}:${startTime}`, group];
    assert.equal(await runScript(scripts.signal, args), "reached\n");
  }
  // The pipe has ended: the two shells and what they have started, which hold it, are gone.
  assert.equal((await main.status).signal, "SIGKILL");
});

Deno.test("states.sh: prints what is left of a job and in which state, its main process also outside its groups", async () => {
  await using groups = await FakeGroups.make();
  await using main = new IdleProcess();
  await using inner = new IdleProcess();
  const startTime = await main.startTime();
  await inner.startTime();
  const group = await groups.group("job", { "cgroup.procs": "0\n999999999\n" });
  await groups.group("job/inner", { "cgroup.procs": `${inner.pid}\n` });
  const print = async (...args: string[]) =>
    (await runScript(scripts.states, args)).replaceAll(" R\n", " S\n"); // Not yet asleep.
  assert.equal(await print(`${main.pid}:${startTime}`, group), `${main.pid} S\n${inner.pid} S\n`);
  assert.equal(await print(`${main.pid}:1`, group), `${inner.pid} S\n`);
  const many = await groups.group("many", { "cgroup.procs": `${inner.pid}\n`.repeat(50) });
  assert.equal(await print(many), `${inner.pid} S\n`.repeat(10));
});

Deno.test("SpareShell: sends signals without another process, one call after the other", async () => {
  await using groups = await FakeGroups.make();
  await using one = new IdleProcess();
  await using other = new IdleProcess();
  const first = await groups.group("it's one", { "cgroup.procs": `${one.pid}\n` });
  const second = await groups.group("second", { "cgroup.procs": `${other.pid}\n` });
  const shell = new SpareShell();
  await assert.rejects(shell.send(["KILL", first]), /no shell is ready/);
  shell.prepare();
  try {
    const { Command } = Deno;
    Deno.Command = class {
      constructor() {
        throw new Error("Resource temporarily unavailable (os error 11)");
      }
    } as unknown as typeof Deno.Command;
    try {
      shell.prepare(); // The one that is ready stays.
      const sent = await Promise.all([
        shell.send(["USR1", groups.path("absent")]),
        shell.send(["USR1", first]),
        shell.send(["KILL", second]),
      ]);
      assert.deepEqual(sent, ["ended\n", "reached\nended\n", "reached\nended\n"]);
    } finally {
      Deno.Command = Command;
    }
    assert.equal(await one.signal(), "SIGUSR1");
    assert.equal(await other.signal(), "SIGKILL");
  } finally {
    await shell.close();
  }
});

Deno.test("signal.sh: SIGKILL goes by cgroup.kill, where the kernel has it, and only SIGKILL", async () => {
  await using groups = await FakeGroups.make();
  await using process = new IdleProcess();
  const files = { "cgroup.procs": `${process.pid}\n`, "cgroup.kill": "" };
  const group = await groups.group("job", files);
  await runScript(scripts.signal, ["KILL", group]);
  assert.equal(await Deno.readTextFile(join(group, "cgroup.kill")), "1\n");
  assert.equal(process.ended, undefined, "the kernel does it, and there is none in this test");
  await Deno.writeTextFile(join(group, "cgroup.kill"), "");
  await runScript(scripts.signal, ["TERM", group]);
  assert.equal(await process.signal(), "SIGTERM");
  assert.equal(await Deno.readTextFile(join(group, "cgroup.kill")), "");
});

Deno.test("signal.sh: with cgroup v1, a group is frozen while its processes are killed", async () => {
  await using groups = await FakeGroups.make();
  await using process = new IdleProcess();
  const group = await groups.group("job", { "cgroup.procs": `${process.pid}\n` });
  // A pipe in the file's place keeps both writes, in their order.
  const state = join(group, "freezer.state");
  await new Deno.Command("mkfifo", { args: [state] }).output();
  const script =
    'exec 3<>"$1"; echo; read -r first <&3; read -r last <&3; echo "$first $last"; exec /bin/sleep 1000';
  const reader = new Deno.Command("sh", { args: ["-c", script, "x", state], stdout: "piped" });
  const reading = reader.spawn();
  const output = reading.stdout.values();
  try {
    await output.next(); // It has opened the pipe.
    await runScript(scripts.signal, ["KILL", group]);
    assert.equal(await process.signal(), "SIGKILL");
    const { value } = await inTime("more output", output.next(), 2000);
    assert.equal(new TextDecoder().decode(value), "FROZEN THAWED\n");
  } finally {
    reading.kill("SIGKILL");
    await reading.status;
    await output.return?.();
  }
});

Deno.test("signal.sh: without cgroup.kill, SIGKILL takes the right to fork, and freezes; groups within are thawed too", async () => {
  await using groups = await FakeGroups.make();
  await using process = new IdleProcess();
  const files = { "cgroup.procs": "", "pids.max": "200", "cgroup.freeze": "1" };
  const group = await groups.group("job", files);
  const inner = await groups.group("job/inner", {
    "cgroup.procs": `${process.pid}\n`,
    "freezer.state": "FROZEN",
  });
  const other = await groups.group("other", { "cgroup.procs": "", "pids.max": "max" });
  await runScript(scripts.signal, ["KILL", group, other]);
  assert.equal(await process.signal(), "SIGKILL");
  const read = (...path: string[]) => Deno.readTextFile(join(...path));
  assert.equal(await read(group, "pids.max"), "0\n");
  assert.equal(await read(other, "pids.max"), "0\n");
  assert.equal(await read(group, "cgroup.freeze"), "0\n");
  assert.equal(await read(inner, "freezer.state"), "THAWED\n");
});

Deno.test("signal.sh: SIGKILL looks again until it finds no other process, also where one does not end", async () => {
  await using groups = await FakeGroups.make();
  await using parent = new IdleProcess();
  await using child = new IdleProcess();
  const group = await groups.group("job");
  // A pipe in the file's place: the first reader does not see the child yet.
  const procs = join(group, "cgroup.procs");
  await new Deno.Command("mkfifo", { args: [procs] }).output();
  const script = 'echo "$2" >"$1"; while sleep 0.05; do printf "%s\\n" "$2" "$3" >"$1"; done';
  const kernel = new Deno.Command("sh", {
    args: ["-c", script, "x", procs, `${parent.pid}`, `${child.pid}`],
  }).spawn();
  try {
    await inTime("the kill", runScript(scripts.signal, ["KILL", group]), 5000);
    assert.equal(await parent.signal(), "SIGKILL");
    assert.equal(await child.signal(), "SIGKILL");
  } finally {
    kernel.kill("SIGKILL");
    await kernel.status;
  }
});

Deno.test("signal.sh: a process that this one cannot see (0) is passed over", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("job", { "cgroup.procs": "0\n" });
  for (const signals of ["TERM", "KILL"]) {
    // In a session of its own: where 0 goes to kill(1), this test's own group would end.
    const args = ["--wait", "/bin/sh", "-c", scripts.signal, "job-worker", signals, group];
    const { code, stdout } = await new Deno.Command("setsid", { args }).output();
    assert.deepEqual([code, new TextDecoder().decode(stdout)], [0, ""], signals);
  }
});

Deno.test("populated.sh: tells of the processes of all groups, and of groups within them", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("job", { "cgroup.procs": "" });
  const other = await groups.group("other", { "cgroup.procs": "" });
  const file = join(group, "cgroup.procs");
  assert.equal(await runScript(scripts.populated, [file, group, other]), "");
  await groups.group("other/in ner/deepest", { "cgroup.procs": "12\n" });
  assert.equal(await runScript(scripts.populated, [file, group, other]), "12\n");
  assert.equal(await runScript(scripts.populated, [file, groups.path("absent")]), "");
});

Deno.test("read.sh: each file between its name and an end, with what it holds kept as it is", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("a b", {
    "x": "  one\\n *\n\nlast\n",
    "empty": "",
    "cut": "no end",
  });
  const printed = await runScript(scripts.read, [
    `${group}/x`,
    `${group}/absent`,
    `${group}/empty`,
    `${group}/cut`,
  ]);
  const expected = `file ${group}/x\n  one\\n *\n\nlast\nend\nfile ${group}/absent\nend\n` +
    `file ${group}/empty\nend\nfile ${group}/cut\nend\n`;
  assert.equal(printed, expected);
});

Deno.test("remove.sh: groups go with the groups in them; what cannot be removed stays", async () => {
  await using groups = await FakeGroups.make();
  const nested = await groups.group("nested");
  await groups.group("nested/inner/most");
  await groups.group("nested/in ner");
  await using process = new IdleProcess();
  const busy = await groups.group("busy", { "cgroup.procs": `${process.pid}\n` });
  const empty = await groups.group("empty");
  await runScript(scripts.remove, [nested, groups.path("absent"), busy, empty]).catch(() => {});
  assert.equal(await process.signal(), "SIGKILL", "the job has ended, and a process of it is left");
  const left = [...Deno.readDirSync(groups.folder)].map(({ name }) => name);
  assert.deepEqual(left, ["busy"]);
});

Deno.test("enable.sh: controllers are enabled from the top down, and the last group's list is printed", async () => {
  await using groups = await FakeGroups.make();
  const outer = await groups.group("outer", { "cgroup.subtree_control": "" });
  const inner = await groups.group("outer/inner", { "cgroup.subtree_control": "" });
  // A plain file keeps the last write only, so that one is what is printed.
  assert.equal(await runScript(scripts.enable, ["cpu memory", outer, inner]), "+memory\n");
  assert.equal(await Deno.readTextFile(join(outer, "cgroup.subtree_control")), "+memory\n");
});

Deno.test("probe.sh: says the boot and the descriptors that it has inherited, and misses no program here", async () => {
  const printed = await runScript(scripts.probe);
  assert.match(printed, /^boot [0-9a-f-]{36}$/m);
  assert.doesNotMatch(printed, /^missing /m);
  const script = `exec 7</dev/null; ${scripts.probe}`;
  assert.doesNotMatch(await runScript(script), /^descriptor 7$/m, "a shell can close that one");
});

testUnless(navigator.hardwareConcurrency < 2 ? "there is one processor" : undefined, {
  name: "probe.sh: says all processors where the server was started with fewer",
  fn: async () => {
    assert.doesNotMatch(await runScript(scripts.probe), /^processors /m);
    const restricted = `taskset -pc 0 "$$" >/dev/null\n${scripts.probe}`;
    assert.match(await runScript(restricted), /^processors 0-\d+$/m);
  },
});

Deno.test("probe.sh: names the programs that the host lacks", async () => {
  await using groups = await FakeGroups.make();
  const printed = await runScript(`PATH=${groups.folder}\n${scripts.probe}`);
  const missing = [...printed.matchAll(/^missing (.*)$/gm)].map(([, program]) => program);
  assert.deepEqual(missing, ["setsid", "sleep", "rmdir", "env", "fallocate"]);
});

/** A folder with these programs, which are busybox's, before or behind those of the host. */
async function withBusybox(
  programs: readonly string[],
  script: string,
  args: readonly string[] = [],
  path = (folder: string) => folder,
): Promise<string> {
  await using groups = await FakeGroups.make();
  // Every host has some program that can stand in for busybox; the links are what is recognized.
  await Deno.writeTextFile(groups.path("busybox"), "#!/bin/sh\necho wrong\nexit 1\n", {
    mode: 0o755,
  });
  for (const program of programs) await Deno.symlink("busybox", groups.path(program));
  const busybox = script.replace("/bin/busybox", groups.path("busybox"));
  return await runScript(`PATH=${path(groups.folder)}\n${busybox}`, args);
}

Deno.test("busybox: a program of the same name that can do less is named, not the filesystem or the user", async () => {
  const why = String.raw`\(busybox's cannot do what the one of util-linux or libc-bin can\)`;
  const probed = await withBusybox(["fallocate"], scripts.probe);
  assert.match(probed, new RegExp(`^missing fallocate ${why}$`, "m"));
  const user = await withBusybox(["getent", "setpriv"], scripts.user, ["root"]);
  assert.doesNotMatch(user, /^user /m);
  for (const program of ["getent", "setpriv"]) {
    assert.match(user, new RegExp(`^missing ${program} ${why}$`, "m"));
  }
});

Deno.test("busybox: util-linux's own programs are taken, wherever they are in the PATH", async () => {
  const both = (folder: string) => `${folder}:${PROGRAM_PATH}`;
  const programs = ["fallocate", "getent", "setpriv"];
  assert.doesNotMatch(await withBusybox(programs, scripts.probe, [], both), /^missing/m);
  const user = await withBusybox(programs, scripts.user, ["root"], both);
  assert.match(user, /^user root:/m);
  assert.doesNotMatch(user, /^missing/m);
  const file = await Deno.makeTempFile();
  await Deno.writeFile(file, new Uint8Array(8192));
  assert.equal(await withBusybox(programs, scripts.punch, ["4096", file], both), "");
  await Deno.remove(file);
});

Deno.test("copy.sh: asks the disk for room where no separator of fields is set, as copying has it", async () => {
  await using groups = await FakeGroups.make();
  const file = groups.path("output");
  await Deno.writeTextFile(file, "kept");
  const script =
    `set -uf\n${stripComments(ownProgramText + copyText)}\nunset IFS\nposition=0 lost=0\n` +
    'make_room "$1" && echo "room ${IFS-unset}"';
  assert.equal(await runScript(script, [file]), "room unset\n");
});

Deno.test("punch.sh: says which files it could not cut", async () => {
  await using groups = await FakeGroups.make();
  const file = groups.path("output");
  await Deno.writeTextFile(file, "x".repeat(3 * 4096));
  const absent = groups.path("ab sent");
  assert.equal(await runScript(scripts.punch, ["4096", file, "4096", absent]), `${absent}\n`);
  const text = await Deno.readTextFile(file);
  assert.equal(text, "\0".repeat(4096) + "x".repeat(2 * 4096));
});

Deno.test("weigh.sh: writes what the kernel has, and makes no file that it has not", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("jobs", { "cpu.weight": "100" });
  const files = [join(group, "io.weight"), "10", join(group, "cpu.weight"), "10"];
  assert.equal(await runScript(scripts.weigh, files), "");
  assert.equal(await Deno.readTextFile(join(group, "cpu.weight")), "10\n");
  assert.deepEqual([...Deno.readDirSync(group)].map(({ name }) => name), ["cpu.weight"]);
});

Deno.test("SpareShell: a shell that is stuck is not waited for", async () => {
  await using groups = await FakeGroups.make();
  const group = await groups.group("job");
  const procs = join(group, "cgroup.procs");
  await new Deno.Command("mkfifo", { args: [procs] }).output();
  const shell = new SpareShell();
  shell.prepare();
  {
    // Who reads the pipe waits for as long as it is open here, also where this process is killed.
    using _pipe = await Deno.open(procs, { read: true, write: true });
    await assert.rejects(shell.send(["KILL", group], 50), /does not answer/);
    await Deno.remove(procs);
  }
  await shell.send(["KILL", groups.path("absent")]);
  await shell.close();
});

Deno.test("user.sh: the user's line, where there is such a user", async () => {
  assert.match(await runScript(scripts.user, ["root"]), /^user root:[^:]*:0:0:/);
  for (const name of ["no-such-user-here", "", "--help"]) {
    assert.doesNotMatch(await runScript(scripts.user, [name]), /^user /m, name);
  }
});

/** Runs enter.sh from its stage `user` on, as root; what it reports, and what the command prints. */
async function enter(
  environment: Readonly<Record<string, string>>,
  command: readonly string[],
  [program, ...options]: readonly [string, ...string[]] = ["/bin/sh"],
  script: string = scripts.enter,
): Promise<string> {
  const { stdout } = await new Deno.Command(program, {
    args: [...options, "-c", `exec 3>&1; ${script}`, "job-worker", "user", ...command],
    clearEnv: true,
    env: {
      PATH: PROGRAM_PATH,
      job_worker_folder: "/",
      job_worker_started: "started 12",
      job_worker_others: "0",
      ...environment,
    },
  }).output();
  return new TextDecoder().decode(stdout);
}

/** Prints what a launcher reports that begins its launch record in a folder. */
async function beginRecord(folder: string): Promise<string> {
  // The functions of the launcher, without what it does at its start.
  const functions = scripts.launch.slice(0, scripts.launch.indexOf("\nexec 3>&-"));
  return await runScript(
    `set -- x y; ${functions}\nfolder=${quoteForShell(folder)} groups= myself='1 2 3'\n` +
      "begin_launch_record\necho begun",
  );
}

Deno.test("launch_record.sh: the record is begun, and a start that was withdrawn is not", async () => {
  await using groups = await FakeGroups.make();
  assert.equal(await beginRecord(groups.folder), "begun\n");
  const record = await Deno.readTextFile(join(groups.folder, "launch"));
  assert.equal(record.trimEnd(), "launcher 1 2 3");
  assert.equal(record.length, 4096);
  const withdrawn = await groups.group("withdrawn", { launch: "withdrawn\n" });
  assert.equal(await beginRecord(withdrawn), "");
  assert.equal(await Deno.readTextFile(join(withdrawn, "launch")), "withdrawn\n");
});

Deno.test("launch_record.sh: a record that cannot be made is a refusal with the kernel's reason", async () => {
  await using groups = await FakeGroups.make();
  assert.match(
    await beginRecord(groups.path("gone")),
    /^refused launch-record\nrefused (?:Directory nonexistent|No such file or directory)\n$/,
  );
  // A part of it was written: that is no record of another launcher.
  const full = await groups.group("full", { launch: " ".repeat(1024) });
  Deno.symlinkSync("/dev/full", join(full, "refused"));
  assert.equal(
    await beginRecord(full),
    "refused launch-record\nrefused No space left on device\n",
  );
});

Deno.test("enter.sh: a command gets its folder and variables, and none of the launcher's", async () => {
  const printed = await enter({
    job_worker_folder: "/usr",
    job_worker_names: "A\nPATH",
    job_worker_env_A: "one\n' $(id)",
    job_worker_env_PATH: "/bin:/usr/bin",
    job_worker_others: "2",
    job_worker_other_1: "job_worker_folder=kept",
    job_worker_other_2: "-u b.c=d\n=e",
    job_worker_user: "",
    job_worker_input: "file",
  }, ["env"]);
  const lines = printed.split("\n").filter((line) => line !== "");
  assert.deepEqual(lines.sort(), [
    "' $(id)",
    "-u b.c=d",
    "=e",
    "A=one",
    "PATH=/bin:/usr/bin",
    "PWD=/usr",
    "job_worker_folder=kept",
    "started 12",
  ]);
});

Deno.test("enter.sh: what cannot be started is a refusal, and nothing is run", async () => {
  await using groups = await FakeGroups.make();
  await Deno.writeTextFile(groups.path("plain"), "x");
  await Deno.writeTextFile(groups.path("a=b"), "#!/bin/sh\necho run\n", { mode: 0o755 });
  const cases: [folder: string, name: string, printed: string][] = [
    ["/no/such", "env", "refused working-directory\n"],
    ["/", "no-such-program", "refused not-found\n"],
    ["/", "/no/such", "refused not-found\n"],
    ["/usr", "./bin", "refused folder\n"],
    [groups.folder, "./plain", "refused not-executable\n"],
    [groups.folder, "./a=b", "started 12\nrun\n"],
    [groups.folder, "a=b", "started 12\nrun\n"],
  ];
  for (const [folder, name, printed] of cases) {
    const environment = {
      job_worker_folder: folder,
      job_worker_names: "PATH",
      job_worker_env_PATH: "/bin:",
      job_worker_others: "1",
      job_worker_other_1: "A.B=x",
    };
    assert.equal(await enter(environment, [name]), printed, name);
  }
});

/**
 * Runs a command as enter.sh does as another user, but for setpriv(1), which takes root: a script in
 * its place notes its arguments and the descriptors that the user's process would have.
 */
async function enterAs(
  user: string,
  command: readonly string[],
  setpriv: string,
  text?: string,
  environment: Readonly<Record<string, string>> = {},
) {
  await using groups = await FakeGroups.make();
  const notes = groups.path("notes");
  const fake = `#!/bin/sh
echo "$@" >>${notes}
for number in 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$number ] || echo "has $number" >>${notes}; done
${setpriv}`;
  await Deno.writeTextFile(groups.path("setpriv"), fake, { mode: 0o755 });
  const printed = await enter(
    {
      PATH: `${groups.folder}:${PROGRAM_PATH}`,
      job_worker_enter: text ?? scripts.enter,
      job_worker_user: user,
      job_worker_group: "7",
      job_worker_groups: "--clear-groups",
      ...environment,
    },
    command,
    ["/bin/sh"],
    `exec 9>&1; ${text ?? scripts.enter}`,
  );
  return { printed, notes: (await Deno.readTextFile(notes)).trimEnd().split("\n") };
}

/** What setpriv(1) does, but for the user. */
const EXECUTE = 'while [ "$1" != -- ]; do shift; done; shift; exec "$@"';

const SETPRIV = "--reuid=5 --regid=7 --clear-groups --no-new-privs --bounding-set=-all " +
  "--inh-caps=-all --ambient-caps=-all";

Deno.test("enter.sh: a program is looked for and run as the user, without the launcher's descriptors", async () => {
  const { printed, notes } = await enterAs("5", ["sh", "-c", "echo run; exit 3"], EXECUTE);
  assert.equal(printed, "started 12\nrun\n");
  assert.deepEqual(notes.map((note) => note.replace(/ -- .*/, "")), [SETPRIV, SETPRIV]);
});

Deno.test("enter.sh: only the exit status of the look as the user is believed", async () => {
  const cases: [setpriv: string, printed: string][] = [
    ["echo 'started 1'; echo ended; exit 10", "refused working-directory\n"],
    ["exit 11", "refused not-found\n"],
    ["exit 12", "refused not-executable\n"],
    ["exit 13", "refused folder\n"],
    ["exit 14", "refused program\n"],
    ["exit 1", "refused check\nrefused 1\n"],
    ["kill -9 $$", "refused check-timeout\nrefused 10\n"],
  ];
  for (const [setpriv, printed] of cases) {
    assert.equal((await enterAs("5", ["env"], setpriv)).printed, printed, setpriv);
  }
});

Deno.test("enter.sh: what is wrong with a program holds where the user would run that very file", async () => {
  const sh = await Deno.realPath("/bin/sh");
  const cases: [file: string, interpreter: string, printed: RegExp][] = [
    [sh, "", /^refused program\n$/],
    [sh, "no-such", /^refused program\n$/],
    [sh, "env", /^started/],
    ["/bin/ls", "", /^started/],
    ["/no/such", "", /^started/],
    ["", "no-such", /^started/],
  ];
  for (const [job_worker_program, job_worker_interpreter, expected] of cases) {
    const found = { job_worker_program, job_worker_interpreter };
    for (const name of ["sh", "/bin/sh"]) {
      const { printed } = await enterAs("5", [name, "-c", ":"], EXECUTE, undefined, found);
      assert.match(printed, expected, `${job_worker_program} ${job_worker_interpreter}`);
    }
  }
});

Deno.test("enter.sh: a look as the user that another process of the user suspends is given up", async () => {
  const short = scripts.enter.replace(
    "job_worker_check_seconds=10",
    "job_worker_check_seconds=0.2",
  );
  assert.notEqual(short, scripts.enter);
  const { printed } = await enterAs("5", ["env"], "kill -STOP $$", short);
  assert.equal(printed, "refused check-timeout\nrefused 0.2\n");
});

/** Variables that a shell sets, reads or keeps for itself: its own list, and what it need not list. */
async function namesOf(shell: string): Promise<string[]> {
  const { stdout } = await new Deno.Command(shell, { args: ["-c", "set"], clearEnv: true })
    .output();
  const listed = new TextDecoder().decode(stdout).matchAll(/^([A-Za-z_]\w*)=/gm);
  return [
    ...Array.from(listed, ([, name = ""]) => name),
    ..."BASH_ENV BASH_XTRACEFD CDPATH COMP_WORDS ENV EPOCHSECONDS HOME HOSTNAME LC_ALL LANG".split(
      " ",
    ),
    ..."LINENO MAIL MAILCHECK OLDPWD OPTARG POSIXLY_CORRECT PS1 RANDOM SECONDS SHLVL TERM TMOUT"
      .split(" "),
    ..."TZ UID HISTSIZE IGNOREEOF FUNCNAME GROUPS DIRSTACK TIMEFORMAT COLUMNS LINES NAME".split(
      " ",
    ),
  ];
}

for (const shell of [["/bin/dash"], ["/bin/bash", "--posix"]] as const) {
  const [program] = shell;
  const isThere = await Deno.stat(program).then(() => true, () => false);
  testUnless(isThere ? undefined : `${program} is not installed`, {
    name: `entryEnvironment: every variable arrives as it is through ${program}`,
    fn: async () => {
      const names = [...await namesOf(program), "a.b", "a-b", "1", "é", "a\nb", "-u", "%", " "];
      const wanted = Object.fromEntries(names.map((name) => [name, `abc ${name}`]));
      Object.assign(wanted, { PATH: PROGRAM_PATH });
      const environment = await entryEnvironment({
        folder: "/no/folder",
        settings: DEFAULT_SETTINGS,
        secrets: { environment: wanted, input: new Uint8Array() },
      });
      const printed = await enter(environment, ["env", "-0"], shell);
      const found = Object.fromEntries(
        printed.replace(/^started 12\n/, "").split("\0").filter((entry) => entry !== "")
          .map((
            entry,
          ) => [entry.slice(0, entry.indexOf("=")), entry.slice(entry.indexOf("=") + 1)]),
      );
      // bash says itself what the last program was.
      const { _: _found, ...others } = found;
      const { _: _wanted, ...expected } = wanted;
      assert.deepEqual(others, expected);
    },
  });
}

Deno.test("quoteForShell: a text comes through as one word, whatever is in it", async () => {
  const texts = [
    "",
    " ",
    "a b",
    "'",
    "''",
    "'; exit 3; '",
    '"',
    "\\",
    "\\'",
    "$HOME",
    "$(id)",
    "`id`",
    "*",
    "~",
    "#x",
    "-n",
    "a\nb\n",
    "\t",
    "é\u{1f600}",
    "!x",
    "&& x;",
  ];
  const words = texts.map(quoteForShell).join(" ");
  const printed = await runScript(`set -- ${words}; for text; do printf '<%s>' "$text"; done`);
  assert.equal(printed, texts.map((text) => `<${text}>`).join(""));
});

Deno.test("stripComments: comment lines go; a # within a line stays", () => {
  const script = "# one\n  # two\necho 'a # b' # c\n${1##*) }\n#last\nend\n";
  assert.equal(stripComments(script), "echo 'a # b' # c\n${1##*) }\nend\n");
  for (const text of Object.values(scripts)) assert.doesNotMatch(text, /^\s*#/m);
});

Deno.test("runScript: a script that fails is an error, and its environment is the same on every host", async () => {
  await assert.rejects(runScript("exit 3"), /failed with status 3/);
  await assert.rejects(runScript("kill -KILL $$"), /failed/);
  const printed = await runScript('env; pwd; printf "%s;" "$0" "$@"', ["a b", ""]);
  const lines = printed.split("\n").filter((line) => !/^(PWD|OLDPWD|SHLVL|_)=/.test(line));
  assert.deepEqual(lines, [`PATH=${PROGRAM_PATH}`, "/", "job-worker;a b;;"]);
});

Deno.test("runScript: a Ctrl-C or the end of the server's terminal does not cut a script short", async () => {
  const script = 'for signal in HUP INT QUIT; do kill -s "$signal" $$; done; echo on';
  assert.equal(await runScript(script), "on\n");
  await assert.rejects(runScript("kill -TERM $$; echo on"), /failed/);
});

Deno.test("listeningShell: runs in a session of its own, away from the server's terminal", async () => {
  const child = listeningShell([], { PATH: PROGRAM_PATH }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode('read -r stat </proc/$$/stat; echo "$stat"\n'));
  await writer.close();
  const [pid, , , , group, session] = new TextDecoder().decode((await child.output()).stdout).split(
    " ",
  );
  assert.deepEqual([pid, group, session].map(Number), [child.pid, child.pid, child.pid]);
});

Deno.test({
  name: "runScript: a script that takes too long is waited for no longer, and others run",
  // The hung scripts end after the test.
  sanitizeOps: false,
  sanitizeResources: false,
  fn: async () => {
    await using groups = await FakeGroups.make();
    const gate = groups.path("gate");
    const hangs = `until [ -e "$1" ]; do sleep 0.01; done\n`;
    const hung = Array.from(
      { length: MAX_SCRIPTS },
      () => runScript(hangs, [gate], { who: "one", timeoutMs: 200 }),
    );
    const other = runScript("echo done");
    for (const script of hung) {
      await assert.rejects(inTime("a failure", script), /a script took longer than 0.2 seconds/);
    }
    assert.equal(await inTime("another script", other), "done\n");
    await Deno.writeTextFile(gate, "");
  },
});

Deno.test("runScript: a script that loops is ended by the kernel", async () => {
  const limit = await runScript("ulimit -t\n");
  assert.match(limit, /^\d+\n$/);
});

Deno.test("runScript: no more scripts run at once than the bound, whoever asks", async () => {
  await using groups = await FakeGroups.make();
  const gate = `${groups.folder}.gate`;
  const script = `: >"$1/$$"; until [ -e "$2" ]; do sleep 0.01; done
set -- "$1" "$1"/*; echo $(($# - 1)); rm "$1/$$"\n`;
  const countRunning = async () => (await Array.fromAsync(Deno.readDir(groups.folder))).length;
  const all = Promise.all(
    Array.from(
      { length: 3 * MAX_SCRIPTS },
      (_, index) => runScript(script, [groups.folder, gate], { who: `caller ${index % 2}` }),
    ),
  );
  await until("scripts to run", async () => await countRunning() >= MAX_SCRIPTS);
  // One more would have begun before these, which begin after it.
  for (let count = 0; count < MAX_SCRIPTS; count++) await run("sh", ["-c", ":"]);
  const held = await countRunning();
  await Deno.writeTextFile(gate, "");
  const counts = await all;
  await Deno.remove(gate);
  const most = Math.max(held, ...counts.map(Number));
  assert(most <= MAX_SCRIPTS, `${most} scripts at once`);
});

Deno.test("disks.sh: sets limits for the disks that are new, tells all, and what is refused", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const file = `${folder}/limit`;
    await Deno.writeTextFile(file, "");
    const printed = await runScript(scripts.disks, [
      "",
      file,
      "rbps=5",
      `${folder}/gone/limit`,
      "1",
    ]);
    const [, ...disks] = printed.trim().split(" ");
    assert.equal(printed, `${["disks", ...disks].join(" ")}\n`);
    const last = disks.at(-1);
    assert.equal(await Deno.readTextFile(file), last === undefined ? "" : `${last} rbps=5\n`);
    await Deno.writeTextFile(file, "");
    assert.equal(await runScript(scripts.disks, [disks.join(" "), file, "rbps=5"]), printed);
    assert.equal(await Deno.readTextFile(file), "", "set again for a disk that was there");
    // What begins with a number is for that disk alone.
    for (const number of [...disks.slice(-1), "9999:1"]) {
      await Deno.writeTextFile(file, "");
      await runScript(scripts.disks, ["", file, `${number} rbps=7`]);
      const expected = disks.includes(number) ? `${number} rbps=7\n` : "";
      assert.equal(await Deno.readTextFile(file), expected);
    }
    const refused = await runScript(scripts.disks, [disks.slice(1).join(" "), folder, "rbps=5"]);
    assert.equal(
      refused,
      disks[0] === undefined ? printed : `${printed}failed ${folder} ${disks[0]}\n`,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
