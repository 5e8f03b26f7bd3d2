import assert from "node:assert/strict";
import { ClosedOutputError } from "../../client/errors.ts";
import { main } from "../../client/program.ts";
import { paint } from "../../client/screen/colours.ts";
import { Authority } from "../support/client_certificates.ts";
import { FakeTerminal, runClient } from "../support/client_terminal.ts";
import {
  exitedJob,
  FakeJob,
  FakePath,
  FakeServer,
  LOOPBACK,
  type Method,
  placeIdentity,
  refusal,
} from "../support/client_fake.ts";
import { until } from "../support/wait.ts";

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";
const OTHER = "0c7d5c38-6d0f-4f5a-9a52-6d3c8f6a3b11";
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

const authority = await Authority.create();
const serverPair = await authority.issue({ name: "server", names: LOOPBACK });
const alice = await authority.issue({ name: "alice" });

/** A test with a server of its own and a client that may use it. */
function testClient(
  name: string,
  test: (world: {
    server: FakeServer;
    client: (...args: string[]) => ReturnType<typeof runClient>;
    environment: Record<string, string>;
  }) => Promise<void>,
): void {
  Deno.test({
    name,
    // grpc-js ends sockets and timers some time after it was told to.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using server = await FakeServer.start(serverPair, authority.cert);
      using host = placeIdentity(alice, authority);
      const environment = host.environment(server.address);
      const client = (...args: string[]) => runClient(args, environment);
      await test({ server, client, environment });
    },
  });
}

testClient("start: prints the job's id, to the letter", async ({ client }) => {
  assert.deepEqual(await client("start", "ls", "/"), {
    status: 0,
    text: `Job ID: ${ID} Started\n`,
    notes: [],
  });
});

const COMMAND_LINES: readonly (readonly [given: string[], name: string, args: string[]])[] = [
  [["ls", "-la", "--color=never", "/"], "ls", ["-la", "--color=never", "/"]],
  [["--", "ls", "-l"], "ls", ["-l"]],
  [["ls", "--", "-l", "--"], "ls", ["--", "-l", "--"]],
  [["--", "--", "x"], "--", ["x"]],
  [["--", "-strange-", "x"], "-strange-", ["x"]],
  [["tool", "--help"], "tool", ["--help"]],
  [["tool", "--server", "x", "--version", "-i"], "tool", ["--server", "x", "--version", "-i"]],
  [["tool", "--idempotency-key"], "tool", ["--idempotency-key"]],
  [["start", "stop", "help"], "start", ["stop", "help"]],
  [["sh", "-c", "a b\n'c' \"$(d)\" \\ é 日本 \u{1f980}"], "sh", [
    "-c",
    "a b\n'c' \"$(d)\" \\ é 日本 \u{1f980}",
  ]],
  [["printf", "", " ", "%s"], "printf", ["", " ", "%s"]],
];

for (const [given, name, args] of COMMAND_LINES) {
  testClient(`start: ${JSON.stringify(given)} reaches the server untouched`, async (world) => {
    const { status } = await world.client("start", ...given);
    assert.equal(status, 0);
    const [request] = world.server.requestsOf("Start");
    assert.deepEqual([request?.["name"], request?.["args"]], [name, args]);
  });
}

testClient(
  "start: options stand before the verb, after it, and before the program",
  async (world) => {
    const { server } = world;
    const wrong = { ...world.environment, JOB_WORKER_SERVER: "localhost:1" };
    for (
      const args of [
        ["--server", server.address, "start", "ls"],
        ["start", "--server", server.address, "ls"],
        ["--server", "localhost:1", "start", "--server", server.address, "ls"],
      ]
    ) assert.equal((await runClient(args, wrong)).status, 0, args.join(" "));
  },
);

testClient(
  "start: each has a key of its own, or the one it is given",
  async ({ server, client }) => {
    await client("start", "ls");
    await client("start", "ls");
    await client("start", "--idempotency-key", "nightly", "ls", "--idempotency-key", "x");
    const keys = server.requestsOf("Start").map((request) => String(request["idempotencyKey"]));
    assert.match(keys[0] ?? "", UUID);
    assert.match(keys[1] ?? "", UUID);
    assert.notEqual(keys[0], keys[1]);
    assert.equal(keys[2], "nightly");
  },
);

testClient(
  "stop: says nothing, and asks for the grace it was given",
  async ({ server, client }) => {
    for (const grace of [[], ["--grace", "0"], ["--grace", "1.5s"], ["--grace", "2m"]]) {
      assert.deepEqual(await client("stop", ...grace, ID), { status: 0, text: "", notes: [] });
    }
    const graces = server.requestsOf("Stop").map((request) => request["gracePeriodMs"]);
    assert.deepEqual(graces, [undefined, 0, 1500, 120_000]);
  },
);

testClient("stop: --main asks for the main process alone", async ({ server, client }) => {
  for (const main of [[], ["--main"]]) {
    assert.equal((await client("stop", ...main, ID)).status, 0);
  }
  const asked = server.requestsOf("Stop").map((request) => request["mainOnly"]);
  assert.deepEqual(asked, [false, true]);
});

testClient(
  "query: prints pid, exit code and whether it ended, to the letter",
  async ({ client }) => {
    assert.deepEqual(await client("query", ID), {
      status: 0,
      text: "Pid: 896581 Exit code: 0 Exited: true\n",
      notes: [],
    });
  },
);

testClient("query: a running job has the exit code -", async ({ server, client }) => {
  server.script.Query = [{ pid: 7, state: "JOB_STATE_RUNNING" }];
  assert.equal((await client("query", ID)).text, "Pid: 7 Exit code: - Exited: false\n");
});

testClient("query: a server of the contract's first version is understood", async (world) => {
  world.server.script.Query = [{ pid: 7 }, { pid: 7, exitCode: 3, exited: true }];
  assert.equal((await world.client("query", ID)).text, "Pid: 7 Exit code: - Exited: false\n");
  assert.equal((await world.client("query", ID)).text, "Pid: 7 Exit code: 3 Exited: true\n");
});

testClient("query: says of a lost job why, on standard error", async ({ server, client }) => {
  const lost = { pid: 7, exitCode: -1, exited: true, state: "JOB_STATE_LOST", reason: "a reboot" };
  server.script.Query = [lost];
  assert.deepEqual(await client("query", ID), {
    status: 0,
    text: "Pid: 7 Exit code: - Exited: true\n",
    notes: [`Job ${ID} was lost: a reboot.`],
  });
});

/** A job in a cluster's queue. The server is a fake: no cluster is needed for the client. */
const PENDING = { state: "JOB_STATE_PENDING", pendingReason: "Resources", engineJob: "42" };

/** One that has left it without having run. */
const NEVER_RAN = {
  exitCode: -1,
  exited: true,
  state: "JOB_STATE_NEVER_RAN",
  reason: "there is no program nosuch",
};

testClient(
  "query: says of a pending job what it waits for, and why one never ran",
  async (world) => {
    world.server.script.Query = [PENDING, NEVER_RAN, PENDING];
    assert.deepEqual(await world.client("query", ID), {
      status: 0,
      text: "Pid: 0 Exit code: - Exited: false\n",
      notes: [`Job ${ID} is waiting in the queue: Resources.`],
    });
    assert.deepEqual(await world.client("query", ID), {
      status: 0,
      text: "Pid: 0 Exit code: - Exited: true\n",
      notes: [`Job ${ID} never ran: there is no program nosuch.`],
    });
    const { text, notes } = await world.client("query", "--json", ID);
    const { state, pendingReason, exitCode, engineJob } = JSON.parse(text);
    assert.deepEqual([state.toUpperCase(), pendingReason, exitCode, engineJob, notes], [
      "PENDING",
      "Resources",
      null,
      "42",
      [],
    ]);
  },
);

/** A server over a cluster, as its Info tells. */
const CLUSTER = { version: "1.0.0", engine: "Slurm 22.05.8", partitions: ["main", "gpu"] };

testClient(
  "doctor: says which cluster there is, and which limits it does not hold",
  async (world) => {
    world.server.script.Info = [
      { ...CLUSTER, limitsNotHeld: ["disk_io: jobs do not run as root"] },
      CLUSTER,
      { controllers: ["cpu", "memory", "io"], cgroup: "v2" },
    ];
    const lines = async () =>
      (await world.client("doctor")).text.split("\n").filter((line) => /cluster|limits/.test(line));
    assert.deepEqual(await lines(), [
      "ok       cluster      Slurm 22.05.8: main, gpu",
      "warning  limits       not held: disk_io: jobs do not run as root",
    ]);
    assert.deepEqual((await lines())[1], "ok       limits       all are held");
    assert.deepEqual(await lines(), [
      "warning  limits       cgroup v2: cpu, memory, io; missing: pids",
    ]);
  },
);

testClient(
  "start: what is for a queue goes to a cluster, and to no other server",
  async (world) => {
    const { server, client } = world;
    const line = ["start", "--partition", "gpu", "--after", OTHER, "ls"];
    assert.deepEqual(await client(...line), {
      status: 2,
      text: "",
      notes: [
        "Cannot start the job: --partition needs a server over a cluster (--engine slurm); " +
        `${server.address} runs jobs on its own host.`,
      ],
    });
    assert.equal(server.requestsOf("Start").length, 0);
    server.script.Info = [CLUSTER];
    assert.equal((await client(...line)).status, 0);
    const [request] = server.requestsOf("Start");
    assert.deepEqual([request?.["partition"], request?.["after"]], ["gpu", [OTHER]]);
  },
);

testClient(
  "wait, stream, run: say of a pending job what it waits for, and go on",
  async (world) => {
    const { server, environment } = world;
    const ended = Promise.withResolvers<object>();
    server.script.Wait = [ended.promise, ended.promise];
    let isPending = true;
    server.script.Query = Array.from(
      { length: 20 },
      () => () => isPending ? PENDING : exitedJob(3),
    );
    const job = new FakeJob();
    server.jobs.set(ID, job);
    const calls = [["wait", ID], ["stream", ID], ["run", "ls"]].map((args) => {
      const terminal = new FakeTerminal(environment);
      terminal.isAttended = true;
      return { terminal, args, status: main(args, terminal) };
    });
    const hasNote = (terminal: FakeTerminal) =>
      terminal.notes.includes("waiting in the queue: Resources");
    await until("the notes of all", () => calls.every(({ terminal }) => hasNote(terminal)));
    isPending = false;
    job.write("done\n");
    job.end();
    ended.resolve(exitedJob(3));
    const statuses = await Promise.all(calls.map(({ status }) => status));
    assert.deepEqual(statuses, [3, 0, 3]);
    assert.deepEqual(calls.map(({ terminal }) => terminal.text), ["", "done\n", "done\n"]);
  },
);

testClient(
  "wait, run: a job that never ran is 125, with the reason",
  async ({ server, client }) => {
    const note = `Job ${ID} never ran: there is no program nosuch.`;
    server.script.Wait = [NEVER_RAN, NEVER_RAN];
    server.jobs.set(ID, new FakeJob());
    server.jobs.get(ID)?.end();
    assert.deepEqual(await client("wait", ID), { status: 125, text: "", notes: [note] });
    assert.deepEqual(await client("run", "-q", "ls"), { status: 125, text: "", notes: [note] });
  },
);

testClient("stream: says of a job without output that it never ran", async ({ server, client }) => {
  server.jobs.set(ID, new FakeJob());
  server.jobs.get(ID)?.end();
  server.script.Query = [NEVER_RAN, exitedJob(0), refusal(5, "removed meanwhile")];
  const note = `Job ${ID} never ran: there is no program nosuch.`;
  assert.deepEqual(await client("stream", ID), { status: 0, text: "", notes: [note] });
  for (const _answer of ["exited", "removed"]) {
    assert.deepEqual(await client("stream", ID), { status: 0, text: "", notes: [] });
  }
});

testClient("query: several jobs, in their order; all are tried", async ({ server, client }) => {
  const missing = refusal(5, `No job has the id "nope"`);
  const stopped = { ...exitedJob(143), stoppedBy: "bob", signal: 15 };
  server.script.Query = [exitedJob(3), missing, stopped];
  assert.deepEqual(await client("query", ID, "nope", OTHER), {
    status: 5,
    text: `${ID}: Pid: 896581 Exit code: 3 Exited: true\n` +
      `${OTHER}: Pid: 896581 Exit code: 143 Exited: true\n`,
    notes: [`No job has the id "nope"`, `${OTHER}: stopped by bob`],
  });
  server.script.Query = [exitedJob(3), stopped];
  const { text } = await client("query", "--format", "{exitCode} {ending}", ID, OTHER);
  assert.equal(text, "3 exit\n143 stopped\n");
  const { text: json } = await client("inspect", ID, OTHER);
  const printed = json.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(printed.map(({ jobID, context }) => [jobID, context]), [[ID, undefined], [
    OTHER,
    undefined,
  ]]);
});

testClient("query: --json is one object on one line, --long is for people", async (world) => {
  const json = await world.client("query", "--json", ID);
  assert.equal(json.text.indexOf("\n"), json.text.length - 1);
  assert.equal(JSON.parse(json.text).exitCode, 0);
  const long = await world.client("query", ID, "--long");
  assert.match(long.text, /^Pid: {9}896581\nExit code: {3}0\n/m);
});

testClient("stream: every byte value arrives untouched", async ({ server, environment }) => {
  const job = new FakeJob();
  job.write(Uint8Array.from({ length: 256 * 40 }, (_, index) => index % 256));
  job.end();
  server.jobs.set(ID, job);
  const terminal = new FakeTerminal(environment);
  assert.equal(await main(["stream", ID], terminal), 0);
  assert.deepEqual(terminal.output, job.output);
  assert.deepEqual(terminal.notes, []);
});

testClient("stream: bytes are written as they come, long before the end", async (world) => {
  const job = new FakeJob();
  world.server.jobs.set(ID, job);
  const terminal = new FakeTerminal(world.environment);
  const ended = main(["stream", ID], terminal);
  for (const text of ["one\n", "two without an end"]) {
    job.write(text);
    await until(`"${text}" to be written`, () => terminal.text.endsWith(text));
  }
  job.end();
  assert.equal(await ended, 0);
});

testClient(
  "stream: of several jobs whole lines are written, until all have ended",
  async (world) => {
    const { server, environment } = world;
    const [one, other] = [new FakeJob(), new FakeJob()];
    server.jobs.set(ID, one).set(OTHER, other);
    const terminal = new FakeTerminal(environment);
    terminal.hasColours = true;
    const lost = "11111111-1111-4111-8111-111111111111";
    const ended = main(["stream", ID, lost, OTHER, ID], terminal);
    one.write("a1\na2 is lo");
    await until("the first line is written", () => terminal.text.includes("a1\n"));
    other.write("b1\nend without newline");
    await until("the other's line is written", () => terminal.text.includes("b1\n"));
    other.end();
    await until("the other's last line is ended", () => terminal.text.includes("newline\n"));
    one.write("ng\n");
    one.end();
    assert.equal(await ended, 5);
    const [first, second] = [paint("a3c1e8b4 |", "cyan"), paint("0c7d5c38 |", "green")];
    assert.deepEqual(terminal.text.split("\n"), [
      `${first} a1`,
      `${second} b1`,
      `${second} end without newline`,
      `${first} a2 is long`,
      "",
    ]);
    assert.deepEqual(terminal.notes, [`No job has the id "${lost}"`]);
  },
);

testClient("stream: --label and --all mean the jobs that have not ended", async (world) => {
  const { server, client } = world;
  const job = new FakeJob();
  job.write("x\n");
  job.end();
  server.jobs.set(ID, job).set(OTHER, job);
  server.script.List = [{ jobs: [{ jobID: ID, title: "web" }, { jobID: OTHER }] }, { jobs: [] }];
  server.script.Query = [{ jobID: ID }];
  const { text } = await client("stream", "--label", "team=a");
  assert.deepEqual(text.trim().split("\n").toSorted(), [
    `${OTHER.slice(0, 8)} | x`,
    "web      | x",
  ]);
  assert.deepEqual(server.requestsOf("List")[0]?.labels, { team: "a" });
  assert.deepEqual(await client("stream", "--all"), {
    status: 0,
    text: "",
    notes: ["no running job matches"],
  });
  for (const args of [[], ["--all", ID], ["--offset", "3", ID, OTHER]]) {
    assert.equal((await client("stream", ...args)).status, 2, args.join(" "));
  }
});

testClient("stream: options become the request's fields", async ({ server, client }) => {
  const job = new FakeJob();
  job.write("one\ntwo\nthree\n");
  server.jobs.set(ID, job);
  const cases: readonly (readonly [string[], string])[] = [
    [["--offset", "4"], "two\nthree\n"],
    [["--tail", "2"], "two\nthree\n"],
    [["--tail-bytes", "4"], "ree\n"],
    [[], "one\ntwo\nthree\n"],
  ];
  for (const [args, expected] of cases) {
    const { status, text } = await client("stream", "--no-follow", ...args, ID);
    assert.deepEqual([status, text], [0, expected]);
  }
  const fields = server.requestsOf("Stream").map((
    request,
  ) => [request["offset"], request["tailLines"], request["tailBytes"], request["noFollow"]]);
  assert.deepEqual(fields, [
    [4, undefined, undefined, true],
    [undefined, 2, undefined, true],
    [undefined, undefined, 4, true],
    [0, undefined, undefined, true],
  ]);
  assert.equal(server.requestsOf("Stream")[0]?.["heartbeatSeconds"], 10);
});

testClient("stream: what was rotated away is said, and is not a failure", async (world) => {
  const job = new FakeJob();
  job.write("0123456789");
  job.rotate(4);
  job.end();
  world.server.jobs.set(ID, job);
  assert.deepEqual(await world.client("stream", ID), {
    status: 0,
    text: "456789",
    notes: ["4 bytes are missing here: rotated away, or refused by the server's disk"],
  });
});

testClient(
  "stream: ends quietly when its output is closed, and cancels the call",
  async (world) => {
    const job = new FakeJob();
    job.write("one\n");
    world.server.jobs.set(ID, job);
    const terminal = new FakeTerminal(world.environment);
    terminal.onWrite = () => {
      throw new ClosedOutputError();
    };
    assert.equal(await main(["stream", ID], terminal), 0);
    assert.deepEqual([terminal.text, terminal.notes], ["", []]);
  },
);

testClient(
  "stream: into a file, a terminal shows how far it is, and nothing is left",
  async (world) => {
    for (
      const [args, attended, file, shows] of [
        [["stream", ID], true, true, true],
        [["stream", "--quiet", ID], true, true, false],
        [["stream", ID], false, true, false],
        [["stream", ID], true, false, false],
      ] as const
    ) {
      const job = new FakeJob();
      job.write("x".repeat(3000));
      world.server.jobs.set(ID, job);
      world.server.script.Query = [{ pid: 7, state: "JOB_STATE_RUNNING" }];
      const terminal = new FakeTerminal(world.environment);
      terminal.isAttended = attended;
      terminal.isToFile = file;
      const ended = main([...args], terminal);
      await until("the output", () => terminal.output.length === 3000);
      if (shows) await until("progress", () => terminal.progress.length > 1);
      job.end();
      assert.equal(await ended, 0);
      if (shows) assert.match(terminal.progress[0] ?? "", /^2\.9 KiB, [\d.]+ K?i?B\/s$/);
      else assert.equal(terminal.progress.join(""), "");
      if (shows) assert.equal(terminal.progress.at(-1), "");
      assert.equal(terminal.output.length, 3000);
    }
  },
);

testClient(
  "wait and stop: say what is waited for, after a while; to a script only stop does",
  async (world) => {
    const { server, environment } = world;
    for (
      const [args, method, text] of [
        [
          ["wait", ID, OTHER],
          "Wait",
          `waiting for jobs ${ID} and ${OTHER} to end; Ctrl-C ends the wait, not the jobs`,
        ],
        [
          ["stop", ID],
          "Stop",
          `no word yet that job ${ID} ended; after the grace period the rest is killed`,
        ],
      ] as const
    ) {
      for (const attended of [true, false]) {
        server.script[method] = args.slice(1).map(() => () => undefined);
        const terminal = new FakeTerminal(environment);
        terminal.isAttended = attended;
        const calls = server.requestsOf(method).length;
        main([...args], terminal);
        await until("the call", () => server.requestsOf(method).length > calls);
        if (attended || method === "Stop") {
          await until("the note", () => terminal.notes.length > 0);
          assert.deepEqual(terminal.notes, [text]);
        } else assert.deepEqual(terminal.notes, []);
      }
    }
  },
);

testClient("wait: exits with the job's exit code and says nothing", async ({ server, client }) => {
  server.script.Wait = [0, 3, 143, 255].map(exitedJob);
  for (const exitCode of [0, 3, 143, 255]) {
    assert.deepEqual(await client("wait", ID), { status: exitCode, text: "", notes: [] });
  }
});

testClient("wait: of several jobs the first that is not 0, in the order given", async (world) => {
  // Each answer is decided by the id, whichever call comes first.
  const codes: Record<string, number> = { a: 0, b: 7, c: 9 };
  const answer = () =>
    exitedJob(codes[String(world.server.requestsOf("Wait").at(-1)?.["jobID"])] ?? 0);
  world.server.script.Wait = Array.from({ length: 6 }, () => answer);
  assert.equal((await world.client("wait", "a", "b", "c")).status, 7);
  assert.equal((await world.client("wait", "c", "b", "a")).status, 9);
});

testClient("wait: an unknown job is 125, and the others are waited for", async (world) => {
  const missing = refusal(5, `No job has the id "nope"`);
  world.server.script.Wait = [missing, exitedJob(0)];
  const { status, notes } = await world.client("wait", "nope", ID);
  assert.deepEqual([status, notes], [125, [`No job has the id "nope"`]]);
  assert.equal(world.server.requestsOf("Wait").length, 2);
});

testClient("wait: --any ends with the first that has ended, and says which", async (world) => {
  const { server, client } = world;
  server.script.Wait = [() => undefined, exitedJob(3)];
  assert.deepEqual(await client("wait", "--any", ID, OTHER), {
    status: 3,
    text: `${OTHER}\n`,
    notes: [],
  });
  // One that cannot be waited for does not end the wait for the others.
  server.script.Wait = [refusal(7, "not yours"), exitedJob(0)];
  assert.deepEqual(await client("wait", "--any", ID, OTHER), {
    status: 0,
    text: `${OTHER}\n`,
    notes: ["not yours"],
  });
  // A name that no job has is a slip: the other job may run for days.
  server.script.Wait = [() => undefined, refusal(5, "No job")];
  assert.deepEqual(await client("wait", "--any", ID, OTHER), {
    status: 125,
    text: "",
    notes: ["No job"],
  });
});

testClient("wait: --timeout gives up with 124, and the jobs are left alone", async (world) => {
  world.server.script.Wait = [() => undefined];
  assert.deepEqual(await world.client("wait", "--timeout", "200ms", OTHER), {
    status: 124,
    text: "",
    notes: [`job ${OTHER} did not end in time`],
  });
  // On a slow machine the time was over before the server was asked.
  delete world.server.script.Wait;
  assert.equal((await world.client("wait", "--timeout", "60d", ID)).status, 0);
  assert.deepEqual(world.server.requestsOf("Stop"), []);
});

testClient("wait: a lost job is 125, never a success", async ({ server, client }) => {
  server.script.Wait = [{
    exitCode: -1,
    exited: true,
    state: "JOB_STATE_LOST",
    reason: "a reboot",
  }];
  assert.deepEqual(await client("wait", ID), {
    status: 125,
    text: "",
    notes: [
      `The exit code of job ${ID} is unknown: the job was lost (a reboot). ` +
      "Start it again if it has to complete.",
    ],
  });
});

testClient("run: writes the job's output and exits as it did", async ({ server, client }) => {
  const job = new FakeJob();
  job.write("out\n");
  job.end();
  server.jobs.set(ID, job);
  server.script.Wait = [exitedJob(7), exitedJob(0)];
  assert.deepEqual(await client("run", "make", "-j2"), {
    status: 7,
    text: "out\n",
    notes: [`Job ID: ${ID} Started`],
  });
  assert.deepEqual(await client("run", "--quiet", "make"), { status: 0, text: "out\n", notes: [] });
});

testClient("run: -d only starts, --rm removes what has ended", async ({ server, client }) => {
  assert.deepEqual(await client("run", "-d", "make"), { status: 0, text: `${ID}\n`, notes: [] });
  assert.deepEqual(server.requestsOf("Stream"), []);
  const job = new FakeJob();
  job.end();
  server.jobs.set(ID, job);
  server.script.Wait = [exitedJob(7), exitedJob(7)];
  server.script.Remove = [{}, refusal(7, "you may not")];
  assert.equal((await client("run", "-q", "--rm", "make")).status, 7);
  assert.deepEqual(server.requestsOf("Remove"), [{ jobID: ID }]);
  const kept = await client("run", "-q", "--rm", "make");
  assert.deepEqual(kept, { status: 7, text: "", notes: [`job ${ID} is not removed: you may not`] });
});

testClient("run: says that nobody reads what is piped in", async ({ server, environment }) => {
  const job = new FakeJob();
  job.end();
  server.jobs.set(ID, job);
  const hint = "standard input is not passed to the job: add -i, or </dev/null to say so";
  const input = `${Deno.makeTempDirSync()}/input`;
  Deno.writeTextFileSync(input, "x");
  const cases: readonly (readonly [options: readonly string[], notes: number])[] = [
    [[], 2],
    [["-q"], 0],
    [["--stdin", input], 1],
    [["--env-file", "/dev/stdin"], 1],
  ];
  for (const [options, notes] of cases) {
    const terminal = new FakeTerminal(environment);
    terminal.isPiped = true;
    terminal.read = () => Promise.resolve(new TextEncoder().encode("A=1\n"));
    assert.equal(await main(["run", ...options, "cat"], terminal), 0);
    assert.equal(terminal.notes.length, notes);
    assert.equal(terminal.notes.includes(hint), notes === 2);
  }
});

testClient("run: a slip that a shell would understand is told with the error", async (world) => {
  const refused = refusal(3, `Cannot start "ls -la": no such program on the server`);
  world.server.script.Start = [refused, refused];
  assert.deepEqual((await world.client("run", "ls -la")).notes, [
    'Cannot start "ls -la": no such program on the server. The program and its arguments are words ' +
    "of their own, without quotes: ls -la",
  ]);
  assert.deepEqual((await world.client("start", "lsx", "-la")).notes, [refused.details]);
});

testClient("run: a job that cannot be started is 125", async ({ server, client }) => {
  server.script.Start = [refusal(9, `Cannot start "x": no such program on the server`)];
  assert.deepEqual(await client("run", "x"), {
    status: 125,
    text: "",
    notes: [`Cannot start "x": no such program on the server`],
  });
});

testClient("run: Ctrl-C asks the job to stop, and its last words are written", async (world) => {
  const { server, environment } = world;
  const job = new FakeJob();
  server.jobs.set(ID, job);
  server.script.Stop = [() => {
    job.write("stopping\n");
    job.end();
    return {};
  }];
  server.script.Wait = [exitedJob(143)];
  const terminal = new FakeTerminal(environment);
  const ended = main(["run", "--grace", "3s", "sleep", "100"], terminal);
  await until("the stream to be open", () => server.requestsOf("Stream").length === 1);
  terminal.interrupt();
  assert.equal(await ended, 143);
  assert.equal(terminal.text, "stopping\n");
  assert.equal(server.requestsOf("Stop")[0]?.["gracePeriodMs"], 3000);
  assert.deepEqual(terminal.notes.slice(1), [`stopping job ${ID}; Ctrl-C again leaves it running`]);
  assert.equal(terminal.listenerCount, 0);
});

testClient("run: a second Ctrl-C leaves the job alone, and names it", async (world) => {
  const { server, environment } = world;
  server.jobs.set(ID, new FakeJob());
  server.script.Stop = [() => undefined];
  const terminal = new FakeTerminal(environment);
  const ended = main(["run", "sleep", "100"], terminal);
  await until("the stream to be open", () => server.requestsOf("Stream").length === 1);
  terminal.interrupt();
  await until("the job to be asked to stop", () => server.requestsOf("Stop").length === 1);
  terminal.interrupt();
  assert.equal(await ended, 130);
  assert.match(terminal.notes.at(-1) ?? "", new RegExp(`^leaving job ${ID} running; `));
  assert.equal(terminal.listenerCount, 0);
});

testClient(
  "run: Ctrl-C before the answer to Start stops the job once it is known",
  async (world) => {
    const { server, environment } = world;
    const job = new FakeJob();
    server.jobs.set(ID, job);
    const terminal = new FakeTerminal(environment);
    server.script.Start = [() => {
      terminal.interrupt();
      return { jobID: ID };
    }];
    server.script.Stop = [() => {
      job.end();
      return {};
    }];
    server.script.Wait = [exitedJob(143)];
    assert.equal(await main(["run", "sleep", "100"], terminal), 143);
    assert.equal(server.requestsOf("Stop").length, 1);
  },
);

testClient("run: the job is stopped when the output is closed", async (world) => {
  const { server, environment } = world;
  const job = new FakeJob();
  job.write("y\n");
  server.jobs.set(ID, job);
  server.script.Wait = [exitedJob(143)];
  const terminal = new FakeTerminal(environment);
  terminal.onWrite = () => {
    throw new ClosedOutputError();
  };
  assert.equal(await main(["run", "yes"], terminal), 143);
  assert.deepEqual(server.requestsOf("Stop").map((request) => request["jobID"]), [ID]);
});

/** A job that ended so long ago. */
function endedAgo(jobID: string, hours: number, fields: object = {}): object {
  const endedAtMs = Date.now() - hours * 3_600_000;
  return {
    ...exitedJob(0),
    jobID,
    endedAtMs,
    outputBytes: 2048,
    outputFirstOffset: 1024,
    ...fields,
  };
}

testClient(
  "remove: --all tells how many, asks a terminal, and wants --yes elsewhere",
  async (world) => {
    const { server, client, environment } = world;
    const page = () => ({ jobs: [endedAgo(ID, 3), endedAgo(OTHER, 1)] });
    server.script.List = [page, page, page, page, page];
    const refused = await client("remove", "--all");
    assert.deepEqual([refused.status, refused.notes], [
      2,
      ["2 jobs with 2 KiB of output would be removed: add --yes to do it."],
    ]);
    const terminal = new FakeTerminal(environment);
    terminal.isTyped = terminal.isAttended = true;
    assert.equal(await main(["rm", "--all", "--older-than", "2h"], terminal), 1);
    assert.deepEqual(terminal.questions, ["Remove 1 job with 1 KiB of output? [y/N]"]);
    assert.deepEqual(server.requestsOf("Remove"), []);
    terminal.answer = "y";
    assert.equal(await main(["rm", "--all", "--older-than", "2h", "-l", "a=b"], terminal), 0);
    assert.deepEqual(server.requestsOf("Remove"), [{ jobID: ID }]);
    const request = server.requestsOf("List")[2];
    assert.deepEqual([request?.["owner"], request?.["labels"]], ["alice", { a: "b" }]);
    // Retention, or somebody else, was faster.
    server.script.Remove = [refusal(5, "no such job"), refusal(7, "you may not")];
    const { status, notes } = await client("remove", "--all", "-y");
    assert.deepEqual([status, notes], [4, ["removing 2 jobs with 2 KiB of output", "you may not"]]);
    assert.deepEqual((await client("remove", "--all", "--failed", "-y")).notes, [
      "no job that has ended matches",
    ]);
  },
);

testClient(
  "rerun: starts what a job was, but for what is given now",
  async ({ server, client }) => {
    const job = {
      ...exitedJob(1),
      name: "make",
      args: ["-j2"],
      title: "nightly",
      labels: { a: "b" },
      user: "ci",
      workingDirectory: "/srv",
      umask: 0o027,
      stopSignal: "INT",
      timeoutMs: 5000,
      limits: { memoryBytes: 99, processes: 7 },
      askedLimits: { memoryBytes: 77 },
    };
    server.script.Query = [
      job,
      { ...job, hasSecrets: true },
      { ...job, user: "root" },
      exitedJob(0),
    ];
    const options = ["--memory", "64M", "--name", "again"];
    assert.equal((await client("rerun", ...options, "nightly")).text, `Job ID: ${ID} Started\n`);
    const [request = {}] = server.requestsOf("Start");
    const { name, args, title, labels, user, umask, stopSignal, timeoutMs, limits } = request;
    assert.deepEqual({ name, args, title, labels, user, umask, stopSignal, timeoutMs }, {
      name: "make",
      args: ["-j2"],
      title: "again",
      labels: { a: "b" },
      user: "ci",
      umask: 0o027,
      stopSignal: "INT",
      timeoutMs: 5000,
    });
    assert.equal((limits as { memoryBytes: number }).memoryBytes, 64 * 1024 ** 2);
    const { status, notes: [note = ""] } = await client("rerun", "nightly");
    assert.equal(status, 2);
    assert.match(note, /variables or an input, which are kept nowhere.*--without-secrets/);
    await client("rerun", "-q", "nightly");
    assert.equal(
      server.requestsOf("Start")[1]?.["user"],
      "",
      "what the server chose stays its choice",
    );
    assert.match((await client("rerun", ID)).notes[0] ?? "", /does not tell how it was started/);
  },
);

testClient("remove: all are tried, and the first failure is the exit status", async (world) => {
  const { server, client } = world;
  server.script.Remove = [
    refusal(9, "Cannot remove job a: it is running"),
    refusal(5, `No job has the id "b"`),
    {},
  ];
  assert.deepEqual(await client("remove", "a", "b", "c"), {
    status: 1,
    text: "",
    notes: ["Cannot remove job a: it is running", `No job has the id "b"`],
  });
  const removed = server.requestsOf("Remove").map((request) => request["jobID"]);
  assert.deepEqual(removed, ["a", "b", "c"]);
  assert.deepEqual(await client("remove", ID, OTHER), { status: 0, text: "", notes: [] });
});

const STATUSES: readonly (readonly [code: number, status: number])[] = [
  [3, 2],
  [5, 5],
  [7, 4],
  [8, 1],
  [9, 1],
  [13, 1],
  [16, 4],
];
const METHODS: readonly (readonly [Method | "Stream", string[]])[] = [
  ["Start", ["start", "ls"]],
  ["Stop", ["stop", ID]],
  ["Query", ["query", ID]],
  ["Stream", ["stream", ID]],
  ["Remove", ["remove", ID]],
];

for (const [method, args] of METHODS) {
  testClient(
    `${args[0]}: the server's refusal is one line, a status of its own, and final`,
    async (world) => {
      const { server, client } = world;
      for (const [code, status] of STATUSES) {
        server.script[method] = [refusal(code, "Cannot do it: no.\nDo that")];
        assert.deepEqual(await client(...args), {
          status,
          text: "",
          notes: ["Cannot do it: no. Do that"],
        });
      }
      assert.equal(server.requestsOf(method).length, STATUSES.length, "a refusal was tried again");
    },
  );
}

testClient("start: is sent again with the same key while the server is away", async (world) => {
  const { server, client } = world;
  server.script.Start = [refusal(14, "shutting down"), refusal(14, "shutting down")];
  assert.deepEqual(await client("start", "ls"), {
    status: 0,
    text: `Job ID: ${ID} Started\n`,
    notes: [],
  });
  const keys = server.requestsOf("Start").map((request) => request["idempotencyKey"]);
  assert.equal(keys.length, 3);
  assert.equal(new Set(keys).size, 1);
});

testClient("start: a lost answer is asked for again with the same key", async (world) => {
  using path = await FakePath.open(() => world.server.port);
  world.server.script.Start = [() => {
    path.cut();
    return undefined;
  }];
  const environment = { ...world.environment, JOB_WORKER_SERVER: path.address };
  const { status, text } = await runClient(["start", "ls"], environment);
  assert.deepEqual([status, text], [0, `Job ID: ${ID} Started\n`]);
  const keys = world.server.requestsOf("Start").map((request) => request["idempotencyKey"]);
  assert.equal(keys.length, 2);
  assert.equal(keys[0], keys[1]);
});

testClient("start: what stays unknown is said, with the key that clears it up", async (world) => {
  const { server, client } = world;
  server.script.Start = Array.from({ length: 99 }, () => refusal(14, "shutting down"));
  const { status, text, notes } = await client("start", "--idempotency-key", "nightly", "ls");
  assert.deepEqual([status, text], [3, ""]);
  assert.deepEqual(notes, [
    `Lost the connection to ${server.address}: shutting down. Try again. ` +
    "The job may have been started: repeat the start with --idempotency-key nightly to find it or start it.",
  ]);
  const tries = server.requestsOf("Start").length;
  assert(tries >= 4 && tries <= 9, `${tries} tries`);
});

for (
  const [verb, method, code] of [["stop", "Stop", 9], ["remove", "Remove", 5]] as const
) {
  testClient(
    `${verb}: a lost answer is not a failure when the call had succeeded`,
    async (world) => {
      using path = await FakePath.open(() => world.server.port);
      world.server.script[method] = [() => {
        path.cut();
        return undefined;
      }, refusal(code, "it is done already")];
      const environment = { ...world.environment, JOB_WORKER_SERVER: path.address };
      const result = await runClient([verb, ID], environment);
      assert.deepEqual(result, { status: 0, text: "", notes: [] });
    },
  );
}
