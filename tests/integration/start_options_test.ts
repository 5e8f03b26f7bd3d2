/** How jobs are run, when a start says how: user, environment, folder, namespaces, time. */
import { Metadata, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import type { StartRequest } from "../../proto/contract.ts";
import { assertStatus, TestClient } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { assertNothingStarted, endOf, processesOf } from "../support/job_traces.ts";

/** A user that every Debian has, and that owns nothing. */
const USER = "nobody";

const ISOLATED = { privateTmp: true, noNetwork: true, ownProcesses: true };

/** Runs a script to its end; returns what it wrote and how it ended. */
async function runScript(client: TestClient, script: string, request: StartRequest = {}) {
  const id = await client.script(script, request);
  const end = await endOf(client, id);
  return { id, ...end, text: await client.text(id) };
}

Deno.test("Start: the environment is the stated list, and what the request adds", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const env = {
    PLAIN: "value",
    QUOTES: `a'b"c$(id)\`id\`\\ $HOME`,
    LINES: "one\ntwo\n",
    EMPTY: "",
    HOME: "/elsewhere",
    job: "x",
    name: "kept",
    stage: "kept too",
  };
  const { text } = await runScript(client, "exec env -0", { env });
  const found = Object.fromEntries(
    text.split("\0").filter((entry) => entry !== "").map((entry) => {
      const index = entry.indexOf("=");
      return [entry.slice(0, index), entry.slice(index + 1)];
    }),
  );
  const { JOB_ID: _id, PWD: _folder, OLDPWD: _before, ...rest } = found;
  assert.deepEqual(rest, {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    USER: "root",
    LOGNAME: "root",
    SHELL: "/bin/sh",
    LANG: "C.UTF-8",
    ...env,
  });
});

Deno.test("Start: a program is looked up in the PATH that the request sets", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  await Deno.writeTextFile(join(server.folder, "mine"), "#!/bin/sh\necho found\n", { mode: 0o755 });
  const id = await client.startWith({ name: "mine", env: { PATH: `${server.folder}:/bin` } });
  await endOf(client, id);
  assert.equal(await client.text(id), "found\n");
  await assertStatus(
    client.startWith({ name: "mine" }),
    status.INVALID_ARGUMENT,
    /no such program/,
  );
});

Deno.test("Start: no program that the server runs as root is taken from the job's PATH", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const folder = join(server.folder, "path");
  await Deno.mkdir(folder);
  const trace = join(server.folder, "trace");
  const programs = [
    "rmdir",
    "sleep",
    "env",
    "setsid",
    "setpriv",
    "unshare",
    "mount",
    "getent",
    "sh",
  ];
  for (const program of programs) {
    await Deno.writeTextFile(join(folder, program), `#!/bin/sh\necho ${program} >>${trace}\n`, {
      mode: 0o755,
    });
  }
  const { exitCode } = await runScript(client, "/bin/sleep 0.1 & exit 4", {
    env: { PATH: folder, LD_PRELOAD: "/nonexistent.so" },
    user: USER,
    isolation: ISOLATED,
  });
  assert.equal(exitCode, 4);
  await assert.rejects(Deno.stat(trace), Deno.errors.NotFound);
});

Deno.test("Start: working directory, umask and standard input are the request's", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const stdin = Buffer.from("one\0two\xff\n", "latin1");
  const id = await client.script("pwd; umask; cat", {
    workingDirectory: "/usr/share",
    umask: 0o27,
    stdin,
  });
  await endOf(client, id);
  const output = Buffer.from(await client.output(id));
  assert.deepEqual(output, Buffer.concat([Buffer.from("/usr/share\n0027\n"), stdin]));
  const asked = await client.query(id);
  assert.equal(asked.workingDirectory, "/usr/share");
  assert.equal(asked.user, "root");
});

Deno.test("Start: a program is named from the working directory on", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  await Deno.writeTextFile(join(server.folder, "here"), "#!/bin/sh\necho here\n", { mode: 0o755 });
  const id = await client.startWith({ name: "./here", workingDirectory: server.folder });
  await endOf(client, id);
  assert.equal(await client.text(id), "here\n");
  await assertStatus(client.startWith({ name: "./here" }), status.INVALID_ARGUMENT);
});

Deno.test("Start: a job of another user has that user's groups, no capability and no way back", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const { text, user } = await runScript(
    client,
    'id -un; id -Gn; echo "$USER $LOGNAME $HOME"; grep -E "^(Cap|NoNewPrivs)" /proc/self/status; ' +
      "cat; ls /proc/self/fd",
    { user: USER, stdin: Buffer.from("read me\n") },
  );
  assert.equal(user, USER);
  const lines = text.trimEnd().split("\n");
  assert.deepEqual(lines.slice(0, 3), [USER, "nogroup", `${USER} ${USER} /nonexistent`]);
  assert.deepEqual(lines.slice(3, 9), [
    "CapInh:\t0000000000000000",
    "CapPrm:\t0000000000000000",
    "CapEff:\t0000000000000000",
    "CapBnd:\t0000000000000000",
    "CapAmb:\t0000000000000000",
    "NoNewPrivs:\t1",
  ]);
  assert.equal(lines[9], "read me");
});

Deno.test("Start: a job of another user cannot touch its limits, its record or other jobs", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const other = await client.start("sleep", "600");
  const { pid } = await client.query(other);
  const { text } = await runScript(
    client,
    `kill -9 ${pid} && echo KILLED; ` +
      `ls ${server.logDir} && echo LISTED; ` +
      `for f in /sys/fs/cgroup/*/${server.cgroupParent} /sys/fs/cgroup/${server.cgroupParent}; do ` +
      `(echo $$ >"$f/cgroup.procs") && echo MOVED; mkdir "$f/mine" && echo MADE; done`,
    { user: USER },
  );
  assert.doesNotMatch(text, /KILLED|LISTED|MOVED|MADE/);
  assert.match(text, /[Pp]ermi/);
  await client.stop(other, 0);
});

Deno.test("Start: --job-user is whom jobs run as, and nobody chooses another without a rule", async () => {
  await using server = await TestServer.start({ flags: ["--job-user", USER] });
  const client = server.client();
  const { text, user } = await runScript(client, "id -un");
  assert.equal(text, `${USER}\n`);
  assert.equal(user, USER);
  for (const other of ["root", "daemon"]) {
    await assertStatus(
      client.script("true", { user: other }),
      status.PERMISSION_DENIED,
      new RegExp(`alice may not run jobs as ${other}`),
    );
  }
});

Deno.test("Start: each kind of isolation holds, by itself", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const marker = await Deno.makeTempFile({ prefix: "job-worker-marker-" });
  try {
    const looks = `ls -A /tmp /var/tmp; echo ---; ls /sys/class/net 2>/dev/null; ` +
      `cat /proc/net/dev | grep -c :; echo ---; ls -d /proc/[0-9]* | wc -l`;
    const plain = (await runScript(client, looks)).text.split("---\n");
    assert.match(plain[0] ?? "", /job-worker-marker/);
    const tmp = await runScript(client, looks, { isolation: { privateTmp: true } });
    assert.equal(tmp.text.split("---\n")[0], "/tmp:\n\n/var/tmp:\n");
    const network = await runScript(client, "grep : /proc/net/dev", {
      isolation: { noNetwork: true },
    });
    assert.match(network.text, /^\s*lo:[^\n]*\n$/);
    const processes = await runScript(client, looks, { isolation: { ownProcesses: true } });
    const count = Number(processes.text.split("---\n")[2]);
    assert(count >= 2 && count <= 6, `it sees ${count} processes`);
    assert.match(processes.text, /job-worker-marker/);
    assert.deepEqual({ ...processes.isolation }, {
      privateTmp: false,
      noNetwork: false,
      ownProcesses: true,
    });
  } finally {
    await Deno.remove(marker);
  }
});

Deno.test("Start: what a job leaves in its private /tmp is gone with it", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const name = `job-worker-private-${crypto.randomUUID()}`;
  const isolation = { privateTmp: true };
  const { text } = await runScript(client, `echo x >/tmp/${name}; cat /tmp/${name}`, { isolation });
  assert.equal(text, "x\n");
  await assert.rejects(Deno.stat(`/tmp/${name}`), Deno.errors.NotFound);
  const again = await runScript(client, `ls -A /tmp`, { isolation });
  assert.equal(again.text, "");
});

for (const isolation of [{ privateTmp: true }, ISOLATED]) {
  const kind = JSON.stringify(Object.keys(isolation));
  Deno.test(`Start: exit statuses and signals arrive as they are out of ${kind}`, async () => {
    await using server = await TestServer.start();
    const client = server.client();
    for (const code of [0, 1, 125, 143, 255]) {
      const { exitCode, signal } = await runScript(client, `exit ${code}`, { isolation });
      assert.deepEqual({ exitCode, signal }, { exitCode: code, signal: 0 });
    }
    for (const number of [3, 6, 9, 15]) {
      const { exitCode, signal, text } = await runScript(
        client,
        `kill -s ${number} $$; sleep 60`,
        { isolation },
      );
      assert.deepEqual({ exitCode, signal, text }, {
        exitCode: 128 + number,
        signal: number,
        text: "",
      });
    }
  });

  Deno.test(`Stop: the command hears the signal out of ${kind}, and its status counts`, async () => {
    await using server = await TestServer.start();
    const client = server.client();
    const script = "trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.05; done";
    const polite = await client.script(script, { isolation });
    await client.untilOutput(polite, /up/);
    await client.stop(polite, 10_000);
    const { exitCode, signal } = await endOf(client, polite);
    assert.deepEqual({ exitCode, signal }, { exitCode: 7, signal: 0 });
    // The shell may say a word about its own sleep.
    assert.match(await client.text(polite), /^up\n(Terminated\n)?bye\n$/);
    // Without a handler: as the first process of its namespace it would not hear it at all.
    const plain = await client.startWith({ name: "sleep", args: ["600"], isolation });
    await client.stop(plain, 10_000);
    assert.equal((await endOf(client, plain)).signal, 15);
    const stubborn = await client.script("trap '' TERM; echo up; while :; do sleep 1; done", {
      isolation,
    });
    await client.untilOutput(stubborn, /up/);
    await client.stop(stubborn, 100);
    assert.equal((await endOf(client, stubborn)).signal, 9);
  });

  Deno.test(`Start: what a job leaves behind in ${kind} ends with it`, async () => {
    await using server = await TestServer.start();
    const client = server.client();
    const { id, exitCode } = await runScript(
      client,
      "setsid sleep 600 & (trap '' TERM; exec setsid sleep 600) & exit 3",
      { isolation, gracePeriodMs: 100 },
    );
    assert.equal(exitCode, 3);
    assert.deepEqual(await processesOf(id), []);
  });
}

Deno.test("Start: a job past its timeout is stopped, and says so", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const late = await client.startWith({ name: "sleep", args: ["600"], timeoutMs: 200 });
  const { timedOut, signal, state } = await endOf(client, late);
  assert.deepEqual({ timedOut, signal, state }, {
    timedOut: true,
    signal: 15,
    state: "JOB_STATE_EXITED",
  });
  const stubborn = await client.script("trap '' TERM; while :; do sleep 0.05; done", {
    timeoutMs: 200,
    gracePeriodMs: 100,
  });
  assert.equal((await endOf(client, stubborn)).signal, 9);
  const early = await client.startWith({ name: "true", timeoutMs: 600_000 });
  assert.equal((await endOf(client, early)).timedOut, false);
});

Deno.test("Start: a timeout that passes while no server runs is kept by the next one", async () => {
  await using server = await TestServer.start();
  const id = await server.client().startWith({ name: "sleep", args: ["600"], timeoutMs: 1500 });
  await server.end("SIGKILL");
  const { startedAtMs } = { startedAtMs: Date.now() };
  await until("the timeout to pass", () => Date.now() - startedAtMs > 1500);
  await server.launch();
  const { timedOut, signal } = await endOf(server.client(), id);
  assert.deepEqual({ timedOut, signal }, { timedOut: true, signal: 15 });
});

Deno.test("Stop: the stop signal is the job's, and so is its grace period", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const script = "trap 'echo int; exit 0' INT; trap 'echo term' TERM; echo up; " +
    "while :; do sleep 0.05; done";
  const id = await client.script(script, { stopSignal: "SIGINT" });
  await client.untilOutput(id, /up/);
  await client.stop(id);
  assert.match(await client.text(id), /^up\n(Terminated\n)?int\n$/);
  const stubborn = await client.script("trap '' INT; echo up; while :; do sleep 0.05; done", {
    stopSignal: "int",
    gracePeriodMs: 50,
  });
  await client.untilOutput(stubborn, /up/);
  await client.stop(stubborn);
  assert.equal((await endOf(client, stubborn)).signal, 9);
});

Deno.test("Start: limits of a job's own are held, and never above the server's", async () => {
  await using server = await TestServer.start({ limits: { cpu: "50%", memory: "64M" } });
  const client = server.client();
  const { limits } = await runScript(client, "true", {
    limits: { cpuCores: 0.25, processes: 20 },
  });
  assert.deepEqual(
    [limits?.cpuCores, limits?.memoryBytes, limits?.processes],
    [0.25, 64 * 1024 ** 2, 20],
  );
  const { text } = await runScript(client, "for i in 1 2 3 4 5 6; do sleep 5 & done; wait", {
    limits: { processes: 3 },
    gracePeriodMs: 0,
  });
  assert.match(text, /fork/);
  await assertStatus(
    client.script("true", { limits: { cpuCores: 0.6 } }),
    status.FAILED_PRECONDITION,
    /CPU limit of 60% is above the server's of 50%/,
  );
});

Deno.test("Start: what cannot be is refused by name, and nothing is left", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const refused: [StartRequest, RegExp][] = [
    [{ user: "no-such-user" }, /has no user "no-such-user"/],
    [{ user: "no such user" }, /is not a valid user/],
    [{ user: "../root" }, /is not a valid user/],
    [{ workingDirectory: "/nonexistent" }, /working directory is not a folder/],
    [{ workingDirectory: "/etc/passwd" }, /working directory is not a folder/],
    [{ workingDirectory: "/root", user: USER }, /its user may not enter it/],
    [{ workingDirectory: "relative" }, /is not an absolute path/],
    [{ workingDirectory: "/a\0b" }, /the working directory has a NUL byte/],
    [{ env: { "": "x" } }, /"" is not a name of an environment variable/],
    [{ env: { "A\n=B": "x" } }, /is not a name of an environment variable/],
    [{ env: { A: "x\0y" } }, /the variable "A" contains a NUL byte/],
    [{ env: { JOB_ID: "x" } }, /JOB_ID is the server's to set/],
    [{ env: { BIG: "x".repeat(128 * 1024) } }, /"BIG" is above 127 KiB/],
    [{ umask: 0o1000 }, /umask is above 777/],
    [{ stopSignal: "SIGWHAT" }, /"SIGWHAT" is not a signal/],
    [{ stopSignal: "STOP" }, /SIGSTOP does not end a job/],
    [{ gracePeriodMs: 3_600_001 }, /grace period is above an hour/],
    [{ title: "a b" }, /is not a valid job name/],
    [{ title: "deadbeef" }, /could be a job's id/],
    [{ labels: { "a b": "x" } }, /is not a valid label name/],
    [{ labels: { a: "x\ny" } }, /label a has control characters/],
    [{ limits: { memoryBytes: 1 } }, /: 1 is not a valid memory limit: expected at least 1M/],
    [{ stdin: Buffer.alloc(2 * 1024 ** 2 + 1) }, /standard input is above 2 MiB/],
  ];
  for (const [request, details] of refused) {
    const call = client.startWith({ name: "true", ...request });
    const { details: text } = await assertStatus(call, status.INVALID_ARGUMENT, details);
    assert(!text.includes("\n"), text);
    await assertNothingStarted(server);
  }
});

Deno.test("Start: no environment value and no input is on record, in the log or in the trail", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const secret = `secret-${crypto.randomUUID()}`;
  const id = await client.script("sleep 600", {
    env: { TOKEN: secret },
    stdin: Buffer.from(secret),
  });
  for (const process of await processesOf(id)) {
    const command = await Deno.readTextFile(`/proc/${process}/cmdline`).catch(() => "");
    assert(!command.includes(secret), "it is in an argument");
  }
  await client.stop(id, 0);
  await endOf(client, id);
  assert(!server.log.includes(secret), "it is in the log");
  for (const name of ["jobs.db", "jobs.db-wal", "audit/audit.jsonl"]) {
    const bytes = await Deno.readFile(join(server.logDir, name));
    assert(!Buffer.from(bytes).includes(secret), `it is in ${name}`);
  }
});

Deno.test("Start: a repeated start with other options is refused", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const request = { name: "true", idempotencyKey: "key", env: { A: "1" }, title: "one" };
  const id = await client.startWith(request);
  assert.equal(await client.startWith(request), id);
  for (
    const other of [{ env: { A: "2" } }, { title: "two" }, { user: USER }, {
      stdin: Buffer.from("x"),
    }]
  ) {
    await assertStatus(
      client.startWith({ ...request, ...other }),
      status.FAILED_PRECONDITION,
      /key was used for another command, or with other options/,
    );
  }
});

Deno.test("Start: a caller's trace goes on in its job, in a well-formed call", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const startTraced = (headers: Record<string, string>, env: Record<string, string> = {}) => {
    const metadata = new Metadata();
    for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
    return new Promise<string>((resolve, reject) => {
      client.raw.Start(
        { name: "sh", args: ["-c", 'echo "$TRACEPARENT|$TRACESTATE"'], env },
        metadata,
        (error, response) => error ? reject(error) : resolve(response?.jobID ?? ""),
      );
    });
  };
  const cases: [Record<string, string>, Record<string, string>, string][] = [
    [{ traceparent: parent, tracestate: "a=b" }, {}, `${parent}|a=b`],
    [{ traceparent: "junk", tracestate: "a=b" }, {}, "|"],
    [{ traceparent: parent }, { TRACEPARENT: "mine" }, "mine|"],
    [{}, {}, "|"],
  ];
  for (const [headers, env, expected] of cases) {
    const id = await startTraced(headers, env);
    await endOf(client, id);
    assert.equal(await client.text(id), `${expected}\n`);
  }
});

Deno.test("Start: nice values, limits of open files and uids are the job's, also through namespaces and users", async () => {
  await using server = await TestServer.start({ prelude: "ulimit -n 4096" });
  const client = server.client();
  const show = "nice; ulimit -Sn; ulimit -Hn; id -un";
  const [uid = ""] = (await runScript(client, `id -u ${USER}`)).text.split("\n");
  const cases: [StartRequest, string][] = [
    [{ nice: 7 }, "7\n4096\n4096\nroot\n"],
    [{ openFiles: 100 }, "0\n100\n100\nroot\n"],
    [{ nice: 19, openFiles: 4096, user: uid, isolation: ISOLATED }, `19\n4096\n4096\n${USER}\n`],
    [{ user: "0" }, "0\n4096\n4096\nroot\n"],
    [{ user: "irc:39", isolation: ISOLATED }, "0\n4096\n4096\nirc\n"],
  ];
  for (const [request, expected] of cases) {
    const { id, text } = await runScript(client, show, request);
    assert.equal(text, expected);
    const { nice, openFiles } = await client.query(id);
    assert.deepEqual([nice ?? undefined, openFiles || undefined], [
      request.nice,
      request.openFiles,
    ]);
  }
  const refusals: [StartRequest, number, RegExp][] = [
    [{ openFiles: 4097 }, status.FAILED_PRECONDITION, /4097 open files is above .*, 4096 \(/],
    [{ openFiles: 2 ** 53 - 1 }, status.FAILED_PRECONDITION, /above the hard limit/],
    [{ nice: -1 }, status.INVALID_ARGUMENT, /nice value is 0 to 19/],
    [{ user: "4294967000" }, status.INVALID_ARGUMENT, /no user for uid 4294967000/],
    [{ user: "4294967296" }, status.INVALID_ARGUMENT, /is not a valid user/],
    [{ user: `${USER}:root` }, status.PERMISSION_DENIED, /is not in the group root/],
    [{ user: `${USER}:0` }, status.PERMISSION_DENIED, /is not in the group root/],
    [{ user: `${USER}:no-such` }, status.INVALID_ARGUMENT, /has no group "no-such"/],
  ];
  for (const [request, code, message] of refusals) {
    await assertStatus(client.script("true", request), code, message);
  }
});
