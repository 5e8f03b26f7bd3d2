/** The audit trail: the line of every event, and the files that keep them. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { AuditTrail } from "../../lib/access/audit.ts";
import { auditEntryOf, isAboutChange } from "../../lib/access/audit_entry.ts";
import {
  type AccessEvent,
  AccessEvents,
  type CallEnded,
  type ChangeBegun,
} from "../../lib/access/events.ts";
import { startDetails } from "../../lib/access/start_details.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeTime } from "../support/fake_time.ts";
import { ALICE } from "../support/fake_http2.ts";
import { requestOf } from "../support/job_host.ts";

const ID = "0a1b2c3d-0000-4000-8000-000000000000";

const CALL: CallEnded = {
  kind: "call-ended",
  path: "/JobService/Query",
  caller: { ...ALICE, roles: ["reader", "writer"] },
  peer: "192.0.2.1:4321",
  job: ID,
  details: {},
  hasChanged: false,
  code: "OK",
  durationMs: 12.34,
};

const CHANGE: ChangeBegun = {
  kind: "change-begun",
  path: "/JobService/Start",
  caller: ALICE,
  peer: "192.0.2.1:4321",
  job: ID,
  details: { program: "/bin/sh", user: "root", argumentsDigest: "ab12" },
};

const STORM: AccessEvent = { kind: "reset-storm", peer: "192.0.2.1:1", holder: ALICE };

Deno.test("auditEntryOf: a call's line has who, from where, what, which job and how it ended", () => {
  assert.deepEqual(auditEntryOf(CALL), {
    event: "call",
    fields: {
      method: "/JobService/Query",
      who: "alice",
      serial: "A1",
      roles: "reader,writer",
      peer: "192.0.2.1:4321",
      job: ID,
      code: "OK",
      ms: 12.3,
    },
  });
});

Deno.test("auditEntryOf: every outcome of every method of jobs has a line", () => {
  const codes = ["OK", "CANCELLED", "NOT_FOUND", "PERMISSION_DENIED", "INTERNAL", "UNIMPLEMENTED"];
  for (const code of codes) {
    for (const path of ["/JobService/Start", "/JobService/Fly", "/Health/Check", ""]) {
      assert.equal(auditEntryOf({ ...CALL, path, code })?.fields["code"], code, path);
    }
  }
});

Deno.test("auditEntryOf: a change has a line when it begins; the digest of arguments is for the trail only", () => {
  const who = { who: "alice", serial: "A1", roles: "writer", peer: "192.0.2.1:4321", job: ID };
  const { event, fields, trailFields } = auditEntryOf(CHANGE) ?? {};
  assert.equal(event, "a change begins");
  const method = "/JobService/Start";
  assert.deepEqual(fields, { ...who, method, program: "/bin/sh", user: "root" });
  assert.deepEqual(trailFields, { argumentsDigest: "ab12" });
  const refused = { ...CALL, path: method, code: "PERMISSION_DENIED", details: CHANGE.details };
  assert.equal(auditEntryOf(refused)?.fields["program"], "/bin/sh");
  assert.deepEqual(auditEntryOf(refused)?.trailFields, trailFields);
  const signal = { ...CHANGE, path: "/JobService/Signal", details: { signal: "HUP" } };
  assert.equal(auditEntryOf(signal)?.fields["signal"], "HUP");
  assert.equal(auditEntryOf(signal)?.trailFields, undefined);
  const late = { ...CHANGE, kind: "change-ended", code: "OK" } as const;
  assert.deepEqual(auditEntryOf(late), {
    event: "a change has ended after its call",
    fields: { ...who, method, code: "OK" },
  });
});

Deno.test("startDetails: a digest that a known list of arguments gives, and no other list", () => {
  const of = (...args: string[]) => {
    const request = requestOf();
    const command = { name: "/bin/echo", args };
    return startDetails({ ...request, command }).argumentsDigest;
  };
  // printf '%s\0' a 'b c' | sha256sum
  assert.equal(
    of("a", "b c"),
    "398daf8b98eb62e969b3adbb7eadb1cf8afb367a15cf22704324cb353e9354bc",
  );
  const lists = [["a", "b c"], ["a", "b", "c"], ["ab c"], ["a b c"], [], [""]];
  assert.equal(new Set(lists.map((list) => of(...list))).size, lists.length);
});

Deno.test("auditEntryOf: a call without a job or a certificate has a line as well", () => {
  const unknown = { name: "", serial: "", roles: [] };
  const call = { ...CALL, caller: unknown, job: undefined };
  const { fields } = auditEntryOf(call) ?? {};
  assert.equal(fields?.["job"], undefined);
  assert.deepEqual([fields?.["who"], fields?.["serial"], fields?.["roles"]], ["", "", ""]);
});

Deno.test("auditEntryOf: of health checks only refused ones have a line", () => {
  const path = "/grpc.health.v1.Health/Check";
  for (const code of ["OK", "NOT_FOUND", "CANCELLED", "UNAVAILABLE"]) {
    assert.equal(auditEntryOf({ ...CALL, path, code }), undefined, code);
  }
  for (const code of ["UNAUTHENTICATED", "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "HTTP 415"]) {
    assert.equal(auditEntryOf({ ...CALL, path, code })?.fields["code"], code);
  }
});

Deno.test("auditEntryOf: text of a caller is cut", () => {
  const path = `/JobService/${"x".repeat(5000)}`;
  const long = "j".repeat(5000);
  const caller = { ...ALICE, name: long };
  const { fields } = auditEntryOf({ ...CALL, path, caller, job: long }) ?? {};
  assert.equal(fields?.["method"], path.slice(0, 100));
  assert.equal(fields?.["job"], "j".repeat(64));
  assert.equal(fields?.["who"], "j".repeat(256));
  const { program } = startDetails(requestOf({}, { command: { name: long, args: [] } }));
  assert.equal(program, "j".repeat(256));
});

Deno.test("auditEntryOf: refused handshakes have their reason", () => {
  const event = { kind: "handshake-refused", peer: "192.0.2.1:1", reason: "expired" } as const;
  assert.deepEqual(auditEntryOf(event), {
    event: "a handshake was refused",
    fields: { peer: "192.0.2.1:1", reason: "expired" },
  });
});

Deno.test("auditEntryOf: a storm of resets has its connection", () => {
  assert.deepEqual(auditEntryOf(STORM), {
    event: "a connection was closed",
    fields: {
      who: "alice",
      serial: "A1",
      peer: "192.0.2.1:1",
      reason: "it reset too many streams",
    },
  });
});

Deno.test("isAboutChange: what changes something, whatever becomes of it", () => {
  for (const method of ["Start", "Stop", "Signal", "Update", "Remove"]) {
    for (const code of ["OK", "PERMISSION_DENIED", "CANCELLED"]) {
      assert(isAboutChange({ ...CALL, path: `/JobService/${method}`, code }), method);
    }
  }
  const others = ["Query", "Stream", "Wait", "List", "Info", "Fly"].map((method) =>
    `/JobService/${method}`
  );
  for (const path of [...others, "/grpc.health.v1.Health/Check", ""]) {
    assert(!isAboutChange({ ...CALL, path }), path);
  }
  assert(isAboutChange(CHANGE));
  assert(!isAboutChange(STORM));
});

Deno.test("AccessEvents: every observer gets every event, in order", () => {
  const events = new AccessEvents();
  const seen: string[] = [];
  const { report } = events;
  report(CALL);
  events.observe(({ kind }) => seen.push(`one ${kind}`));
  events.observe(({ kind }) => seen.push(`two ${kind}`));
  report(CALL);
  report(STORM);
  assert.deepEqual(seen, [
    "one call-ended",
    "two call-ended",
    "one reset-storm",
    "two reset-storm",
  ]);
});

/** Nothing here waits for a disk that hangs. */
const TIMEOUT_MS = 5000;

/** A trail in a folder of its own. */
class Place implements AsyncDisposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "job-worker-audit-" });
  readonly log = new CapturedLog();
  readonly #maxBytes: number;
  #trail: AuditTrail | undefined;

  private constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  static async open(maxBytes = Infinity): Promise<Place> {
    const place = new Place(maxBytes);
    await place.reopen();
    return place;
  }

  get trail(): AuditTrail {
    assert(this.#trail);
    return this.#trail;
  }

  /** Closes the trail, and opens it as the next server does. */
  async reopen(): Promise<void> {
    await this.#trail?.close(TIMEOUT_MS);
    this.#trail = await AuditTrail.open(this.folder, this.#maxBytes);
  }

  /** Records events, and waits until they are written. */
  async record(...events: AccessEvent[]): Promise<void> {
    for (const event of events) this.trail.record(event);
    assert(await this.trail.flush(TIMEOUT_MS), "the disk hangs");
  }

  /** The files by their names. */
  files(): Record<string, string> {
    const folder = join(this.folder, "audit");
    return Object.fromEntries(
      [...Deno.readDirSync(folder)].map((
        { name },
      ) => [name, Deno.readTextFileSync(join(folder, name))]),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.trail.close(TIMEOUT_MS);
    this.log[Symbol.dispose]();
    Deno.removeSync(this.folder, { recursive: true });
  }
}

function callOf(job: string): AccessEvent {
  return { ...CALL, job };
}

Deno.test("AuditTrail: a line is soon in the file, and in the log when record returns", async () => {
  await using place = await Place.open();
  const written = place.record(CALL);
  assert.deepEqual(place.log.messages(), ["call"]);
  await written;
  const line = JSON.parse(place.files()["audit.jsonl"] ?? "");
  assert.match(line.time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  assert.deepEqual([line.event, line.who, line.job, line.ms], ["call", "alice", ID, 12.3]);
  assert.deepEqual(place.log.messages(), ["call"]);
  assert.equal(place.log.entries[0]?.["job"], ID);
});

Deno.test("AuditTrail: what is not worth a line is in neither", async () => {
  await using place = await Place.open();
  await place.record({ ...CALL, path: "/grpc.health.v1.Health/Check" });
  assert.equal(place.files()["audit.jsonl"], "");
  assert.deepEqual(place.log.entries, []);
});

Deno.test("AuditTrail: text of a caller forges no line", async () => {
  await using place = await Place.open();
  const forged = '","code":"OK"}\n{"event":"call","who":"mallory';
  await place.record({ ...CALL, path: `/${forged}`, job: forged, code: "UNIMPLEMENTED" });
  const lines = (place.files()["audit.jsonl"] ?? "").trimEnd().split("\n");
  assert.equal(lines.length, 1);
  assert.equal(JSON.parse(lines[0] ?? "").who, "alice");
  assert.equal(JSON.parse(lines[0] ?? "").job, forged);
});

Deno.test("AuditTrail: text of a caller neither moves the cursor nor turns the writing, in trail and log", async () => {
  await using place = await Place.open();
  const name = "al\u202eice\u2028\x9b1m\x7f\u{e0041}";
  const caller = { ...ALICE, name };
  await place.record({ ...CALL, caller });
  const text = place.files()["audit.jsonl"] ?? "";
  assert.doesNotMatch(text.trimEnd(), /[^\x20-\x7e]/);
  assert.equal(JSON.parse(text).who, name);
  assert.doesNotMatch(place.log.texts[0]?.trimEnd() ?? "", /[^\x20-\x7e]/);
  assert.equal(place.log.entries[0]?.["who"], name);
});

Deno.test("AuditTrail: no number of other calls washes out what changes something", async () => {
  await using place = await Place.open(128 * 1024);
  const path = "/JobService/Start";
  await place.record(CHANGE, { ...CALL, path, hasChanged: true });
  await place.record(...Array.from({ length: 400 }, (_, number) => callOf(`job ${number}`)));
  assert("audit.7.jsonl" in place.files());
  // Nor do calls that change nothing, though they would.
  const refused = { ...CALL, path: "/JobService/Stop", code: "PERMISSION_DENIED" };
  await place.record(...Array.from({ length: 300 }, () => refused));
  const lines = (place.files()["changes.jsonl"] ?? "").trimEnd().split("\n");
  const [begun, ended] = lines.map((line) => JSON.parse(line));
  assert.deepEqual([begun.event, begun.job, begun.argumentsDigest], [
    "a change begins",
    ID,
    "ab12",
  ]);
  assert.deepEqual([ended.event, ended.job, ended.code], ["call", ID, "OK"]);
  assert.doesNotMatch(JSON.stringify(place.log.entries), /ab12/);
});

Deno.test("AuditTrail: what was counted is told at the latest when the trail is closed", async () => {
  await using place = await Place.open();
  const refused = { ...CALL, path: "/JobService/Stop", code: "PERMISSION_DENIED" };
  await place.record(...Array.from({ length: 300 }, () => refused));
  await place.reopen();
  const lines = (place.files()["changes.jsonl"] ?? "").trimEnd().split("\n");
  const entries = lines.map((line) => JSON.parse(line));
  const counted = entries.pop();
  assert.equal(counted.event, "events like this one were counted");
  assert.equal(entries.length + counted.events, 300);
  assert.deepEqual([counted.who, counted.code, counted.last], ["alice", refused.code, "call"]);
});

Deno.test("AuditTrail: a file that was moved or removed is followed by another one", async () => {
  await using place = await Place.open();
  await place.record(callOf("one"));
  const path = join(place.folder, "audit", "audit.jsonl");
  Deno.renameSync(path, `${path}.moved`);
  await place.record(callOf("two"));
  assert.equal(JSON.parse(Deno.readTextFileSync(path)).job, "two");
  assert.equal(JSON.parse(Deno.readTextFileSync(`${path}.moved`)).job, "one");
  Deno.removeSync(path);
  await place.record(callOf("three"));
  assert.equal(JSON.parse(Deno.readTextFileSync(path)).job, "three");
});

Deno.test("AuditTrail: a line that a power cut has cut off spoils no other", async () => {
  await using place = await Place.open();
  await place.record(callOf("one"));
  const path = join(place.folder, "audit", "audit.jsonl");
  Deno.writeTextFileSync(path, '{"time":"2026', { append: true });
  await place.reopen();
  await place.record(callOf("two"));
  const [one, cut, two, ...others] = Deno.readTextFileSync(path).split("\n");
  assert.equal(JSON.parse(one ?? "").job, "one");
  assert.equal(cut, '{"time":"2026');
  assert.equal(JSON.parse(two ?? "").job, "two");
  assert.deepEqual(others, [""]);
});

Deno.test("AuditTrail: only the server's user may read it", async () => {
  await using place = await Place.open();
  const modeOf = (path: string) => (Deno.statSync(join(place.folder, path)).mode ?? 0) & 0o777;
  assert.equal(modeOf("audit"), 0o700);
  assert.equal(modeOf("audit/audit.jsonl"), 0o600);
});

Deno.test("AuditTrail: keeps the newest lines within its bound, in eight files", async () => {
  const bound = 16 * 1024;
  // What changes something has the other half.
  await using place = await Place.open(2 * bound);
  await place.record(...Array.from({ length: 300 }, (_, number) => callOf(`job ${number}`)));
  const files = place.files();
  const names = ["audit.jsonl", ...[1, 2, 3, 4, 5, 6, 7].map((number) => `audit.${number}.jsonl`)];
  assert.equal(files["changes.jsonl"], "");
  delete files["changes.jsonl"];
  assert.deepEqual(Object.keys(files).sort(), names.sort());
  const bytes = Object.values(files).reduce((sum, text) => sum + text.length, 0);
  assert(bytes <= bound, `${bytes} bytes`);
  assert(bytes > bound * 3 / 4, `${bytes} bytes`);
  const oldestFirst = Object.keys(files).sort((one, other) => ageOf(other) - ageOf(one));
  const kept = oldestFirst.flatMap((name) => (files[name] ?? "").trimEnd().split("\n"))
    .map((line) => JSON.parse(line).job as string);
  const first = 300 - kept.length;
  assert.deepEqual(kept, Array.from(kept, (_, index) => `job ${first + index}`));
});

function ageOf(name: string): number {
  return Number(/\d/.exec(name)?.[0] ?? 0);
}

Deno.test("AuditTrail: a line longer than a file is written, and the next one begins another file", async () => {
  await using place = await Place.open(1600);
  await place.record(...["one", "two", "three"].map(callOf));
  assert.equal(JSON.parse(place.files()["audit.jsonl"] ?? "").job, "three");
  assert.equal(JSON.parse(place.files()["audit.2.jsonl"] ?? "").job, "one");
});

Deno.test("AuditTrail: goes on in the same file after a restart", async () => {
  await using place = await Place.open(16_000);
  await place.record(callOf("before"));
  await place.reopen();
  await place.record(callOf("after"));
  const lines = (place.files()["audit.jsonl"] ?? "").trimEnd().split("\n");
  assert.deepEqual(lines.map((line) => JSON.parse(line).job), ["before", "after"]);
  for (let number = 0; number < 4; number++) await place.record(callOf(`${number}`));
  assert("audit.1.jsonl" in place.files(), "the size of the file before the restart is forgotten");
});

Deno.test("AuditTrail: failed writes are logged once, their lines are in the log and counted, and the next line is written", async () => {
  await using place = await Place.open(1600);
  await place.record(callOf("before"));
  // The next line needs another file, and the folder of the files is gone.
  Deno.renameSync(join(place.folder, "audit"), join(place.folder, "aside"));
  await place.record(callOf("one"));
  await place.record(callOf("two"));
  assert.deepEqual(place.log.messages(), [
    "call",
    "call",
    "cannot write the audit trail; the missing lines are in this log",
    "call",
  ]);
  Deno.renameSync(join(place.folder, "aside"), join(place.folder, "audit"));
  await place.record(callOf("three"));
  const texts = Object.values(place.files()).filter((text) => text !== "");
  const lines = texts.map((text) => JSON.parse(text));
  assert.deepEqual(lines.map(({ job, dropped }) => job ?? dropped).sort(), [2, "before", "three"]);
});

function methodsOf({ write, syncData }: Deno.FsFile) {
  return { write, syncData };
}

/** Lets some of the runtime's writes to files fail, or counts and holds its syncs. */
class PatchedDisk implements Disposable {
  readonly #original = { ...methodsOf(Deno.FsFile.prototype) };
  /** Writes that fail from now on. */
  failingWrites = 0;
  syncs = 0;
  /** What a sync waits for. */
  gate: Promise<void> = Promise.resolve();

  constructor() {
    // deno-lint-ignore no-this-alias
    const disk = this;
    const { write, syncData } = this.#original;
    Deno.FsFile.prototype.write = function (bytes) {
      if (disk.failingWrites-- > 0) return Promise.reject(new Error("fake (os error 28)"));
      return write.call(this, bytes);
    };
    Deno.FsFile.prototype.syncData = async function () {
      disk.syncs++;
      await disk.gate;
      await syncData.call(this);
    };
  }

  [Symbol.dispose](): void {
    Object.assign(Deno.FsFile.prototype, this.#original);
  }
}

function reserveOf(place: Place): number {
  try {
    return Deno.statSync(join(place.folder, "audit-reserve")).size;
  } catch {
    return 0;
  }
}

Deno.test("AuditTrail: on a full disk, a change has its line in the room that is kept for it; a call has not", async () => {
  using disk = new PatchedDisk();
  await using place = await Place.open();
  assert.equal(reserveOf(place), 64 * 1024);
  disk.failingWrites = 1;
  await place.record(CHANGE);
  assert.equal(JSON.parse(place.files()["changes.jsonl"] ?? "").job, ID);
  assert.deepEqual(place.log.messages("error"), []);
  assert.equal(reserveOf(place), 64 * 1024, "the room is not taken again");
  disk.failingWrites = 1;
  await place.record(CALL);
  assert.equal(place.files()["audit.jsonl"], "");
  assert.match(place.log.messages("error").join(), /cannot write the audit trail/);
});

Deno.test("AuditTrail: where no room is left either, the lines of changes are counted", async () => {
  using disk = new PatchedDisk();
  await using place = await Place.open();
  disk.failingWrites = 2;
  await place.record(CHANGE);
  assert.match(place.log.messages("error").join(), /cannot write the audit trail/);
  await place.record({ ...CHANGE, job: "two" });
  const lines = (place.files()["changes.jsonl"] ?? "").trimEnd().split("\n");
  assert.deepEqual(lines.map((line) => JSON.parse(line).dropped ?? JSON.parse(line).job), [
    1,
    "two",
  ]);
});

Deno.test("AuditTrail: changes are brought to the disk once a second, beside the writes; calls are not", async () => {
  using time = new FakeTime();
  using disk = new PatchedDisk();
  await using place = await Place.open();
  await place.record(CALL);
  await time.advance(1000);
  assert.equal(disk.syncs, 0);
  for (let count = 0; count < 5; count++) await place.record({ ...CHANGE, job: `${count}` });
  assert.equal(disk.syncs, 0);
  const gate = Promise.withResolvers<void>();
  disk.gate = gate.promise;
  await time.advance(1000);
  assert.equal(disk.syncs, 1);
  // While the disk hangs, lines are written, and no other sync is begun.
  await place.record({ ...CHANGE, job: "late" });
  await time.advance(10_000);
  assert.equal(disk.syncs, 1);
  gate.resolve();
  await place.reopen();
  assert.equal(disk.syncs, 2, "what came last was not synced");
});
