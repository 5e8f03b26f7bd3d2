/** One command of the compiled client that asks several servers. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { runCerts } from "../support/pki.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { inTime } from "../support/wait.ts";

const CLIENT = join(BIN_DIR, "worker-client");

/** A home whose config file names servers. */
class Home {
  readonly environment: Record<string, string>;

  constructor(server: TestServer, contexts: Record<string, { server: string; identity: string }>) {
    const home = join(server.folder, "home");
    Deno.mkdirSync(join(home, ".config", "job-worker"), { recursive: true });
    Deno.writeTextFileSync(
      join(home, ".config", "job-worker", "config.json"),
      JSON.stringify({ current: Object.keys(contexts)[0], contexts }),
    );
    this.environment = { HOME: home, XDG_CONFIG_HOME: "" };
  }

  run(...args: string[]) {
    return run(CLIENT, args, { env: this.environment, cwd: "/" });
  }

  with(environment: Record<string, string>, ...args: string[]) {
    return run(CLIENT, args, { env: { ...this.environment, ...environment }, cwd: "/" });
  }
}

Deno.test("worker-client list: several servers in one table, and what fails hides nothing", async () => {
  await using one = await TestServer.start();
  await using other = await TestServer.start();
  const alice = one.pki.file("alice.pem");
  const home = new Home(one, {
    "prod-a": { server: one.address, identity: alice },
    "prod-b": { server: other.address, identity: alice },
    gone: { server: "localhost:1", identity: alice },
    unreadable: { server: other.address, identity: join(one.folder, "missing.pem") },
  });
  const start = async (context: string, ...command: string[]) =>
    (await home.run("start", "-q", "--name", "work", "--context", context, ...command))
      .stdout.trim();
  const first = await start("prod-a", "sleep", "600");
  const second = await start("prod-b", "sleep", "600");
  const both = ["--context", "prod-a,prod-b"];

  const table = await home.run("list", ...both);
  assert.deepEqual([table.code, table.stderr], [0, ""]);
  const [head = "", ...rows] = table.stdout.trimEnd().split("\n");
  assert.match(head, /^CONTEXT +ID +NAME /);
  assert.deepEqual(rows.map((row) => row.split(/ +/).slice(0, 3)), [
    ["prod-b", second.slice(0, 8), "work"],
    ["prod-a", first.slice(0, 8), "work"],
  ]);
  assert.match((await home.run("list")).stdout, /^ID /, "one server has no column");

  const ids = [`prod-b/${second}`, `prod-a/${first}`];
  assert.deepEqual((await home.run("list", "-q", ...both)).stdout.trim().split("\n"), ids);
  assert.equal((await home.run("list", "-q", ...both, "-n", "1")).stdout, `${ids[0]}\n`);
  const again = await home.run("list", "-q", ...both, "--context", "prod-a");
  assert.deepEqual(again.stdout.trim().split("\n"), ids, "one that is named twice is asked once");
  const byVariable = await home.with({ JOB_WORKER_CONTEXT: "prod-a,prod-b" }, "list", "-q");
  assert.deepEqual(byVariable.stdout.trim().split("\n"), ids);
  const json = (await home.run("list", "--json", ...both)).stdout.trim().split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(json.map(({ context, jobID }) => `${context}/${jobID}`), ids);
  assert.equal(JSON.parse((await home.run("list", "--json")).stdout).context, undefined);
  const format = ["--format", "{context}/{jobID}"];
  assert.equal((await home.run("list", ...format)).stdout, `${ids[1]}\n`);

  const all = await home.run("list", "-q", "--all-contexts");
  assert.deepEqual(all.stdout.trim().split("\n"), ids);
  assert.equal(all.code, 3, "the first failure's status");
  const problems = all.stderr.trimEnd().split("\n").sort();
  assert.equal(problems.length, 2, all.stderr);
  assert.match(problems[0] ?? "", /^worker-client: gone: Cannot reach localhost:1/);
  assert.match(problems[1] ?? "", /^worker-client: unreadable: Cannot read .*missing\.pem/);
  const refused = await home.run("list", "-q", "--context", "unreadable,prod-a,gone");
  assert.deepEqual([refused.code, refused.stdout], [4, `${ids[1]}\n`]);

  const stats = await home.run("stats", ...both);
  assert.match(stats.stdout, /^CONTEXT +ID .*\nprod-b .*\nprod-a /);
  assert.equal((await home.run("stats", "--all-contexts", "--json")).code, 3);

  // What is printed is what the other verbs take, wherever the job is.
  const stopped = await home.run("stop", ...ids, "prod-b/nothing", "nowhere/work");
  assert.deepEqual([stopped.code, stopped.stdout], [5, ""]);
  assert.match(stopped.stderr, /^worker-client: prod-b: No job has the id "nothing"$/m);
  assert.match(stopped.stderr, /There is no context "nowhere"/);
  assert.equal((await home.run("list", "-q", ...both)).stdout, "");
  assert.equal((await home.run("wait", ...ids)).code, 143);
  assert.match((await home.run("query", "prod-b/work")).stdout, /Exit code: 143/);
  assert.equal((await home.run("rm", "prod-b/work")).code, 0);
  assert.equal((await home.run("query", "prod-b/work")).code, 5);
  assert.equal((await home.run("query", "prod-a/work")).code, 0);
});

Deno.test("worker-client list: an identity that one of several servers refuses hides no other's jobs", async () => {
  await using one = await TestServer.start();
  const { pki } = one;
  await pki.issue("carol", "writer");
  await runCerts(BIN_DIR, ["revoke", "--dir", pki.folder, "carol"]);
  await using other = await TestServer.start({ flags: ["--crl", pki.file("ca.crl")] });
  const [alice, carol] = [pki.file("alice.pem"), pki.file("carol.pem")];
  const home = new Home(one, {
    mine: { server: one.address, identity: carol },
    refused: { server: other.address, identity: carol },
    others: { server: other.address, identity: alice },
  });
  const id = (await home.run("start", "-q", "sleep", "600")).stdout.trim();
  await home.run("start", "-q", "--context", "others", "sleep", "600");

  const { code, stdout, stderr } = await home.run("list", "-q", "--context", "refused,mine");
  assert.equal(stdout, `mine/${id}\n`);
  assert.match(
    stderr,
    /^worker-client: refused: the certificate [0-9A-F]+ of carol is revoked; ask for a new one\n$/,
  );
  assert.equal(code, 4);

  const stopped = await home.run("stop", "--grace", "0", "refused/x", `mine/${id}`);
  assert.match(stopped.stderr, /^worker-client: refused: .* is revoked; ask for a new one\n$/);
  assert.equal(stopped.code, 4);
  assert.equal((await home.run("list", "-q")).stdout, "", "the other job is stopped all the same");
});

/** `top` in a terminal. */
class Top implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #drained: Promise<void>;
  #text = "";

  constructor(home: Home, args: string) {
    const child = new Deno.Command("script", {
      args: [
        "-qec",
        `stty cols 150 rows 20; exec ${CLIENT} top --interval 250ms ${args}`,
        "/dev/null",
      ],
      env: { ...home.environment, TERM: "xterm" },
      stdin: "piped",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#child = child;
    this.#drained = (async () => {
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
        this.#text += part;
      }
    })();
  }

  /** Waits for a screen that is drawn from now on and looks so. */
  async shows(pattern: RegExp): Promise<void> {
    const begin = this.#text.length;
    await until(
      `top to show ${pattern}; it shows ${JSON.stringify(this.#text.slice(-1500))}`,
      () => this.#text.slice(begin).split("\x1b[H").slice(1, -1).some((part) => pattern.test(part)),
    );
  }

  /** Presses a key; the exit status is returned, and what was written last. */
  async end(key: string): Promise<{ code: number; text: string }> {
    const writer = this.#child.stdin.getWriter();
    await writer.write(new TextEncoder().encode(key));
    const { code } = await inTime("top to end", this.#child.status);
    await writer.close().catch(() => {});
    await inTime("the end of top's output", this.#drained);
    return { code, text: this.#text };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended as it should.
    }
    await inTime("top to end", this.#child.status);
  }
}

Deno.test("worker-client top: of several servers one that goes away is marked, and comes back", async () => {
  await using one = await TestServer.start();
  await using other = await TestServer.start();
  const alice = one.pki.file("alice.pem");
  const home = new Home(one, {
    a: { server: one.address, identity: alice },
    b: { server: other.address, identity: alice },
    gone: { server: "localhost:1", identity: alice },
  });
  for (const name of ["a", "b"]) {
    await home.run("start", "--context", name, "--name", "busy", "sleep", "600");
  }
  await using top = new Top(home, "--all-contexts");
  const problem = /gone: Cannot reach localhost:1/;
  await top.shows(
    /2 jobs running .* 2 of 3 servers [\s\S]*\na +\w{8} +busy[\s\S]*\nb +\w{8} +busy|2 jobs running .* 2 of 3 servers [\s\S]*\nb +\w{8} +busy[\s\S]*\na +\w{8} +busy/,
  );
  await top.shows(problem);
  await other.end();
  await top.shows(/1 job running .* 1 of 3 servers [\s\S]*b: Cannot reach/);
  await other.launch();
  await top.shows(/2 jobs running .* 2 of 3 servers /);
  // Ctrl-Z would leave the shell on the screen of top.
  const { code, text } = await top.end("\x1aq");
  assert.equal(code, 0);
  assert(text.trimEnd().endsWith("\x1b[?25h\x1b[?1049l"), JSON.stringify(text.slice(-100)));
});

Deno.test("worker-client top: where no server answers it is not begun", async () => {
  await using one = await TestServer.start();
  const alice = one.pki.file("alice.pem");
  const home = new Home(one, {
    a: { server: "localhost:1", identity: alice },
    b: { server: "localhost:2", identity: alice },
  });
  await using top = new Top(home, "--all-contexts");
  const { code, text } = await top.end("");
  assert.equal(code, 3);
  assert.match(text, /No server answers\. a: Cannot reach .*; b: Cannot reach/);
  assert(!text.includes("\x1b[?1049h"));
});
