/** The rule file, with the compiled server. */
// Attacks: the rule file.
import { Metadata, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR } from "../support/binaries.ts";
import { assertStatus } from "../support/client.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { endOf } from "../support/job_traces.ts";

/** A server with a rule file, which the test may write anew. */
async function startWithRules(rules: unknown) {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-rules-" });
  const file = join(folder, "rules.json");
  const write = (value: unknown) => Deno.writeTextFile(file, JSON.stringify(value));
  await write(rules);
  const server = await TestServer.start({ flags: ["--rules", file] });
  return {
    server,
    file,
    write,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

Deno.test("rules: a person starts listed commands only, and touches own jobs only", async () => {
  await using place = await startWithRules({
    rules: [{
      name: "alice",
      jobs: "own",
      commands: ["/bin/echo", ["/bin/sleep", "*"], ["/bin/ls", "-l", "**"]],
      environment: ["LANG"],
    }],
  });
  const { server } = place;
  const alice = server.client();
  await server.pki.issue("carol", "writer");
  const carol = server.client("carol");
  for (const [name, ...args] of [["/bin/echo", "a", "b"], ["/bin/sleep", "0"], ["/bin/ls", "-l"]]) {
    await alice.startWith({ name: name ?? "", args, env: { LANG: "C" } });
  }
  const refused = [
    ["/bin/sh", "-c", "id"],
    ["echo", "a"],
    ["/bin/sleep"],
    ["/bin/sleep", "0", "0"],
    ["/bin/ls", "/"],
    ["/bin/../bin/echo"],
  ];
  for (const [name, ...args] of refused) {
    await assertStatus(
      alice.startWith({ name: name ?? "", args }),
      status.PERMISSION_DENIED,
      /alice may not start this command: the server's rule file/,
    );
  }
  const denied = [
    { env: { PATH: "/tmp" } },
    { env: { LD_PRELOAD: "/tmp/x.so" } },
    { workingDirectory: "/tmp" },
    { user: "nobody" },
    { umask: 0 },
    { stdin: new Uint8Array(1) },
    { limits: { processes: 1 } },
    { stopSignal: "USR1" },
    { isolation: { privateTmp: true } },
  ];
  for (const request of denied) {
    await assertStatus(
      alice.startWith({ name: "/bin/echo", ...request }),
      status.PERMISSION_DENIED,
      /rule file/,
    );
  }
  const other = await carol.startWith({ name: "sleep", args: ["600"], title: "hers" });
  for (const id of [other, other.slice(0, 8), "hers"]) {
    for (const method of ["query", "stop", "wait", "remove"] as const) {
      await assertStatus(alice[method](id), status.NOT_FOUND);
    }
    await assertStatus(alice.signal(id, "TERM"), status.NOT_FOUND);
    await assertStatus(alice.output(id), status.NOT_FOUND);
  }
  assert((await alice.list()).jobs.every(({ owner }) => owner === "alice"));
  await assertStatus(alice.list({ owner: "carol" }), status.PERMISSION_DENIED);
  assert.equal((await carol.list()).jobs.length, 4);
  await carol.stop(other, 0);
});

Deno.test("rules: methods are taken away, and whom jobs may run as is given", async () => {
  await using place = await startWithRules({
    rules: [
      { role: "writer", users: ["nobody", "daemon", "nobody:games"] },
      { name: "alice", users: ["nobody", "nobody:games"] },
      { role: "reader", methods: ["Query", "List"] },
    ],
  });
  const { server } = place;
  const alice = server.client();
  const bob = server.client("bob");
  const id = await alice.script("id -un", { user: "nobody" });
  await endOf(alice, id);
  assert.equal(await alice.text(id), "nobody\n");
  await assertStatus(alice.script("id", { user: "daemon" }), status.PERMISSION_DENIED, /daemon/);
  const grouped = await alice.script("id -gn; id -Gn; env | grep job_worker", {
    user: "nobody:60",
  });
  assert.equal((await endOf(alice, grouped)).user, "nobody:games");
  assert.equal(await alice.text(grouped), "games\ngames nogroup\n");
  await assertStatus(
    alice.script("id", { user: "nobody:disk" }),
    status.PERMISSION_DENIED,
    /nobody is not in the group disk/,
  );
  await bob.query(id);
  await bob.list();
  await assertStatus(bob.output(id), status.PERMISSION_DENIED, /bob may not call Stream/);
  await assertStatus(bob.wait(id), status.PERMISSION_DENIED, /bob may not call Wait/);
});

Deno.test("rules: nobody is root who must be another user, also where jobs are root by default", async () => {
  await using place = await startWithRules({
    unnamed: "refused",
    rules: [
      { role: "writer", users: ["nobody"], isolation: ["own-processes"], environment: ["LANG"] },
      { name: "alice" },
    ],
  });
  const { server } = place;
  const alice = server.client();
  const isolation = { ownProcesses: true };
  for (const user of ["", "root", "daemon"]) {
    await assertStatus(
      alice.startWith({ name: "id", user, isolation }),
      status.PERMISSION_DENIED,
      /may not run jobs as \w+, only as nobody \(--user\)/,
    );
  }
  await assertStatus(
    alice.startWith({ name: "id", user: "nobody" }),
    status.PERMISSION_DENIED,
    /may not start a job without --own-processes/,
  );
  const trace = new Metadata();
  trace.set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  trace.set("tracestate", "a=b");
  const id = await alice.startWith({
    name: "sh",
    args: ["-c", "id -un; env | grep TRACE"],
    user: "nobody",
    isolation,
  }, trace);
  await endOf(alice, id);
  assert.equal(await alice.text(id), "nobody\n");
  await assertStatus(server.client("bob").list(), status.PERMISSION_DENIED, /no rule names "bob"/);
});

Deno.test("rules: a changed file holds at once; a broken one changes nothing and is told of", async () => {
  await using place = await startWithRules({ rules: [] });
  const { server } = place;
  const alice = server.client();
  await alice.start("true");
  await place.write({ rules: [{ role: "writer", methods: ["Query"] }] });
  await assertStatus(alice.start("true"), status.PERMISSION_DENIED);
  for (const text of ["", "{", "[]", '{"rules":[{"role":"admin"}]}', '{"rules":[{}]}']) {
    await Deno.writeTextFile(place.file, text);
    await assertStatus(alice.start("true"), status.PERMISSION_DENIED);
    await until("the log to tell", () => server.log.includes("the rule file is invalid"));
  }
  await Deno.remove(place.file);
  await assertStatus(alice.start("true"), status.PERMISSION_DENIED);
  await place.write({ rules: [] });
  await alice.start("true");
});

Deno.test("rules: a server does not start with a file that it does not understand", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-rules-" });
  try {
    const file = join(folder, "rules.json");
    const broken: [string, RegExp][] = [
      ["nonsense", /it is not valid JSON/],
      ["{}", /rules/],
      ['{"rules":[],"more":1}', /more/],
      ['{"rules":[{"role":"root"}]}', /rules\.0\.role/],
      ['{"rules":[{"name":"a","methods":["Fly"]}]}', /rules\.0\.methods\.0/],
      ['{"rules":[{"methods":["Start"]}]}', /needs a "role" or a "name"/],
      ['{"rules":[{"name":"a","commands":[["**","x"]]}]}', /only at the end of a command/],
      ['{"rules":[{"name":"a","comands":[]}]}', /comands/],
    ];
    for (const [text, message] of broken) {
      await Deno.writeTextFile(file, text);
      const start = TestServer.start({ flags: ["--rules", file] });
      await assert.rejects(start, (error: Error) => {
        assert.match(error.message, /cannot use the rule file .*rules\.json/);
        assert.match(error.message, message);
        return true;
      });
    }
    const missing = TestServer.start({ flags: ["--rules", join(folder, "none.json")] });
    await assert.rejects(missing, /cannot use the rule file .*none\.json/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("worker-client: a refusal by a rule is exit status 4, and says what refused", async () => {
  await using place = await startWithRules({ rules: [{ name: "alice", commands: ["/bin/true"] }] });
  const { code, stderr } = await place.server.cli(["start", "/bin/sh"]);
  assert.equal(code, 4);
  assert.match(
    stderr,
    /alice may not start this command: the server's rule file does not allow it/,
  );
  const { code: fine } = await run(join(BIN_DIR, "worker-client"), ["run", "/bin/true"], {
    env: place.server.cliEnvironment(),
  });
  assert.equal(fine, 0);
});

Deno.test("worker-server doctor: looks at the job user and at the rule file", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-rules-" });
  try {
    const file = join(folder, "rules.json");
    await Deno.writeTextFile(file, '{"rules":[]}');
    const doctor = (...flags: string[]) =>
      run(join(BIN_DIR, "worker-server"), ["doctor", ...flags]);
    const fine = await doctor("--job-user", "nobody", "--rules", file);
    assert.match(fine.stdout, /^ok +job user +jobs run as nobody$/m);
    assert.match(fine.stdout, /^ok +rule file +.*rules\.json is valid$/m);
    const nobody = await doctor("--job-user", "no-such-user");
    assert.match(
      nobody.stdout,
      /^missing +job user +this host has no user no-such-user: make it, or/m,
    );
    assert.equal(nobody.code, 1);
    await Deno.writeTextFile(file, "{}");
    const broken = await doctor("--rules", file);
    assert.match(broken.stdout, /^missing +rule file +cannot use the rule file/m);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
