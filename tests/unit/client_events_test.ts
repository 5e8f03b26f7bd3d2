/** Events in the client: read over broken connections, and told to people and programs. */
import { strict as assert } from "node:assert";
import { EventEmitter } from "node:events";
import { EventQueue } from "../../client/api/event_queue.ts";
import { parsePastMs } from "../../client/command_line/past_time.ts";
import { Connection } from "../../client/connection/connection.ts";
import { readEvents } from "../../client/jobs/read_events.ts";
import { describeEvent, eventFields } from "../../client/screen/events.ts";
import { fillTemplate } from "../../client/screen/format_template.ts";
import { type Event, type Event__Output, jobService } from "../../proto/contract.ts";

/** An event as it comes over the wire. */
function received(event: Event): Event__Output {
  const { responseSerialize, responseDeserialize } = jobService.Events;
  return responseDeserialize(responseSerialize(event));
}

const ended = (cursor: string) =>
  received({ kind: "EVENT_KIND_ENDED", cursor, timeMs: 1, job: {} });

/** A session whose connections do, one after the other, what a test says. */
function sessionOf(...acts: ((call: EventEmitter) => void)[]) {
  const requests: { after?: string }[] = [];
  const connect = () =>
    Promise.resolve({
      server: "worker1:1",
      events(request: { after?: string }) {
        requests.push(request);
        const call = Object.assign(new EventEmitter(), { cancel() {} });
        const act = acts.shift();
        queueMicrotask(() => act?.(call));
        return call;
      },
      [Symbol.dispose]() {},
    } as unknown as Connection);
  return { requests, session: { connect, isRetryable: (error: unknown) => !isRefusal(error) } };
}

const isRefusal = (error: unknown) => String(error).includes("no");

Deno.test("readEvents: after a break it goes on behind the last cursor, also of an empty event", async () => {
  const { requests, session } = sessionOf(
    (call) => {
      call.emit("data", ended("3"));
      call.emit("data", received({ cursor: "5" }));
      call.emit("error", { code: 14, details: "gone" });
    },
    (call) => {
      call.emit("data", ended("6"));
      call.emit("end");
    },
  );
  const told: string[] = [];
  await readEvents({ request: { sinceMs: 1 }, retryForMs: 5000 }, {
    session,
    sink: {
      take: ({ cursor }) => void told.push(cursor),
      lose: () => void told.push("lost"),
      resume: () => void told.push("resumed"),
    },
  });
  assert.deepEqual(told, ["3", "lost", "resumed", "6"]);
  assert.deepEqual(requests.map(({ after }) => after), ["", "5"]);
});

Deno.test("readEvents: a refusal is thrown, and so is a break that may not be tried again", async () => {
  const sink = { take() {}, lose: () => assert.fail("told as lost"), resume() {} };
  for (const [code, details, retryForMs] of [[7, "no", 5000], [14, "gone", 0]] as const) {
    const { session } = sessionOf((call) => call.emit("error", { code, details }));
    await assert.rejects(
      readEvents({ request: {}, retryForMs }, { session, sink }),
      new RegExp(details),
    );
  }
});

Deno.test("readEvents: a sink that accepts no more ends the call, and gets the rest when it has room", async () => {
  const many = Array.from({ length: 1200 }, (_, index) => ended(String(index + 1)));
  const { requests, session } = sessionOf(
    (call) => many.forEach((event) => call.emit("data", event)),
    (call) => {
      many.slice(Number(requests.at(-1)?.after)).forEach((event) => call.emit("data", event));
      call.emit("end");
    },
  );
  const queue = new EventQueue({});
  const reading = readEvents({ request: {}, retryForMs: 0 }, { session, sink: queue })
    .then(() => queue.finish({}));
  const cursors: string[] = [];
  for (let event = await queue.next(); event !== undefined; event = await queue.next()) {
    cursors.push(event.cursor);
  }
  await reading;
  assert.deepEqual(cursors, many.map(({ cursor }) => cursor));
  assert.deepEqual(requests.map(({ after }) => after), ["", "1000"]);
});

Deno.test("events: lines for people say what happened, to which job and by whom", () => {
  const job = {
    jobID: "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219",
    title: "nightly",
    name: "make",
    args: ["all tests\n"],
    startedAtMs: 1000,
    endedAtMs: 4000,
    exited: true,
    state: "JOB_STATE_EXITED" as const,
  };
  const line = (event: Event) => describeEvent(received({ timeMs: 0, ...event }));
  const begin = "1970-01-01T00:00:00Z";
  const lines: [Event, string][] = [
    [
      { kind: "EVENT_KIND_STARTED", by: "alice", job },
      `started    a3c1e8b4  nightly  make $'all tests\\n'  by alice`,
    ],
    [
      { kind: "EVENT_KIND_ENDED", job: { ...job, exitCode: 3 } },
      "ended      a3c1e8b4  nightly  exit code 3 after 3s",
    ],
    [
      { kind: "EVENT_KIND_ENDED", by: "bob", job: { ...job, title: "", stoppedBy: "bob" } },
      "ended      a3c1e8b4  stopped by bob after 3s",
    ],
    [
      {
        kind: "EVENT_KIND_ENDED",
        job: { ...job, state: "JOB_STATE_LOST", reason: "host\x1b[1m down" },
      },
      "ended      a3c1e8b4  nightly  host [1m down",
    ],
    [{ kind: "EVENT_KIND_STOPPING", job }, "stopping   a3c1e8b4  nightly  its timeout is over"],
    [{ kind: "EVENT_KIND_STOPPING", by: "bob", job }, "stopping   a3c1e8b4  nightly  by bob"],
    [
      { kind: "EVENT_KIND_REMOVED", job },
      "removed    a3c1e8b4  nightly  it was kept for long enough",
    ],
    [
      { kind: "EVENT_KIND_MISSED" },
      `missed     events are missing here: "worker-client list --all" shows what is now`,
    ],
    [{ kind: 99 as unknown as 1, job }, "unknown    a3c1e8b4  nightly  make $'all tests\\n'"],
  ];
  for (const [event, text] of lines) assert.equal(line(event), `${begin}  ${text}`);
});

Deno.test("events: for programs the fields of the job stand beside those of the event", () => {
  const fields = eventFields(received({
    kind: "EVENT_KIND_ENDED",
    timeMs: 1000,
    cursor: "7",
    job: { jobID: "x", exited: true, state: "JOB_STATE_EXITED", exitCode: 3 },
  }));
  const { event, time, timeMs, by, cursor, jobID, exitCode } = fields;
  assert.deepEqual({ event, time, timeMs, by, cursor, jobID, exitCode }, {
    event: "ended",
    time: "1970-01-01T00:00:01.000Z",
    timeMs: 1000,
    by: null,
    cursor: "7",
    jobID: "x",
    exitCode: 3,
  });
  assert.deepEqual(eventFields(received({ kind: "EVENT_KIND_MISSED", timeMs: 0 })), {
    event: "missed",
    time: "1970-01-01T00:00:00.000Z",
    timeMs: 0,
    by: null,
    cursor: null,
  });
});

Deno.test("events: a line by a template has a dash for what an event does not have", () => {
  const missed = eventFields(received({ kind: "EVENT_KIND_MISSED", timeMs: 0 }));
  const template = "{event} {jobID} {limits.cpuCores} {labels.a.b}";
  assert.equal(fillTemplate(template, missed), "missed - - -");
  const job = { jobID: "x", labels: { "a.b": "c" }, limits: { cpuCores: 2 } };
  const started = eventFields(received({ kind: "EVENT_KIND_STARTED", timeMs: 0, job }));
  assert.equal(fillTemplate(template, started), "started x 2 c");
});

Deno.test("parsePastMs: how long ago, the last such time of day, or a date; anything else is refused", () => {
  const nowMs = new Date(2026, 4, 4, 12, 30).getTime();
  assert.equal(parsePastMs("10m", nowMs), nowMs - 600_000);
  assert.equal(parsePastMs("12:29:30", nowMs), nowMs - 30_000);
  assert.equal(parsePastMs("14:00", nowMs), new Date(2026, 4, 3, 14).getTime());
  assert.equal(parsePastMs("2026-05-04T10:00Z", nowMs), Date.UTC(2026, 4, 4, 10));
  for (const text of ["", "soon", "+2h", "-1m", "25:00", "2026-02-30"]) {
    assert.throws(() => parsePastMs(text, nowMs), /such as 10m/, text);
  }
});
