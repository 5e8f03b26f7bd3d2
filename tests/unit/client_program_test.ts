import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { ClosedOutputError } from "../../client/errors.ts";
import { main } from "../../client/program.ts";
import { EVENT_NAMES } from "../../client/screen/events.ts";
import { JOB_NAMES } from "../../client/screen/format_template.ts";
import { FakeTerminal, runClient } from "../support/client_terminal.ts";

const VERBS = [
  "start",
  "stop",
  "query",
  "list",
  "stats",
  "top",
  "ui",
  "stream",
  "wait",
  "run",
  "input",
  "signal",
  "remove",
  "doctor",
  "version",
  "rerun",
  "inspect",
  "kill",
  "logs",
];
const NO_IDENTITY = { JOB_WORKER_IDENTITY: "/nonexistent/me.pem" };

Deno.test("main: --version is the project's version", async () => {
  assert.deepEqual(await runClient(["--version"]), {
    status: 0,
    text: `worker-client ${config.version}\n`,
    notes: [],
  });
});

for (const args of [["--help"], ["-h"], ["help"]]) {
  Deno.test(`main: ${args.join(" ")} names every verb, and shows examples`, async () => {
    const { status, text, notes } = await runClient(args);
    assert.deepEqual([status, notes], [0, []]);
    for (const verb of VERBS) assert.match(text, new RegExp(`^  ${verb}[ |]`, "m"));
    assert.match(text, /^Examples:\n {2}worker-client start ls \/$/m);
  });
}

for (const verb of VERBS) {
  Deno.test(`main: ${verb} --help shows an example and the connection's options`, async () => {
    const { status, text, notes } = await runClient([verb, "--help"]);
    assert.deepEqual([status, notes], [0, []]);
    assert.match(text, new RegExp(`^Examples:\\n  worker-client ${verb}\\b`, "m"));
    for (const option of ["--server", "--identity", "--ca", "--cert", "--key"]) {
      assert(text.includes(`${option} <`), option);
    }
  });
}

Deno.test("main: help VERB is VERB --help, also for commands without a server", async () => {
  for (const verb of ["start", "rm", "context", "completion"]) {
    const { status, text, notes } = await runClient(["help", verb]);
    assert.deepEqual([status, notes], [0, []], verb);
    assert.match(text, /^Usage: worker-client /, verb);
  }
});

Deno.test("main: help whose reader closes the pipe is not a failure", async () => {
  const terminal = new FakeTerminal();
  terminal.onWrite = () => {
    throw new ClosedOutputError();
  };
  assert.equal(await main(["--help"], terminal), 0);
  assert.deepEqual(terminal.notes, []);
});

Deno.test("main: without a verb the help is shown, and the status is not 0", async () => {
  const { status, text } = await runClient([]);
  assert.equal(status, 2);
  assert.match(text, /^Usage: worker-client /);
});

const ID = "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";
const WRONG: readonly (readonly [args: string[], note: string])[] = [
  [["strat", "ls"], `Unknown command 'strat' (Did you mean start?). See "worker-client --help".`],
  [["exec", ID], `Unknown command 'exec' (Did you mean run?). See "worker-client --help".`],
  [["add", "ls"], `Unknown command 'add' (Did you mean start?). See "worker-client --help".`],
  [["clean"], `Unknown command 'clean' (Did you mean remove --all?). See "worker-client --help".`],
  [["help", "strat"], `Unknown command 'strat' (Did you mean start?). See "worker-client --help".`],
  [["help", "get"], `Unknown command 'get' (Did you mean list?). See "worker-client --help".`],
  [
    ["rename", ID, "other"],
    `Unknown command 'rename': a job keeps the name that it was started with. ` +
    `See "worker-client --help".`,
  ],
  [
    ["stop", "-9", ID],
    `"-9" is not a job. "worker-client stop --grace 0 JOB" kills a job at once.`,
  ],
  [["query", "-1"], `"-1" is not a job. See "worker-client query --help".`],
  [["signal", "HUP", "-1"], `"-1" is not a job. See "worker-client signal --help".`],
  [["remove", ID, "-5"], `"-5" is not a job. See "worker-client remove --help".`],
  [
    ["start", "-it", "sh"],
    `There is no option -it: jobs have no terminal. "--stdin -" gives a job this command's ` +
    `standard input.`,
  ],
  [
    ["kill", ID],
    'Say which signal: "worker-client kill -s TERM JOB". "worker-client stop JOB" ends a job, and ' +
    "waits for that.",
  ],
  [
    ["ls", "--format", "table"],
    `--format "table" names no field: write "{jobID} {state}", or --json.`,
  ],
  [
    ["events", "--format", "{typo}"],
    `"typo" is not a field of an event. The fields are ${EVENT_NAMES.names.join(", ")}.`,
  ],
  [
    ["list", "--format", "{jobID} {toString}"],
    `"toString" is not a field of a job. The fields are ${JOB_NAMES.names.join(", ")}.`,
  ],
  [
    ["query", "--format", "{usage.typo}", ID],
    `"usage.typo" is not a field of a job. The fields of usage are usage.memoryBytes, ` +
    "usage.memoryPeakBytes, usage.cpuUsec, usage.cpuThrottledUsec, usage.readBytes, " +
    "usage.writtenBytes, usage.processes, usage.asOfMs.",
  ],
  [
    ["ps", "--format", "{state.name}"],
    `"state.name" is not a field of a job: write {state}.`,
  ],
  [["toString"], `Unknown command 'toString'. See "worker-client --help".`],
  [
    ["context", "show"],
    `Unknown command 'show' (Did you mean list?). See "worker-client context --help".`,
  ],
  [["context", "what"], `Unknown command 'what'. See "worker-client context --help".`],
  [
    ["context", "add"],
    `Missing required argument 'name'. See "worker-client context add --help".`,
  ],
  [
    ["context", "use", "a", "b"],
    `Too many arguments for 'use'. Expected 1 argument but got 2: a, b. ` +
    `See "worker-client context use --help".`,
  ],
  [
    ["list", "--since", "yesterday"],
    `Option '--since <time>' argument 'yesterday' is invalid. Expected how long ago, such as 10m or ` +
    `7d, or a time: 14:30, 2026-05-04T14:30. See "worker-client list --help".`,
  ],
  [
    ["list", "--al"],
    `Unknown option '--al' (Did you mean --all?). See "worker-client list --help".`,
  ],
  [["--what"], `Unknown option '--what'. See "worker-client --help".`],
  [["start"], `Missing required argument 'program'. See "worker-client start --help".`],
  [["start", "--what", "ls"], `Unknown option '--what'. See "worker-client start --help".`],
  [["stop"], `No job is named. See "worker-client stop --help".`],
  [
    ["stop", "--grace", "soon", ID],
    `Option '--grace <duration>' argument 'soon' is invalid. ` +
    `Expected a duration such as 500ms, 10s, 2m, 1h or 7d. See "worker-client stop --help".`,
  ],
  [
    ["stop", "--grace", "50d", ID],
    `Option '--grace <duration>' argument '50d' is invalid. ` +
    `Expected at most 49 days. See "worker-client stop --help".`,
  ],
  [
    ["query", "--json", "--long", ID],
    `Option '--long' cannot be used with option '--json'. See "worker-client query --help".`,
  ],
  [
    ["stream", "--tail", "1", "--tail-bytes", "1", ID],
    `Option '--tail <n>' cannot be used with option '--tail-bytes <n>'. ` +
    `See "worker-client stream --help".`,
  ],
  [
    ["stream", "--offset", "0", "--tail", "1", ID],
    `Option '--offset <n>' cannot be used with option '--tail <n>'. ` +
    `See "worker-client stream --help".`,
  ],
  [["remove"], `No job is named. See "worker-client remove --help".`],
  [
    ["remove", "--older-than", "7d"],
    `--older-than, --label and --failed narrow --all: give it, too. ` +
    `See "worker-client remove --help".`,
  ],
  [
    ["rm", "--all", ID],
    `Ids cannot be used together with --all. See "worker-client remove --help".`,
  ],
  [
    ["ls", "--sort", "size"],
    `Option '--sort <key>' argument 'size' is invalid. Allowed choices are started, ended, took, ` +
    `name, state, exit, owner, output. See "worker-client list --help".`,
  ],
  [
    ["--server", "::1", "query", ID],
    `Cannot read the server's address "::1": expected HOST:PORT, for instance ` +
    `worker.example.org:50051, 192.0.2.7:50051 or [2001:db8::7]:50051.`,
  ],
];

for (const [args, note] of WRONG) {
  Deno.test(`main: "${args.join(" ")}" is wrong usage, reported in one line`, async () => {
    assert.deepEqual(await runClient(args, NO_IDENTITY), { status: 2, text: "", notes: [note] });
  });
}

for (const count of ["-1", "1.5", "1e3", "", "9007199254740993"]) {
  Deno.test(`main: "${count}" is not an offset`, async () => {
    const { status, notes } = await runClient(["stream", "--offset", count, ID], NO_IDENTITY);
    assert.equal(status, 2);
    assert.deepEqual(notes, [
      `Option '--offset <n>' argument '${count}' is invalid. ` +
      `Expected a whole number, 0 or more. See "worker-client stream --help".`,
    ]);
  });
}

for (const args of [["run"], ["run", "--what", "ls"], ["wait"], ["wait", "--retry-for", "x", ID]]) {
  Deno.test(`main: "${args.join(" ")}" fails with 125, as lower codes are the job's`, async () => {
    const { status, text, notes } = await runClient(args, NO_IDENTITY);
    assert.deepEqual([status, text, notes.length], [125, "", 1]);
  });
}

/** What a verb takes, where it is not one id. */
const ARGUMENTS: Readonly<Record<string, readonly string[]>> = {
  list: [],
  stats: [],
  top: [],
  ui: [],
  doctor: [],
  version: [],
  signal: ["TERM", ID],
  kill: ["-s", "TERM", ID],
};

Deno.test("main: an identity that cannot be used is exit status 4, and 125 of run and wait", async () => {
  for (const verb of VERBS) {
    const { status, text, notes } = await runClient(
      [verb, ...ARGUMENTS[verb] ?? [ID]],
      NO_IDENTITY,
    );
    assert.equal(status, verb === "run" || verb === "wait" ? 125 : 4);
    assert.equal(text, "");
    assert.deepEqual(notes, [
      "Cannot read /nonexistent/me.pem: there is no such file. " +
      "Name the right one with --identity, or with --ca, --cert and --key.",
    ]);
  }
});

Deno.test("main: options after the verb take precedence over those before it", async () => {
  const { notes } = await runClient(["-i", "/nonexistent/a", "query", "-i", "/nonexistent/b", ID]);
  assert.match(notes[0] ?? "", /^Cannot read \/nonexistent\/b: /);
});
