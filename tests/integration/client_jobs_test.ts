/** The compiled client's verbs about many jobs, and what start and run say of one, as a user types them. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { inTime } from "../support/wait.ts";

/** Runs the client; it must succeed. Returns its output's lines. */
async function lines(server: TestServer, ...args: string[]): Promise<string[]> {
  const { code, stdout, stderr } = await server.cli(args);
  assert.equal(code, 0, `${args.join(" ")}: ${stderr}`);
  return stdout.trimEnd().split("\n");
}

/** Runs the client; it must fail. Returns its status and what it says. */
async function failure(server: TestServer, ...args: string[]): Promise<[number, string]> {
  const { code, stdout, stderr } = await server.cli(args);
  assert.notEqual(code, 0);
  assert.equal(stdout, "");
  assert.match(stderr, /^worker-client: [^\n]+\n$/);
  return [code, stderr];
}

Deno.test("worker-client start: every option arrives at the job", async () => {
  await using server = await TestServer.start();
  const file = join(server.folder, "env");
  await Deno.writeTextFile(file, "# comment\n\nFROM_FILE=one two\nBOTH=file\n");
  const input = join(server.folder, "input");
  await Deno.writeTextFile(input, "from the file\n");
  const output = await lines(
    server,
    ...[
      "run",
      "-q",
      "--name",
      "probe",
      "-l",
      "a=b",
      "--label",
      "c=",
      "-e",
      "X=y z",
      "--env-file",
      file,
    ],
    ...["-e", "BOTH=flag", "-C", "/usr", "-u", "nobody", "--umask", "077", "--stdin", input],
    ...[
      "--timeout",
      "1h",
      "--grace",
      "1s",
      "--stop-signal",
      "INT",
      "--cpu",
      "50%",
      "--memory",
      "64M",
    ],
    ...["--processes", "50", "--private-tmp", "--no-network"],
    ...["sh", "-c", 'id -un; pwd; umask; cat; echo "$X|$FROM_FILE|$BOTH"; ls -A /tmp'],
  );
  assert.deepEqual(output, ["nobody", "/usr", "0077", "from the file", "y z|one two|flag"]);
  const [text = ""] = await lines(server, "query", "--json", "probe");
  const job = JSON.parse(text);
  assert.deepEqual([job.name, job.title, job.program], ["probe", "probe", "sh"]);
  assert.deepEqual(job.labels, { a: "b", c: "" });
  assert.deepEqual([job.user, job.workingDirectory, job.timeoutMs], ["nobody", "/usr", 3_600_000]);
  assert.deepEqual(job.limits, { cpuCores: 0.5, memoryBytes: 64 * 1024 ** 2, processes: 50 });
  assert.deepEqual(job.isolation, { privateTmp: true, noNetwork: true, ownProcesses: false });
  assert.match(job.startedAt, /^\d{4}-\d\d-\d\dT/);
});

Deno.test("worker-client start: a server on a host starts nothing that needs a cluster", async () => {
  await using server = await TestServer.start();
  const [status, message] = await failure(server, "start", "--partition", "main", "true");
  assert.equal(status, 2);
  assert.match(
    message,
    /--partition needs a server over a cluster .* runs jobs on its own host\.$/m,
  );
  assert.deepEqual(await lines(server, "list", "--all", "--quiet"), [""]);
});

Deno.test("worker-client start: standard input is passed on where it is asked for", async () => {
  await using server = await TestServer.start();
  const child = new Deno.Command(join(BIN_DIR, "worker-client"), {
    args: ["run", "-q", "--stdin", "-", "wc", "-c"],
    env: server.cliEnvironment(),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new Uint8Array(100_000));
  await writer.close();
  const { code, stdout } = await inTime("the client to end", child.output());
  assert.deepEqual([code, new TextDecoder().decode(stdout)], [0, "100000\n"]);
});

Deno.test("worker-client start: invalid requests are refused by the client or the server", async () => {
  await using server = await TestServer.start({ limits: { memory: "64M" } });
  const refused: [string[], number, RegExp][] = [
    [["-e", "NAME"], 2, /--env expects NAME=VALUE\. .*: -e NAME="\$NAME" passes one on\.\n$/],
    [["-e", "=x"], 2, /--env expects NAME=VALUE/],
    [["-l", "x"], 2, /--label expects NAME=VALUE/],
    [["--env-file", "/nonexistent"], 2, /Cannot read --env-file \/nonexistent/],
    [["--stdin", "/dev/zero"], 2, /--stdin \/dev\/zero is larger than 2 MiB/],
    [["--env-file", "/dev/zero"], 2, /--env-file \/dev\/zero is larger than 2 MiB/],
    [["--stdin", "/nonexistent"], 2, /Cannot read --stdin \/nonexistent/],
    [["--umask", "9"], 2, /octal/],
    [["--timeout", "soon"], 2, /duration/],
    [["--cpu", "fast"], 2, /percentage of one core/],
    [["--memory", "1"], 2, /at least 1M/],
    [["--disk-io", "10"], 2, /a rate such as/],
    [["--name", "a b"], 2, /is not a valid job name/],
    [["--user", "no-such-user"], 2, /has no user/],
    [["--cwd", "x"], 2, /is not an absolute path/],
    [["--stop-signal", "X"], 2, /is not a signal/],
    [["--memory", "65M"], 1, /above the server's/],
  ];
  for (const [options, status, message] of refused) {
    const [code, said] = await failure(server, "start", ...options, "true");
    assert.match(said, message);
    assert.equal(code, status, said);
  }
  assert.deepEqual(await lines(server, "list", "--all", "--quiet"), [""]);
});

Deno.test("worker-client list: a table for people, ids and fields for programs", async () => {
  await using server = await TestServer.start();
  const [ended = ""] = await lines(server, "start", "-q", "--name", "ended", "false");
  await server.client().wait(ended);
  const [first = ""] = await lines(server, "start", "-q", "-l", "t=1", "sleep", "600");
  const [second = ""] = await lines(
    server,
    "start",
    "-q",
    "-l",
    "t=2",
    "--name",
    "two",
    "sleep",
    "600",
  );
  const [head = "", ...rows] = await lines(server, "list");
  assert.match(head, /^ID +NAME +STATE +EXIT +USER +OWNER +STARTED +TOOK +COMMAND$/);
  assert.deepEqual(rows.map((row) => row.split(/ +/).slice(0, 6)), [
    [second.slice(0, 8), "two", "running", "-", "root", "alice"],
    [first.slice(0, 8), "-", "running", "-", "root", "alice"],
  ]);
  assert(rows.every((row) => row.endsWith("sleep 600")));
  assert.deepEqual(await lines(server, "ls", "-q"), [second, first]);
  assert.deepEqual(await lines(server, "list", "-aq"), [second, first, ended]);
  assert.deepEqual(await lines(server, "list", "-aq", "-n", "2"), [second, first]);
  assert.deepEqual(await lines(server, "list", "-q", "--label", "t=1"), [first]);
  assert.deepEqual(await lines(server, "list", "-q", "--state", "exited"), [ended]);
  assert.deepEqual(await lines(server, "list", "-aq", "--state", "exited"), [ended]);
  assert.deepEqual(await lines(server, "list", "-aq", "--since", "0ms"), [""]);
  assert.deepEqual(
    await lines(server, "list", "-aq", "--since", "2000-01-01"),
    await lines(server, "list", "-aq"),
  );
  assert.deepEqual(await lines(server, "list", "-aq", "--owner", "nobody"), [""]);
  assert.deepEqual(
    await lines(server, "list", "-a", "--format", "{name}\\t{state} {exitCode} {labels.t}"),
    ["two\trunning - 2", "-\trunning - 1", "ended\texited 1 -"],
  );
  const jobs = (await lines(server, "list", "-a", "--json")).map((line) => JSON.parse(line));
  assert.deepEqual(jobs.map(({ jobID }) => jobID), [second, first, ended]);
  assert.match(
    (await failure(server, "list", "--format", "{nothing}"))[1],
    /"nothing" is not a field of a job/,
  );
  assert.match(
    (await failure(server, "list", "--state", "dead"))[1],
    /'dead' is invalid\. Choose one of pending, running,/,
  );
  assert.match((await failure(server, "list", "-q", "--json"))[1], /cannot be used with/);
  const failed = await lines(server, "ps", "--failed", "--format=json");
  assert.deepEqual(failed.map((line) => JSON.parse(line).jobID), [ended]);
  const [strange = ""] = await lines(server, "start", "-q", "true", "a\nb", "\u202ex", "日本");
  const [, row = ""] = await lines(server, "list", "-a", "-n", "1");
  assert(row.startsWith(strange.slice(0, 8)));
  assert(row.endsWith("true $'a\\nb' $'\\u202ex' '日本'"), row);
});

Deno.test("worker-client: identity and variables may come from pipes", async () => {
  await using server = await TestServer.start();
  const script = `
    "$0" -i <(cat "$1") version --server "$2"
    cat "$1" | "$0" -i /dev/stdin list --quiet --server "$2"
    echo A=1 | "$0" -i "$1" --server "$2" run -q --env-file /dev/stdin sh -c 'echo $A'`;
  const { code, stdout, stderr } = await run("bash", [
    ...["-ec", script, join(BIN_DIR, "worker-client")],
    ...[server.pki.file("alice.pem"), server.address],
  ]);
  assert.deepEqual([code, stderr], [0, ""]);
  assert.match(stdout, /^client \S+\nserver \S+\n1\n$/);
});

Deno.test("worker-client run, wait, query, list: say why a job has not ended by itself", async () => {
  await using server = await TestServer.start();
  await server.pki.issue("dora", "writer");
  const told = async (...args: string[]) => {
    const { code, stderr } = await server.cli(args);
    return [code, stderr];
  };
  const hungry = ["sh", "-c", "head -c 200000000 /dev/zero | tail; exit 9"];
  const [code, text] = await told("run", "-q", "--memory", "16M", ...hungry);
  // On cgroup v1 the kernel kills one process, and the job goes on.
  assert(code === 137 || code === 9, `${code}`);
  assert.equal(text, "worker-client: killed: out of memory (limit 16M)\n");
  assert.deepEqual(await told("run", "-q", "--timeout", "300ms", "sleep", "600"), [
    143,
    "worker-client: stopped: timeout of 300ms\n",
  ]);
  await told("start", "--name", "web", "sleep", "600");
  await server.client("dora").stop("web");
  assert.deepEqual(await told("wait", "web"), [143, "worker-client: stopped by dora\n"]);
  await told("start", "--name", "api", "sleep", "600");
  assert.deepEqual(await told("kill", "-15", "api"), [0, ""]);
  const [, both = ""] = await told("wait", "web", "api");
  assert.deepEqual(`${both}`.trim().split("\n").sort(), [
    "worker-client: api: ended by signal 15 (SIGTERM)",
    "worker-client: web: stopped by dora",
  ]);
  const why = await lines(server, "list", "-a", "--format", "{ending} {stoppedBy} {endingText}");
  assert.deepEqual(why, [
    "signal - ended by signal 15 (SIGTERM)",
    "stopped dora stopped by dora",
    "timeout - stopped: timeout of 300ms",
    "oom - killed: out of memory (limit 16M)",
  ]);
  assert.deepEqual(await lines(server, "list", "--state", "timeout", "--format", "{ending}"), [
    "timeout",
  ]);
  assert(
    (await lines(server, "query", "--long", "web")).includes(
      "State:       exited (stopped by dora)",
    ),
  );
});

Deno.test("worker-client stop: several jobs, all of one's own, or those with a label", async () => {
  await using server = await TestServer.start();
  await server.pki.issue("carol", "writer");
  const start = (...options: string[]) => lines(server, "start", "-q", ...options, "sleep", "600");
  await start("--name", "a");
  await start("--name", "b");
  const other = await server.client("carol").start("sleep", "600");
  assert.deepEqual(await lines(server, "stop", "a", "b"), [""]);
  assert.deepEqual(await lines(server, "list", "-q"), [other]);
  await start("-l", "batch=1");
  await start("-l", "batch=1");
  await start("-l", "batch=2");
  await lines(server, "stop", "--label", "batch=1");
  assert.equal((await lines(server, "list", "-q")).length, 2);
  const labelled = await server.cli(["stop", "--all", "--label", "batch=2", "--grace", "0"]);
  assert.deepEqual([labelled.code, labelled.stderr], [0, "worker-client: stopping 1 job\n"]);
  await start();
  const rest = await server.cli(["stop", "--all", "--grace", "0"]);
  assert.deepEqual([rest.code, rest.stderr], [0, "worker-client: stopping 1 job\n"]);
  assert.deepEqual(await lines(server, "list", "-q"), [other]);
  const { code, stderr } = await server.cli(["stop", "a", "no-such-job", other]);
  assert.equal(code, 1, stderr);
  assert.match(stderr, /already exited/);
  assert.match(stderr, /No job has the id "no-such-job"/);
  assert.deepEqual(
    await lines(server, "list", "-q"),
    [""],
    "the last one was stopped all the same",
  );
});

Deno.test("worker-client: names and short ids stand for jobs, with every verb", async () => {
  await using server = await TestServer.start();
  const [id = ""] = await lines(
    server,
    "start",
    "-q",
    "--name",
    "work",
    "sh",
    "-c",
    "echo up; sleep 600",
  );
  await until("the output", async () => {
    return (await server.cli(["stream", "--no-follow", "work"])).stdout === "up\n";
  });
  assert.match((await lines(server, "query", id.slice(0, 8)))[0] ?? "", /^Pid: \d+ Exit code: -/);
  await lines(server, "signal", "TERM", "work");
  assert.equal((await server.cli(["wait", "work"])).code, 143);
  await lines(server, "remove", id.slice(0, 10));
  assert.equal((await failure(server, "query", "work"))[0], 5);
});

Deno.test("worker-client stats, doctor, version: say what is so", async () => {
  await using server = await TestServer.start();
  assert.equal((await lines(server, "stats")).length, 1);
  await lines(server, "start", "--name", "busy", "--cpu", "20%", "sh", "-c", "while :; do :; done");
  const [head = "", row = ""] = await lines(server, "stats");
  assert.match(head, /^ID +NAME +CPU +MEMORY +PEAK +READ\/s +WRITE\/s +PROCESSES +COMMAND$/);
  assert.match(row, /^[0-9a-f]{8} +busy +[\d.]+ %/);
  const [text = ""] = await lines(server, "stats", "--json", "busy");
  assert(JSON.parse(text).cpuPercent > 0, text);
  assert.equal((await failure(server, "stats", "nope"))[0], 5);
  const doctor = await lines(server, "doctor");
  assert.deepEqual(doctor.map((line) => line.split(/ +/)[1]), [
    "identity",
    "server",
    "you",
    "clocks",
    "jobs",
    "limits",
  ]);
  assert.match(doctor.join("\n"), /you +alice, writer\n/);
  assert.match((await server.cli(["doctor"], "bob")).stdout, /you +bob, reader\n/);
  const key = server.pki.file("bob.pem");
  await Deno.chmod(key, 0o644);
  const { code, stdout } = await server.cli(["doctor", "-i", key]);
  assert.equal(code, 0);
  assert(
    stdout.includes(`warning  key          other users may read ${key}: run chmod 600 ${key}\n`),
  );
  assert.deepEqual(await lines(server, "version"), ["client 0.1.0", "server 0.1.0"]);
  await server.end();
  const gone = await server.cli(["version"]);
  assert.deepEqual([gone.code, gone.stdout], [3, "client 0.1.0\n"]);
  assert.equal((await server.cli(["doctor"])).code, 3);
});

Deno.test("worker-client top: shows jobs on the alternate screen, and restores the terminal", async () => {
  await using server = await TestServer.start();
  await lines(server, "start", "--name", "busy", "--cpu", "20%", "sh", "-c", "while :; do :; done");
  for (const end of ["q", "\x03"]) {
    // script(1) gives it a terminal; without exec its shell would die of the Ctrl-C as well.
    const child = new Deno.Command("script", {
      args: ["-qec", `exec ${join(BIN_DIR, "worker-client")} top --interval 250ms`, "/dev/null"],
      env: { ...server.cliEnvironment(), TERM: "xterm" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    let text = "";
    const drained = (async () => {
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) text += part;
    })();
    await until("some updates", () => text.split("job running").length > 3);
    const writer = child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(end));
    const { code } = await inTime("top to end", child.status);
    await writer.close().catch(() => {});
    await inTime("the end of top's output", drained);
    assert.equal(code, 0, JSON.stringify(text.slice(-300)));
    assert(text.startsWith("\x1b[?1049h\x1b[?25l"), JSON.stringify(text.slice(0, 100)));
    assert(text.includes("\x1b[?25h\x1b[?1049l"), JSON.stringify(text.slice(-100)));
    assert.match(text, /1 job running {3}\d\d:\d\d:\d\d/);
    assert.match(text, /busy +[\d.]+ % +[▁▂▃▄▅▆▇█]+/);
  }
});

Deno.test("worker-client top: without a terminal the error names stats", async () => {
  await using server = await TestServer.start();
  const [code, said] = await failure(server, "top");
  assert.equal(code, 2);
  assert.match(said, /"top" needs a terminal\. "worker-client stats" prints the same once/);
});
