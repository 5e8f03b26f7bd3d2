/** Jobs on the real kernel: how they are started, what they are given, and how they end. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { testUnless } from "../support/skip.ts";
import { assertStatus, type TestClient } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import {
  assertGone,
  assertNothingStarted,
  endOf,
  jobFolders,
  lacksPerl,
  processesOf,
} from "../support/job_traces.ts";
import { inTime } from "../support/wait.ts";

/** Runs a script as a job to its end; returns its lines. */
async function linesOf(client: TestClient, script: string): Promise<string[]> {
  const id = await client.shell(script);
  await endOf(client, id);
  return (await client.text(id)).trimEnd().split("\n");
}

/** What this process has open: what it was itself given by who started it, a server gets as well. */
async function ownDescriptors(): Promise<Set<string>> {
  const targets = new Set<string>();
  for await (const { name } of Deno.readDir("/proc/self/fd")) {
    // The descriptor that lists them is gone by then.
    if (Number(name) > 2) targets.add(await Deno.readLink(`/proc/self/fd/${name}`).catch(() => ""));
  }
  return targets;
}

/** A file that a job waits for: it goes on when there is something in it. */
function gateOf(server: TestServer): string {
  return join(server.folder, "gate");
}

/** Makes an executable file in the server's folder. */
async function makeProgram(server: TestServer, name: string, text: string): Promise<string> {
  const path = join(server.folder, name);
  await Deno.writeTextFile(path, text, { mode: 0o755 });
  return path;
}

Deno.test("Start: exit codes arrive as they are, without a signal", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (const code of [0, 1, 126, 127, 128, 130, 137, 143, 255]) {
    const id = await client.shell(`exit ${code}`);
    const { exitCode, signal, exited, state, oomKilled } = await endOf(client, id);
    assert.deepEqual(
      { exitCode, signal, exited, state, oomKilled },
      { exitCode: code, signal: 0, exited: true, state: "JOB_STATE_EXITED", oomKilled: false },
    );
  }
});

Deno.test("Start: a job ended by signal n has exit code 128 + n and says the signal", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (const signal of [1, 3, 6, 9, 10, 11, 14, 15, 24, 40]) {
    const id = await client.shell(`kill -s "$1" $$; exec sleep 60`, String(signal));
    const { exitCode, signal: told, exited, oomKilled } = await endOf(client, id);
    assert.deepEqual(
      { exitCode, told, exited, oomKilled },
      { exitCode: 128 + signal, told: signal, exited: true, oomKilled: false },
    );
  }
});

Deno.test("Start: a shell whose child died by a signal has ended by itself", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.shell(`sh -c 'kill -TERM $$'; exit $?`);
  const { exitCode, signal } = await endOf(client, id);
  assert.deepEqual({ exitCode, signal }, { exitCode: 143, signal: 0 });
  assert.match(await client.text(id), /Terminated/);
});

Deno.test("Start: what cannot be run is refused, and nothing is left", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const plain = join(server.folder, "plain");
  await Deno.writeTextFile(plain, "echo no\n", { mode: 0o644 });
  const refused: [string, RegExp][] = [
    ["no-such-program", /^Cannot start "no-such-program": no such program .*PATH/],
    ["/no/such/program", /^Cannot start "\/no\/such\/program": no such program/],
    ["true ", /no such program/],
    ["t*e", /no such program/],
    ["-x", /^Cannot start "-x": no such program/],
    ["true\n/bin/true", /^Cannot start "true\\n\/bin\/true": no such program/],
    ["/bin/true\n/bin/true", /no such program/],
    ["/bin/true/", /no such program/],
    ["/bin/true/x", /no such program/],
    [plain, /the file is not executable/],
    ["/etc/passwd", /the file is not executable/],
    [server.folder, /it is a folder/],
    ["/", /it is a folder/],
    [".", /it is a folder/],
    ["", /the program's name is empty/],
    ["tr\0ue", /an argument contains a NUL byte/],
  ];
  for (const [name, details] of refused) {
    const { details: text } = await assertStatus(
      client.start(name, "x"),
      status.INVALID_ARGUMENT,
      details,
    );
    assert(!text.includes("\n"), `not one line: ${text}`);
  }
  await assertNothingStarted(server);
});

Deno.test("Start: a program's name that is too long is refused in a few words", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (const length of [300, 5_000, 100_000]) {
    const { details } = await assertStatus(
      client.start("x".repeat(length)),
      status.INVALID_ARGUMENT,
      /no such program/,
    );
    assert(details.length < 400, `${details.length} characters`);
  }
  await assertNothingStarted(server);
});

Deno.test("Start: a name is looked up in the PATH, a path is taken from the root folder", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (const name of ["echo", "/bin/echo", "bin/echo", "/bin/../bin/echo"]) {
    const id = await client.start(name, "found");
    assert.equal((await endOf(client, id)).exitCode, 0);
    assert.equal(await client.text(id), "found\n");
  }
});

Deno.test("Start: a program whose path has spaces, quotes, globs or newlines is run", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (const name of ["a b", "a'b\"c", "*", "[x]", "$(id)", "a\nb", "a\n", "-n", "é", "a\\b"]) {
    const path = await makeProgram(server, name, `#!/bin/sh\nprintf %s "$0"`);
    const id = await client.start(path);
    assert.equal((await endOf(client, id)).exitCode, 0, name);
    assert.equal(await client.text(id), path);
  }
});

Deno.test("Start: a script without a shebang is run by the shell", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const script = await makeProgram(server, "script", 'echo "$1"\nexit 7\n');
  const id = await client.start(script, "a  b");
  const { exitCode, signal } = await endOf(client, id);
  assert.deepEqual({ exitCode, signal }, { exitCode: 7, signal: 0 });
  assert.equal(await client.text(id), "a  b\n");
});

Deno.test("Start: what the kernel would refuse to execute is refused, and is not run by the shell", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const file = join(server.folder, "program");
  const foreign = Deno.readFileSync("/bin/sh");
  new DataView(foreign.buffer).setUint16(18, 0x9026, true); // Alpha's number
  const cases: [Uint8Array | string, RegExp][] = [
    ["#!/no/such/interpreter\n", /names the interpreter "\/no\/such\/interpreter", which is not/],
    ["#!/bin/sh\r\nexit 0\r\n", /carriage return, as Windows ends lines/],
    ["#!/usr/bin/env no-such-thing\n", /has env look for "no-such-thing"/],
    [foreign, /another kind of processor/],
    ["touch ran\0\n", /neither a program for Linux nor a script/],
  ];
  for (const [text, details] of cases) {
    const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
    await Deno.writeFile(file, bytes, { mode: 0o755 });
    await assertStatus(client.start(file), status.INVALID_ARGUMENT, details);
  }
  await assertStatus(
    client.startWith({ name: "program", env: { PATH: server.folder } }),
    status.INVALID_ARGUMENT,
    /neither a program/,
  );
  await assertNothingStarted(server);
});

Deno.test("Start: arguments arrive byte for byte", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  // The kernel's own view of the arguments, which ends each with a NUL byte.
  const script = "cat /proc/$$/cmdline; exit";
  const args = [
    "a b",
    "  leading and trailing  ",
    "one\ntwo\n\nfour\n",
    "\n",
    "\r\n\t\v\f\b\x1b[31m\x7f\x01",
    `"double" 'single' \`id\``,
    "$(id) $HOME ${PATH} $((1+1)) $$ $?",
    "back\\slash \\n \\\\ \\",
    "* ? [a-z] {a,b} ~ !! #",
    "; & && | || > /tmp/x < y ( )",
    "Grüße 世界 🙂 \u202e\u0301\ufeff",
    "",
    "-n",
    "--",
    "--help",
    "-",
    "%s%d%n",
    "",
    "x".repeat(131_071),
    "",
  ];
  const id = await client.shell(script, ...args);
  assert.equal((await endOf(client, id)).exitCode, 0);
  const expected = ["/bin/sh", "-c", script, "sh", ...args];
  assert.deepEqual((await client.text(id)).split("\0").slice(0, -1), expected);
  assert.deepEqual((await client.query(id)).args, expected.slice(1));
});

Deno.test("Start: a program that takes no shell gets its arguments byte for byte, too", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const args = ["%s|", "a b", "", "$(id)", "*", "-e", "\\n", "--", "\n"];
  const id = await client.start("/usr/bin/printf", ...args);
  assert.equal((await endOf(client, id)).exitCode, 0);
  assert.equal(await client.text(id), args.slice(1).map((text) => `${text}|`).join(""));
});

Deno.test("Start: arguments that are too long are refused, and nothing is left", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const tooLong: [string, string[], RegExp][] = [
    ["one of 200 KB", ["x".repeat(200_000)], /an argument is above 128 KiB/],
    ["one of a byte too many", ["a", "x".repeat(131_072), "b"], /an argument is above 128 KiB/],
    ["one too long in UTF-8", ["é".repeat(65_536)], /an argument is above 128 KiB/],
    ["above 1 MiB together", Array(11).fill("x".repeat(100_000)), /are above 1 MiB/],
    ["above 1 MiB in UTF-8", Array(11).fill("é".repeat(50_000)), /are above 1 MiB/],
    ["too many for Linux", Array(500_000).fill(""), /too long for Linux/],
  ];
  for (const [what, args, details] of tooLong) {
    const error = await assertStatus(
      client.startWith({ name: "/bin/true", args }),
      status.INVALID_ARGUMENT,
      details,
    );
    assert.match(error.details, /^Cannot start [^\n]+$/, what);
  }
  // What is even above the server's bound for a message never reaches its handlers.
  const args = Array(45).fill("x".repeat(100_000));
  await assertStatus(client.startWith({ name: "/bin/true", args }), status.RESOURCE_EXHAUSTED);
  await assertNothingStarted(server);
});

Deno.test("Start: arguments just below the bounds arrive", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const args = ["é".repeat(65_535), ...Array(9).fill("x".repeat(100_000))];
  const id = await client.shell('echo $#; printf %s "$1" | wc -c', ...args);
  assert.equal((await endOf(client, id)).exitCode, 0);
  assert.equal(await client.text(id), "10\n131070\n");
});

Deno.test("Start: a NUL byte is refused wherever it stands", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (const args of [["\0"], ["a\0b"], ["a", "b", "c\0"], ["\0".repeat(100)]]) {
    const call = client.start("/bin/echo", ...args);
    await assertStatus(call, status.INVALID_ARGUMENT, /NUL byte/);
  }
  await assertNothingStarted(server);
});

Deno.test("Start: a job's environment is a fixed list", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("/usr/bin/env", "-0");
  assert.equal((await endOf(client, id)).exitCode, 0);
  const expected = [
    "HOME=/root",
    `JOB_ID=${id}`,
    "LANG=C.UTF-8",
    "LOGNAME=root",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "PWD=/",
    "SHELL=/bin/sh",
    "USER=root",
  ];
  assert.deepEqual((await client.text(id)).split("\0").sort().slice(1), expected);
});

Deno.test("Start: a job leads a session of its own in the root folder, without a terminal", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("/bin/cat", "/proc/self/stat");
  const { pid } = await endOf(client, id);
  // proc(5): the fields behind the name are state, ppid, pgrp, session, tty_nr.
  const [, , group, session, terminal] = (await client.text(id)).replace(/^.*\) /, "").split(" ");
  assert.deepEqual([group, session, terminal], [String(pid), String(pid), "0"]);
  assert.deepEqual(await linesOf(client, "pwd; umask; readlink /proc/$$/cwd"), ["/", "0022", "/"]);
});

/** Closes what whoever runs the tests has left open. */
const CLOSE_ALL = "for fd in /proc/$$/fd/*; do fd=${fd##*/}; " +
  '[ "$fd" -le 2 ] || eval "exec $fd>&-"; done';

Deno.test("Start: a job inherits no descriptor that the server was started with", async () => {
  const prelude = `${CLOSE_ALL}; exec 3</etc/passwd 5</etc/passwd 9</etc/passwd`;
  await using server = await TestServer.start({ prelude });
  const client = server.client();
  // The fourth is the listing's own.
  assert.deepEqual(await linesOf(client, "ls /proc/self/fd"), ["0", "1", "2", "3"]);
  assert.deepEqual(await linesOf(client, "readlink /proc/self/fd/0"), ["/dev/null"]);
  assert.doesNotMatch(server.log, /"descriptors"/);
});

Deno.test("worker-server: descriptors that no shell can close are told at its start", async () => {
  const prelude = `${CLOSE_ALL}; exec 5</etc/passwd 12</etc/passwd 113</etc/passwd`;
  await using server = await TestServer.start({ prelude });
  assert.match(server.log, /"level":"warn"[^\n]+"descriptors":"113 12"/);
});

Deno.test("Start: a job blocks and ignores no signal", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.start("/bin/cat", "/proc/self/status");
  await endOf(client, id);
  const text = await client.text(id);
  // Signals 32 and 33 are the C library's own; no program can see what becomes of them.
  const own = 0x3n << 31n;
  for (const field of ["SigPnd", "SigBlk", "SigIgn", "SigCgt"]) {
    const mask = new RegExp(`^${field}:\t([0-9a-f]+)$`, "m").exec(text)?.[1];
    assert.equal(BigInt(`0x${mask}`) & ~own, 0n, `${field} ${mask}`);
  }
});

Deno.test("Start: a job has three descriptors, nothing to read and one output", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.shell(
    "ls -l /proc/$$/fd; cat; echo rest $?; exit",
  );
  await endOf(client, id);
  const inherited = await ownDescriptors();
  const text = await client.text(id);
  const descriptors = [...text.matchAll(/ (\d+) -> (.+)$/gm)]
    .filter(([, , target = ""]) => !inherited.has(target))
    .map(([, descriptor, target]) => `${descriptor} ${target}`);
  const pipe = /^1 (pipe:.+)$/.exec(descriptors[1] ?? "")?.[1];
  assert.deepEqual(descriptors, ["0 /dev/null", `1 ${pipe}`, `2 ${pipe}`]);
  assert.match(text, /\nrest 0\n/);
});

Deno.test("Start: stdout and stderr are one output, in the order of writing", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const id = await client.shell(
    "i=0; while [ $i -lt 500 ]; do echo out $i; echo error $i >&2; i=$((i+1)); done",
  );
  await endOf(client, id);
  const expected = Array.from({ length: 500 }, (_, index) => `out ${index}\nerror ${index}\n`);
  assert.equal(await client.text(id), expected.join(""));
});

Deno.test("Start: 30 jobs at once are kept apart", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const ids = await Promise.all(
    Array.from({ length: 30 }, (_, index) => client.shell(`echo "$1"; exit "$1"`, String(index))),
  );
  assert.equal(new Set(ids).size, ids.length);
  await Promise.all(ids.map(async (id, index) => {
    assert.equal((await inTime("the job to end", client.wait(id))).exitCode, index);
    assert.equal(await client.text(id), `${index}\n`);
  }));
  for (const id of ids) await assertGone(id);
});

Deno.test("Start: a job has exited when what it left behind is gone: SIGTERM", async () => {
  await using server = await TestServer.start({ flags: ["--grace-period", "10m"] });
  const client = server.client();
  const id = await client.shell(
    `setsid sh -c 'trap "echo got TERM; exit" TERM; echo ready; while :; do sleep 0.05; done' &
     sleep 1000 &
     while [ ! -s "$1" ]; do sleep 0.01; done; echo main ends; exit 3`,
    gateOf(server),
  );
  await client.untilOutput(id, /ready/);
  await Deno.writeTextFile(gateOf(server), "open");
  const { exitCode, signal } = await endOf(client, id);
  assert.deepEqual({ exitCode, signal }, { exitCode: 3, signal: 0 });
  assert.match(await client.text(id), /^ready\nmain ends\n(.*\n)*got TERM\n$/);
});

Deno.test("Start: a job has exited when what it left behind is gone: SIGKILL", async () => {
  const graceMs = 1500;
  await using server = await TestServer.start({ flags: ["--grace-period", `${graceMs}ms`] });
  const client = server.client();
  const id = await client.shell(
    `setsid sh -c 'trap "echo got TERM" TERM; echo ready; while :; do sleep 0.05; done' &
     while [ ! -s "$1" ]; do sleep 0.01; done; exit 4`,
    gateOf(server),
  );
  await client.untilOutput(id, /ready/);
  await Deno.writeTextFile(gateOf(server), "open");
  await client.untilOutput(id, /got TERM/);
  const termAtMs = Date.now();
  const { exited, state, exitCode } = await client.query(id);
  assert.deepEqual(
    { exited, state, exitCode },
    { exited: false, state: "JOB_STATE_RUNNING", exitCode: 0 },
  );
  const ended = await endOf(client, id);
  assert(Date.now() - termAtMs > graceMs / 2, "the grace period was cut short");
  assert.deepEqual([ended.exitCode, ended.signal, ended.exited], [4, 0, true]);
});

testUnless(await lacksPerl(), {
  name: "Start: a fork bomb that the main process leaves behind does not outlast the job",
  fn: async () => {
    await using server = await TestServer.start({
      limits: { cpu: "50%" },
      flags: ["--grace-period", "200ms", "--max-processes", "60"],
    });
    const client = server.client();
    const id = await client.shell(
      `perl -e '$SIG{TERM} = "IGNORE"; fork while 1' &
       while [ ! -s "$1" ]; do read -r line </proc/self/stat; done
       exit 5`,
      gateOf(server),
    );
    await until("the bomb to go off", async () => (await processesOf(id)).length > 50);
    await Deno.writeTextFile(gateOf(server), "open");
    assert.equal((await endOf(client, id)).exitCode, 5);
  },
});

testUnless(await lacksPerl(), {
  name: "Start: a process that forks and exits without end does not outlast the job",
  fn: async () => {
    await using server = await TestServer.start({
      flags: ["--grace-period", "200ms", "--max-processes", "60"],
    });
    const client = server.client();
    // By the time that its id is read, the process is gone and its child runs.
    const id = await client.shell(
      `perl -e '$SIG{TERM} = "IGNORE"; $| = 1; print "ready\n"; ` +
        `while (1) { exit if fork }' & while [ ! -s "$1" ]; do read -r line </proc/self/stat; done`,
      gateOf(server),
    );
    await client.untilOutput(id, /ready/);
    await Deno.writeTextFile(gateOf(server), "open");
    assert.equal((await endOf(client, id)).exitCode, 0);
  },
});

Deno.test("Start: an idempotency key sent twice is one job, which ran once", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const trace = join(server.folder, "trace");
  const request = {
    name: "/bin/sh",
    args: ["-c", 'echo ran >>"$1"', "sh", trace],
    idempotencyKey: "key",
  };
  const first = await client.startWith(request);
  assert.equal(await client.startWith(request), first);
  await endOf(client, first);
  assert.equal(await client.startWith(request), first, "also when the job has ended");
  await server.end();
  await server.launch();
  assert.equal(await client.startWith(request), first, "also by another server");
  assert.equal(await Deno.readTextFile(trace), "ran\n");
  assert.deepEqual(await jobFolders(server), [first]);
});

Deno.test("Start: 20 calls at once with one idempotency key are one job", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const trace = join(server.folder, "trace");
  const request = {
    name: "/bin/sh",
    args: ["-c", 'echo ran >>"$1"', "sh", trace],
    idempotencyKey: "x".repeat(128),
  };
  const clients = [client, server.client(), server.client(), server.client()];
  const ids = await Promise.all(
    Array.from({ length: 20 }, (_, index) => (clients[index % 4] ?? client).startWith(request)),
  );
  assert.equal(new Set(ids).size, 1);
  await endOf(client, ids[0] ?? "");
  assert.equal(await Deno.readTextFile(trace), "ran\n");
  assert.deepEqual(await jobFolders(server), [ids[0]]);
});

Deno.test("Start: an idempotency key with another command is refused", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const request = { name: "echo", args: ["a", "b"], idempotencyKey: "key" };
  const id = await client.startWith(request);
  const others = [
    { ...request, name: "/bin/echo" },
    { ...request, args: ["a"] },
    { ...request, args: ["a", "b", ""] },
    { ...request, args: ["a b"] },
    { ...request, args: ["b", "a"] },
  ];
  for (const other of others) {
    await assertStatus(
      client.startWith(other),
      status.FAILED_PRECONDITION,
      /used for another command/,
    );
  }
  await endOf(client, id);
  await assertStatus(client.startWith(others[0] ?? request), status.FAILED_PRECONDITION);
  assert.deepEqual(await jobFolders(server), [id]);
});

Deno.test("Start: of 20 calls at once with one key and two commands, one command runs", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const calls = await Promise.allSettled(
    Array.from(
      { length: 20 },
      (_, index) =>
        client.startWith({ name: "echo", args: [String(index % 2)], idempotencyKey: "key" }),
    ),
  );
  const ids = calls.flatMap((call) => call.status === "fulfilled" ? [call.value] : []);
  assert.equal(new Set(ids).size, 1);
  assert.equal(ids.length, 10);
  await endOf(client, ids[0] ?? "");
  assert.deepEqual(await jobFolders(server), [ids[0]]);
});

Deno.test("Start: an idempotency key is its owner's alone, and no key is no key", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  await server.pki.issue("carol", "writer");
  const request = { name: "true", args: [], idempotencyKey: "key" };
  const ids = await Promise.all([
    client.startWith(request),
    server.client("carol").startWith(request),
    client.startWith({ ...request, idempotencyKey: "KEY" }),
    client.startWith({ ...request, idempotencyKey: "" }),
    client.startWith({ ...request, idempotencyKey: "" }),
  ]);
  assert.equal(new Set(ids).size, ids.length);
  const owners = [];
  for (const id of ids) owners.push((await endOf(client, id)).owner);
  assert.deepEqual(owners, ["alice", "carol", "alice", "alice", "alice"]);
});

Deno.test("Start: a refused start does not use up its idempotency key", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const program = join(server.folder, "program");
  const request = { name: program, args: [], idempotencyKey: "key" };
  const refused = await Promise.allSettled(
    Array.from({ length: 5 }, () => client.startWith(request)),
  );
  assert(refused.every((call) => call.status === "rejected"));
  await assertNothingStarted(server);
  await makeProgram(server, "program", "exit 6\n");
  const id = await client.startWith(request);
  assert.equal((await endOf(client, id)).exitCode, 6);
});

Deno.test("Start: an idempotency key of more than 128 characters is refused", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const request = { name: "true", args: [], idempotencyKey: "x".repeat(129) };
  await assertStatus(client.startWith(request), status.INVALID_ARGUMENT, /above 128 characters/);
  await assertNothingStarted(server);
});

Deno.test("Query: a running job is described with plausible figures", async () => {
  await using server = await TestServer.start({
    limits: { cpu: "150%", memory: "256M", diskIo: "read=1GB/s write=2GB/s" },
    flags: ["--max-processes", "100"],
  });
  const client = server.client("alice");
  const beforeMs = Date.now();
  const id = await client.shell("echo ready; sleep 1000 & while :; do :; done", "an argument");
  const busy = await until("the job to use CPU time", async () => {
    const answer = await client.query(id);
    return Number(answer.usage?.cpuUsec) > 300_000 && answer;
  });
  assert.deepEqual(
    {
      state: busy.state,
      exited: busy.exited,
      exitCode: busy.exitCode,
      signal: busy.signal,
      oomKilled: busy.oomKilled,
      name: busy.name,
      owner: busy.owner,
      endedAtMs: busy.endedAtMs,
      outputBytes: busy.outputBytes,
      outputFirstOffset: busy.outputFirstOffset,
      reason: busy.reason,
      lastArgument: busy.args.at(-1),
      processes: busy.usage?.processes,
    },
    {
      state: "JOB_STATE_RUNNING",
      exited: false,
      exitCode: 0,
      signal: 0,
      oomKilled: false,
      name: "/bin/sh",
      owner: "alice",
      endedAtMs: 0,
      outputBytes: 6,
      outputFirstOffset: 0,
      reason: "",
      lastArgument: "an argument",
      processes: 2,
    },
  );
  assert.deepEqual(busy.limits, {
    cpuCores: 1.5,
    disks: [],
    memoryBytes: 256 * 1024 ** 2,
    readBytesPerSecond: 1e9,
    writeBytesPerSecond: 2e9,
    processes: 100,
  });
  assert(busy.startedAtMs >= beforeMs && busy.startedAtMs <= Date.now(), "started");
  const processes = await processesOf(id);
  assert(processes.includes(busy.pid), `pid ${busy.pid} is not among ${processes}`);
  const { memoryBytes = 0, memoryPeakBytes = 0, cpuUsec = 0 } = busy.usage ?? {};
  assert(memoryBytes > 50_000 && memoryBytes < 64 * 1024 ** 2, `memory ${memoryBytes}`);
  assert(memoryPeakBytes >= memoryBytes && memoryPeakBytes < 64 * 1024 ** 2, "peak");
  assert(cpuUsec < (Date.now() - beforeMs) * 1000 * 1.6, `CPU time ${cpuUsec}`);
  await client.stop(id, 0);
  await assertGone(id);
});

Deno.test("Query: a job that has ended keeps its figures", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const beforeMs = Date.now();
  const id = await client.shell(
    "head -c 20000000 /dev/zero | tail -c 20000000 >/dev/null; i=0; " +
      "while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done",
  );
  const ended = await endOf(client, id);
  assert.deepEqual(await client.query(id), ended);
  assert(ended.startedAtMs >= beforeMs && ended.endedAtMs <= Date.now() + 10);
  assert.equal(ended.outputBytes, 5);
  assert.deepEqual(ended.limits, { processes: 4096, disks: [] });
  const { memoryPeakBytes = 0, cpuUsec = 0, cpuThrottledUsec, processes } = ended.usage ?? {};
  assert(memoryPeakBytes > 20e6 && memoryPeakBytes < 100e6, `peak ${memoryPeakBytes}`);
  const elapsedUsec = (Date.now() - beforeMs) * 1000;
  assert(cpuUsec > 10_000 && cpuUsec < elapsedUsec * navigator.hardwareConcurrency, `${cpuUsec}`);
  assert.equal(cpuThrottledUsec, 0);
  assert.equal(processes, 0);
});

Deno.test("Query: no job ends before it has started", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  for (let round = 0; round < 30; round++) {
    const { startedAtMs, endedAtMs } = await endOf(client, await client.start("true"));
    assert(endedAtMs >= startedAtMs, `started ${startedAtMs}, ended ${endedAtMs}`);
  }
});

Deno.test("Query: an unknown or malformed id is not found", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const ids = ["", "x", "../x", ".", "00000000-0000-0000-0000-000000000000", "x".repeat(10_000)];
  for (const id of ids) {
    await assertStatus(client.query(id), status.NOT_FOUND, /^No job has the id/);
  }
});
