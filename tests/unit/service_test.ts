/** The handlers of JobService over a fake manager: what they ask of it, and for whom they refuse. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import type { CallContext } from "../../lib/grpc/call_context.ts";
import type { JobView } from "../../lib/job.ts";
import type { EventQuery } from "../../lib/job/events.ts";
import type { Caller } from "../../lib/rbac.ts";
import { createHandlers, type Jobs } from "../../lib/service.ts";
import { type Event, jobService } from "../../proto/contract.ts";
import { ALICE, BOB, FakeCall, fakeContext } from "../support/fake_http2.ts";

const ID = "0a1b2c3d-0000-4000-8000-000000000000";

/** The methods with one answer. */
const METHODS = [
  "Start",
  "Stop",
  "Signal",
  "Update",
  "Query",
  "Wait",
  "List",
  "Info",
  "Remove",
] as const;
type Method = typeof METHODS[number];

const VIEW = {
  record: {
    id: ID,
    command: { name: "true", args: [] },
    owner: "bob",
    limits: {},
    state: { kind: "running", pid: 7, startedAtMs: 1 },
    firstOffset: 0,
  },
  usage: {},
  outputBytes: 0,
} as unknown as JobView;

/** A manager that has one job, of bob, by the name "nightly"; it notes what it is asked for. */
function fakeManager() {
  const asked: unknown[][] = [];
  /** A function at the end is called: the manager begins. */
  const note = (...what: unknown[]) => {
    const begin = what.at(-1);
    if (typeof begin === "function") begin();
    return Promise.resolve(void asked.push(what.filter((part) => typeof part !== "function")));
  };
  const manager = {
    active: [
      ...["alice", "bob", "bob"].map((owner) => ({
        record: { owner, state: { kind: "running" } },
      })),
      { record: { owner: "bob", state: { kind: "pending" } } },
    ],
    resolve(text: string, isVisible: (owner: string) => boolean) {
      if ((text === "nightly" || text === ID) && isVisible("bob")) return ID;
      throw new JobError("not-found", `No job ${text}`);
    },
    withUserNamed: (request: unknown) => Promise.resolve(request),
    start: (
      request: { command: unknown },
      { onBegin, ...options }: { onBegin: (id: string) => void },
    ) => note("start", request.command, options, () => onBegin(ID)).then(() => ID),
    stop: (...of: unknown[]) => note("stop", ...of),
    signal: (...of: unknown[]) => note("signal", ...of),
    update: (...of: unknown[]) => note("update", ...of),
    remove: (...of: unknown[]) => note("remove", ...of),
    wait: (...of: unknown[]) => note("wait", ...of),
    query: (...of: unknown[]) => note("query", ...of).then(() => VIEW),
    queues: () => Promise.resolve(["builds: 1 of 2 run, 5 wait"]),
    list: (query: unknown) =>
      note("list", query).then(() => ({ jobs: [VIEW], nextPageToken: "next" })),
    async *events(query: EventQuery) {
      await note("events", query);
      const event = { jobId: ID, owner: "bob", timeMs: 2 };
      yield {
        events: [{ ...event, kind: "ended", by: "bob", number: 7, view: VIEW }],
        missed: true,
        next: 9,
      };
      const removed = { title: "t", labels: { c: "d" } };
      yield {
        events: [{ ...event, timeMs: 3, kind: "removed", by: "", number: 11, removed }],
        missed: false,
        next: 11,
      };
    },
    output: (...of: unknown[]) => {
      void note("output", ...of);
      throw new JobError("not-found", "no output");
    },
  };
  return { asked, manager: manager as unknown as Jobs };
}

function place(rules: readonly unknown[] = []) {
  const { asked, manager } = fakeManager();
  const parsed = parseRules(JSON.stringify({ rules }), "worker");
  const never = new AbortController().signal;
  const handlers = createHandlers({
    manager,
    rules: { current: () => Promise.resolve(parsed) },
    streams: { open: 0, bytes: 0 },
    about: {
      version: "1.2",
      cgroup: "v2",
      controllers: ["cpu"],
      engine: "Slurm 1",
      partitions: ["main"],
      limitsNotHeld: ["memory: why"],
      openStdin: true,
    },
    userMap: { current: () => Promise.resolve(undefined) },
    defaultUser: "worker",
    shutdown: { begun: never, overdue: never },
  });
  /** Calls a method with a request as it comes over the wire. */
  const call = (method: Method, request: object, caller: Caller = ALICE) => {
    const changes: unknown[][] = [];
    const context: CallContext = {
      ...fakeContext(caller, method).context,
      beginChange: (job) => void changes.push([job, context.details]),
    };
    const definition = jobService[method];
    const bytes = definition.requestSerialize(request as never);
    const fake = new FakeCall(Object.freeze(definition.requestDeserialize(bytes)), context);
    return new Promise<Outcome>((resolve) => {
      const handler = handlers[method] as unknown as Handler;
      handler(
        fake,
        (error, answer) => resolve({ code: error?.code ?? 0, error, answer, context, changes }),
      );
    });
  };
  return { asked, handlers, call };
}

type Handler = (
  call: unknown,
  respond: (error: { code: number; details: string } | null, answer: object) => void,
) => void;

interface Outcome {
  code: number;
  error: { code: number; details: string } | null;
  answer: object;
  context: CallContext;
  /** What the audit trail is told. */
  changes: unknown[][];
}

Deno.test("service: a job is looked up by any of its names, and its id is what is worked with", async () => {
  const calls: [Method, object, unknown[][]][] = [
    ["Stop", { mainOnly: false }, [
      ["stop", ID, { graceMs: undefined, mainOnly: false, stoppedBy: "alice" }],
    ]],
    ["Stop", { gracePeriodMs: 0, mainOnly: true }, [
      ["stop", ID, { graceMs: 0, mainOnly: true, stoppedBy: "alice" }],
    ]],
    ["Signal", { signal: "SIGHUP", mainOnly: true }, [["signal", ID, "HUP", { mainOnly: true }]]],
    ["Update", { limits: { cpuCores: 2 }, reset: ["memory_bytes"] }, [
      ["update", ID, {
        limits: { cpuCores: 2 },
        reset: new Set(["memoryBytes"]),
        fromFiles: false,
      }, { by: "alice" }],
      ["query", ID],
    ]],
    ["Query", {}, [["query", ID]]],
    ["Wait", {}, [["wait", ID], ["query", ID]]],
    ["Remove", {}, [["remove", ID, { by: "alice" }]]],
  ];
  for (const [method, request, expected] of calls) {
    const { asked, call } = place();
    // The request is frozen: no handler may change it.
    const { code, context, error } = await call(method, { jobID: "nightly", ...request });
    assert.equal(code, status.OK, `${error?.details}`);
    assert.deepEqual(asked, expected);
    assert.equal(context.job, ID, `${method}: the audit trail does not see the id`);
  }
});

Deno.test("service: the audit trail is told what a change does, when it begins", async () => {
  const calls: [Method, object, object[]][] = [
    ["Start", { name: "/bin/true" }, [{
      program: "/bin/true",
      user: "worker",
      argumentsDigest: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    }]],
    ["Stop", { jobID: "nightly" }, [{}]],
    ["Signal", { jobID: "nightly", signal: "SIGHUP" }, [{ signal: "HUP" }]],
    ["Update", { jobID: "nightly", limits: { cpuCores: 2 }, fromFiles: true }, [{
      limits: "cpu_cores=2 from_files",
    }]],
    ["Remove", { jobID: "nightly" }, [{}]],
  ];
  const { context } = await place([{ role: "writer", commands: ["/x"] }]).call("Start", {
    name: "/bin/true",
  });
  assert.equal(context.details.program, "/bin/true", "it is not told what was refused");
  for (const [method, request, details] of calls) {
    const { changes } = await place().call(method, request);
    assert.deepEqual(changes, [[ID, ...details]], method);
  }
  for (const method of ["Query", "Wait", "List", "Info"] as const) {
    assert.deepEqual((await place().call(method, { jobID: "nightly" })).changes, [], method);
  }
});

Deno.test("service: a job that is not there, or is not the caller's to see, is not found", async () => {
  const methods: Method[] = ["Stop", "Query", "Wait", "Remove"];
  const own = [{ name: "alice", jobs: "own" }];
  for (const method of methods) {
    for (const [rules, jobID] of [[[], "other"], [[], ""], [own, "nightly"], [own, ID]] as const) {
      const { asked, call } = place(rules);
      const { code, error } = await call(method, { jobID });
      assert.equal(code, status.NOT_FOUND, `${method} ${jobID}`);
      assert.equal(error?.details, `No job ${jobID}`, "the answer shows which jobs exist");
      assert.deepEqual(asked, []);
    }
  }
});

Deno.test("service: a method that the rule file does not allow asks nothing of the manager", async () => {
  const requests: Partial<Record<Method, object>> = {
    Start: { name: "true" },
    Signal: { jobID: ID, signal: "HUP" },
    Update: { jobID: ID, fromFiles: true },
  };
  assert.deepEqual(
    [...METHODS, "Events", "Input", "Stream"].sort(),
    Object.keys(jobService).sort(),
  );
  for (const method of METHODS) {
    const { asked, call } = place([{ role: "writer", methods: [] }]);
    const { code } = await call(method, requests[method] ?? { jobID: ID });
    assert.equal(code, status.PERMISSION_DENIED, method);
    assert.deepEqual(asked, [], method);
  }
});

Deno.test("service: Start runs what was asked for as the caller's job, and gives the audit trail its id", async () => {
  const { asked, call } = place();
  const request = { name: "sh", args: ["-c", "true"], idempotencyKey: "key" };
  const { answer, context } = await call("Start", request);
  assert.deepEqual(answer, { jobID: ID });
  assert.equal(context.job, ID);
  assert.deepEqual(asked, [
    ["start", { name: "sh", args: ["-c", "true"] }, { owner: "alice", idempotencyKey: "key" }],
  ]);
});

Deno.test("service: Start of what is invalid, or what the rules do not allow, starts nothing", async () => {
  const { asked, call } = place([{ name: "alice", commands: ["/bin/true"] }]);
  const refused: [object, status][] = [
    [{ name: "/bin/sh" }, status.PERMISSION_DENIED],
    [{ name: "/bin/true", env: { PATH: "/x" } }, status.PERMISSION_DENIED],
    [{ name: "/bin/true", user: "root" }, status.PERMISSION_DENIED],
    [{ name: "/bin/true", workingDirectory: "relative" }, status.INVALID_ARGUMENT],
    [{ name: "/bin/true", stopSignal: "SIGFLY" }, status.INVALID_ARGUMENT],
  ];
  for (const [request, expected] of refused) {
    const { code, context } = await call("Start", request);
    assert.equal(code, expected);
    assert.equal(context.job, undefined);
  }
  assert.deepEqual(asked, []);
});

Deno.test("service: Update gives nobody limits that a rule keeps from them, and applies files for all", async () => {
  const { asked, call } = place([{ name: "alice", options: ["umask"] }]);
  for (const request of [{ limits: { cpuCores: 1 } }, { reset: ["cpu_cores"] }]) {
    const { code, error } = await call("Update", { jobID: ID, ...request });
    assert.equal(code, status.PERMISSION_DENIED);
    assert.match(error?.details ?? "", /^alice may not use limits of its own/);
  }
  assert.deepEqual(asked, []);
  assert.equal((await call("Update", { jobID: ID, fromFiles: true })).code, status.OK);
  const commands = place([{ name: "alice", commands: ["/bin/true"] }]);
  const request = { jobID: ID, limits: { cpuCores: 1 } };
  assert.equal((await commands.call("Update", request)).code, status.PERMISSION_DENIED);
});

Deno.test("service: a text that is not UTF-8 is refused, and not replaced by another one", async () => {
  // Field 1 (a program, a job) and field 2 (an argument): "a", and bytes that are no character.
  const bytes = { start: "0a0161120161", broken: "0a01611202ffff", surrogate: "0a01611203eda080" };
  const { asked, handlers } = place();
  const start = (hex: string) => {
    const { context } = fakeContext(ALICE, "Start");
    const request = jobService.Start.requestDeserialize(Buffer.from(hex, "hex"));
    return new Promise<unknown[]>((resolve) => {
      const handler = handlers.Start as unknown as Handler;
      handler(
        new FakeCall(request, context),
        (error) => resolve([error?.code ?? 0, error?.details]),
      );
    });
  };
  const refusal = [status.INVALID_ARGUMENT, "Cannot read the request: a text in it is not UTF-8"];
  for (const hex of [bytes.broken, bytes.surrogate]) assert.deepEqual(await start(hex), refusal);
  assert.deepEqual(asked, []);
  assert.equal((await start(bytes.start))[0], 0);
  // A character that stands for broken ones may be sent.
  assert.equal((await start("0a0161" + "1203efbfbd"))[0], 0);
  assert.equal(asked.length, 2);
});

Deno.test("service: Signal refuses what is not a signal before it looks for the job", async () => {
  const { asked, call } = place();
  const { code } = await call("Signal", { jobID: "other", signal: "SIGFLY" });
  assert.equal(code, status.INVALID_ARGUMENT);
  assert.deepEqual(asked, []);
});

/** The owner that a List of a caller asks for. */
async function ownerListed(
  caller: Caller,
  request: object,
  rules: readonly unknown[],
): Promise<unknown> {
  const { asked, call } = place(rules);
  const { code } = await call("List", request, caller);
  if (code !== status.OK) return status[code];
  return (asked[0]?.[1] as { owner: unknown }).owner;
}

Deno.test("service: List has jobs of everyone, unless a rule gives the caller its own only", async () => {
  const own = [{ name: "alice", jobs: "own" }];
  assert.equal(await ownerListed(ALICE, {}, []), undefined);
  assert.equal(await ownerListed(ALICE, { owner: "bob" }, []), "bob");
  assert.equal(await ownerListed(ALICE, {}, own), "alice");
  assert.equal(await ownerListed(ALICE, { owner: "alice" }, own), "alice");
  assert.equal(await ownerListed(ALICE, { owner: "bob" }, own), "PERMISSION_DENIED");
  assert.equal(await ownerListed(BOB, {}, own), undefined);
  const { answer } = await place().call("List", {});
  assert.deepEqual((answer as { nextPageToken: string }).nextPageToken, "next");
  assert.deepEqual((answer as { jobs: { jobID: string }[] }).jobs.map(({ jobID }) => jobID), [ID]);
});

Deno.test("service: Start comes after jobs that the caller may see, and no others", async () => {
  const request = { name: "true", after: ["nightly"] };
  const { asked, call } = place();
  assert.equal((await call("Start", request)).code, status.OK);
  assert.equal(asked.length, 1);
  const own = place([{ name: "alice", jobs: "own" }]);
  const { code, error } = await own.call("Start", request);
  assert.deepEqual([code, own.asked], [status.NOT_FOUND, []]);
  assert.match(error?.details ?? "", /Cannot start the job after "nightly": No job/);
});

Deno.test("service: Info says what the server is and who the caller is", async () => {
  const { answer, context } = await place().call("Info", {}, BOB);
  const { timeMs, ...rest } = answer as { timeMs: number };
  assert.deepEqual(rest, {
    version: "1.2",
    cgroup: "v2",
    controllers: ["cpu"],
    yourName: "bob",
    yourRoles: ["reader"],
    jobUser: "worker",
    runningJobs: 3,
    engine: "Slurm 1",
    partitions: ["main"],
    limitsNotHeld: ["memory: why"],
    queues: ["builds: 1 of 2 run, 5 wait"],
    jobsWait: true,
    openStdin: true,
    startFields: [
      "nice",
      "open_files",
      "limits.memory_high_bytes",
      "limits.read_operations_per_second",
      "limits.write_operations_per_second",
      "limits.allowed_cpus",
      "limits.disks",
    ],
  });
  assert(Math.abs(Date.now() - timeMs) < 60_000);
  assert.equal(context.job, undefined);
  const own = await place([{ name: "bob", jobs: "own" }]).call("Info", {}, BOB);
  assert.equal((own.answer as { runningJobs: number }).runningJobs, 2, "it tells of others' jobs");
});

/** Calls Stream, and says with which status it ended. */
async function streamEnd(rules: readonly unknown[], request: object, caller = ALICE) {
  const { asked, handlers } = place(rules);
  const { context } = fakeContext(caller, "Stream");
  const call = new FakeCall(Object.freeze({ jobID: ID, heartbeatSeconds: 0, ...request }), context);
  await (handlers.Stream as unknown as (call: unknown) => Promise<void>)(call);
  return { asked, context, codes: call.errors.map(({ code }) => status[code]) };
}

Deno.test("service: Stream is authorized as every method about a job is", async () => {
  const allowed = await streamEnd([], { jobID: "nightly", stderr: true });
  assert.deepEqual(allowed.asked, [["output", ID, { stderr: true }]]);
  assert.equal(allowed.context.job, ID);
  const own = await streamEnd([{ name: "alice", jobs: "own" }], {});
  assert.deepEqual([own.asked, own.codes], [[], ["NOT_FOUND"]]);
  const denied = await streamEnd([{ name: "alice", methods: ["Query"] }], {});
  assert.deepEqual([denied.asked, denied.codes], [[], ["PERMISSION_DENIED"]]);
});

/** Calls Events, and ends the call when nothing more comes by itself. */
async function eventsOf(
  request: object,
  { caller = ALICE, rules = [] as readonly unknown[] } = {},
): Promise<
  { messages: unknown[]; errors: { code: number; details: string }[]; query: EventQuery }
> {
  const { handlers, asked } = place(rules);
  const definition = jobService.Events;
  const bytes = definition.requestSerialize(request as never);
  const { context } = fakeContext(caller, "Events");
  const call = new FakeCall(definition.requestDeserialize(bytes), context);
  await (handlers.Events as unknown as (call: unknown) => Promise<void>)(call);
  const { messages, errors } = call;
  const [, query] = asked.find(([name]) => name === "events") ?? [];
  return { messages, errors, query: query as EventQuery };
}

Deno.test("service: Events tells the cursor at once, then what happened, and what is missing", async () => {
  const { messages, query } = await eventsOf({ sinceMs: 5, noFollow: true, labels: { a: "b" } });
  assert.deepEqual(query.labels, { a: "b" });
  assert.deepEqual([query.after, query.sinceMs, query.untilMs, query.follow], [
    undefined,
    5,
    Infinity,
    false,
  ]);
  const [missed, ended, cursor, removed] = messages as Event[];
  assert.equal(missed?.kind, "EVENT_KIND_MISSED");
  assert.deepEqual([ended?.kind, ended?.cursor, ended?.by, ended?.job?.jobID], [
    "EVENT_KIND_ENDED",
    "7",
    "bob",
    ID,
  ]);
  assert.deepEqual(cursor, { cursor: "9" });
  assert.deepEqual(removed, {
    kind: "EVENT_KIND_REMOVED",
    timeMs: 3,
    by: "",
    cursor: "11",
    job: { jobID: ID, owner: "bob", exited: true, title: "t", labels: { c: "d" } },
  });
  assert.equal(messages.length, 4);
});

Deno.test("service: Events shows a caller with rules what List shows, and refuses what it refuses", async () => {
  const own = [{ name: "alice", jobs: "own" }];
  const { query } = await eventsOf({}, { rules: own });
  const mine = await query.owners();
  assert.deepEqual(["alice", "bob"].map(mine), [true, false]);
  const everyone = await (await eventsOf({})).query.owners();
  assert.deepEqual(["alice", "bob"].map(everyone), [true, true]);
  const bobs = await (await eventsOf({ owner: "bob" })).query.owners();
  assert.deepEqual(["alice", "bob"].map(bobs), [false, true]);
  const others = await eventsOf({ owner: "bob" }, { rules: own });
  assert.equal(others.errors[0]?.code, status.PERMISSION_DENIED);
  const hidden = await eventsOf({ jobID: "nightly" }, { rules: own });
  assert.equal(hidden.errors[0]?.code, status.NOT_FOUND);
  assert.equal((await eventsOf({ jobID: "nightly" })).query.jobId, ID);
  for (const request of [{ after: "x" }, { after: "-1" }, { labels: { "": "b" } }]) {
    const { errors } = await eventsOf(request);
    assert.equal(errors[0]?.code, status.INVALID_ARGUMENT);
    assert.match(errors[0]?.details ?? "", /^Cannot tell events: /);
  }
});
