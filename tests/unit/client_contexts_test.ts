/** The config file and the command `context`. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { parseConfig } from "../../client/endpoint/config_file.ts";
import { runClient } from "../support/client_terminal.ts";

/** A home directory. */
class Home implements Disposable {
  readonly path = Deno.makeTempDirSync({ prefix: "job-worker-home-" });

  get file(): string {
    return join(this.path, ".config", "job-worker", "config.json");
  }

  run(...args: string[]) {
    return runClient(args, { HOME: this.path });
  }

  with(environment: Record<string, string>, ...args: string[]) {
    return runClient(args, { HOME: this.path, ...environment });
  }

  write(text: string): void {
    Deno.mkdirSync(join(this.path, ".config", "job-worker"), { recursive: true });
    Deno.writeTextFileSync(this.file, text);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

const TWO = JSON.stringify({
  current: "prod",
  contexts: {
    prod: { server: "prod:50051", identity: "/none/prod.pem" },
    lab: { server: "lab:50051", ca: "/none/ca.crt", cert: "/none/a.crt", key: "/none/a.key" },
  },
});

Deno.test("context: what is not named of one that is added again stays", async () => {
  using home = new Home();
  const identity = "/none/prod.pem";
  const contexts = { prod: { server: "prod:50051", identity } };
  Deno.mkdirSync(join(home.file, ".."), { recursive: true });
  Deno.writeTextFileSync(home.file, JSON.stringify({ contexts }));
  assert.equal((await home.run("context", "add", "prod", "--server", "new:1")).status, 0);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(home.file)), {
    current: "prod",
    contexts: { prod: { server: "new:1", identity } },
  });
  assert.equal((await home.run("context", "add", "prod", "--use")).status, 0);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(home.file)).contexts.prod, {
    server: "new:1",
    identity,
  });
});

Deno.test("context: the first one that is added is used, another one when asked for", async () => {
  using home = new Home();
  assert.equal((await home.run("context", "add", "prod", "--server", "prod")).status, 0);
  assert.equal((await home.run("context", "add", "lab", "--server", "lab:1")).status, 0);
  assert.equal(
    (await home.run("context", "list")).text,
    "   NAME  SERVER      IDENTITY\n*  prod  prod:50051  -\n   lab   lab:1       -\n",
  );
  assert.equal((await home.run("context", "use", "lab")).status, 0);
  const { text } = await home.run("context", "ls", "--json");
  assert.deepEqual(text.trim().split("\n").map((line) => JSON.parse(line)), [
    { name: "prod", server: "prod:50051", inUse: false },
    { name: "lab", server: "lab:1", inUse: true },
  ]);
  assert.equal((await home.run("context", "remove", "lab")).status, 0);
  assert.equal(Deno.readTextFileSync(home.file).includes("lab"), false);
  assert.equal((Deno.statSync(home.file).mode ?? 0) & 0o777, 0o600);
  assert.deepEqual([...Deno.readDirSync(join(home.file, ".."))].map(({ name }) => name), [
    "config.json",
  ]);
});

for (
  const [what, args, problem] of [
    ["no name", ["add"], /Missing required argument 'name'/],
    ["a name that is an option to others", ["add", "a b"], /Cannot name a context "a b"/],
    ["no address", ["add", "a", "--server", "a:b:c"], /Cannot read the server's address/],
    ["a missing identity", ["add", "a", "-i", "/none/x.pem"], /Cannot read \/none\/x/],
    ["half an identity", ["add", "a", "--cert", "/none/x.crt"], /--ca and --key missing/],
    ["an unknown one", ["use", "a"], /There is no context "a"\. Choose one of prod, lab\./],
    [
      "a name in the prototype of objects",
      ["use", "constructor"],
      /There is no context "constructor"/,
    ],
    ["an unknown one", ["remove", "a"], /There is no context "a"/],
  ] as const
) {
  Deno.test(`context ${args[0]}: ${what} is refused, and nothing changes`, async () => {
    using home = new Home();
    home.write(TWO);
    const { status, notes } = await home.run("context", ...args);
    assert.notEqual(status, 0);
    assert.match(notes.join("\n"), problem);
    assert.equal(Deno.readTextFileSync(home.file), TWO);
  });
}

for (
  const [what, environment, args, file] of [
    ["the one in use holds", {}, ["list"], "/none/prod.pem"],
    ["--context chooses", {}, ["list", "--context", "lab"], "/none/a.key"],
    ["so it does before the verb", {}, ["--context", "lab", "list"], "/none/a.key"],
    ["JOB_WORKER_CONTEXT chooses", { JOB_WORKER_CONTEXT: "lab" }, ["list"], "/none/a.key"],
    ["options go before it", {}, ["list", "-i", "/none/own.pem"], "/none/own.pem"],
    ["the environment goes before the one in use", { JOB_WORKER_IDENTITY: "/none/e.pem" }, [
      "list",
    ], "/none/e.pem"],
    ["but not before a chosen one", { JOB_WORKER_IDENTITY: "/none/e.pem" }, [
      "list",
      "--context",
      "prod",
    ], "/none/prod.pem"],
  ] as const
) {
  Deno.test(`context: ${what}`, async () => {
    using home = new Home();
    home.write(TWO);
    const { status, notes } = await home.with({ ...environment }, ...args);
    assert.equal(status, 4);
    assert.match(notes.join("\n"), new RegExp(`Cannot read ${file}`));
  });
}

Deno.test("context: a verb refuses one that is not there", async () => {
  using home = new Home();
  const { status, notes } = await home.run("list", "--context", "x");
  assert.equal(status, 2);
  assert.match(notes.join("\n"), /There is no context "x"\. Make one with "worker-client context/);
});

for (
  const [what, environment, args, problem] of [
    [
      "a verb that works with one server",
      {},
      ["query", "--context", "prod,lab", "x"],
      /"query" works with one server, and --context names several contexts \(prod, lab\)/,
    ],
    ["all of them, too", {}, ["stop", "--all-contexts", "x"], /--all-contexts selects several/],
    [
      "and the variable's",
      { JOB_WORKER_CONTEXT: "prod,lab" },
      ["start", "ls"],
      /JOB_WORKER_CONTEXT names several contexts \(prod, lab\): choose one with --context/,
    ],
    ["an unknown one", {}, ["list", "--context", "prod,x"], /There is no context "x"/],
    ["an empty one", {}, ["list", "--context", "prod,"], /There is no context ""/],
    [
      "both ways",
      {},
      ["list", "--all-contexts", "--context", "lab"],
      /cannot be used with --context/,
    ],
    ["a server beside them", {}, ["list", "--server", "a", "--all-contexts"], /names one server/],
    [
      "a job in another",
      {},
      ["query", "--context", "lab", "prod/x"],
      /which contradicts --context/,
    ],
    ["a job elsewhere", {}, ["query", "--server", "a", "prod/x"], /which contradicts --server/],
    ["a job in none", {}, ["query", "x/y"], /There is no context "x"/],
  ] as const
) {
  Deno.test(`contexts: ${what}: refused before any server is called`, async () => {
    using home = new Home();
    home.write(TWO);
    const { status, notes, text } = await home.with({ ...environment }, ...args);
    assert.deepEqual([status, text, notes.length], [2, "", 1], notes.join("\n"));
    assert.match(notes.join("\n"), problem);
  });
}

Deno.test("contexts: a job's own goes before those of the environment", async () => {
  using home = new Home();
  home.write(TWO);
  const several = { JOB_WORKER_CONTEXT: "prod,lab", JOB_WORKER_SERVER: "x:1" };
  const { status, notes } = await home.with(several, "query", "lab/x");
  assert.equal(status, 4);
  assert.match(notes.join("\n"), /Cannot read \/none\/a\.key/);
});

Deno.test("contexts: none at all cannot be asked", async () => {
  using home = new Home();
  const { status, notes } = await home.run("list", "--all-contexts");
  assert.equal(status, 2);
  assert.match(notes.join("\n"), /There are no contexts/);
});

Deno.test("contexts: each of several fails in a line of its own, and the first decides", async () => {
  using home = new Home();
  home.write(TWO);
  const { status, notes } = await home.run("list", "--all-contexts");
  assert.equal(status, 4);
  assert.deepEqual(notes.map((note) => note.slice(0, 17)).sort(), [
    "lab: Cannot read ",
    "prod: Cannot read",
  ]);
});

for (
  const [text, problem] of [
    ["{", /JSON/],
    ["[]", /Invalid key: Expected "contexts"/],
    ['{"contexts":{}, "current":"a"}', /"current" context is not among/],
    ['{"contexts":{"a":{}}}', /contexts\.a\.server/],
    ['{"contexts":{"a":{"server":"a:b:c"}}}', /contexts\.a\.server: expected HOST:PORT/],
    ['{"contexts":{"a":{"server":"a","identity":"x.pem"}}}', /identity: expected an absolute path/],
    ['{"contexts":{"a":{"server":"a","sever":"b"}}}', /sever/],
    ['{"contexts":{"-a":{"server":"a"}}}', /expected letters/],
  ] as const
) {
  Deno.test(`config file: ${text} is refused, and the message says where`, async () => {
    assert.throws(() => parseConfig(text), problem);
    using home = new Home();
    home.write(text);
    const { status, notes } = await home.run("list");
    assert.equal(status, 2);
    assert.match(notes.join("\n"), /^Cannot use the config file .*config\.json: /);
  });
}

Deno.test("config file: an empty one holds nothing", () => {
  assert.deepEqual(parseConfig(" \n"), { contexts: {} });
});
