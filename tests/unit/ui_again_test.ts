/** The form that starts a job like another one: sent as it is, it asks for the same. */
import assert from "node:assert/strict";
import * as v from "valibot";
import { formLike } from "../../client/ui/page/again.ts";
import { fieldsIn, isTaken, type Place } from "../../client/ui/page/form_fields.ts";
import { TEXT_FIELDS, type TextField } from "../../client/ui/protocol.ts";
import type { Job } from "../../client/ui/page/requests.ts";
import { START_FORM, toRequest } from "../../client/ui/start_form.ts";

const PLACES: readonly Place[] = ["process", "texts", "limits", "waiting", "cluster"];

const JOB = {
  name: "/bin/sh",
  args: ["-c", "echo 'a' \"b\" \\ $x\nnext\r\n", "", "é 日本"],
  title: "nightly",
  labels: { team: "billing", note: "a b=c" },
  workingDirectory: "/srv",
  user: "worker",
  timeoutMs: 5_400_000,
  limits: {
    cpuCores: 0.29,
    memoryBytes: 256 * 1024 ** 2 + 1,
    readBytesPerSecond: 10_000_000,
    writeBytesPerSecond: 4097,
    processes: 7,
  },
  isolation: { privateTmp: true, noNetwork: false, ownProcesses: true },
  umask: 0o27,
  stopSignal: "INT",
  gracePeriodMs: 2500,
  partition: "",
} as unknown as Job;

/** What is asked for when the form is sent as it is. */
function asked(job: Job) {
  const { words, texts, switches } = formLike(job, "nobody");
  return toRequest(v.parse(START_FORM, { words, idempotencyKey: "k", ...texts, ...switches }));
}

Deno.test("formLike: the words are the job's, whatever is in them", () => {
  const request = asked(JOB);
  assert.deepEqual([request.name, request.args], [JOB.name, JOB.args]);
});

Deno.test("formLike: what the job does not have is left to the server", () => {
  const bare = {
    ...JOB,
    title: "",
    labels: {},
    workingDirectory: "",
    timeoutMs: 0,
    limits: null,
    isolation: null,
    // As of a server that does not tell them.
    umask: 0,
    stopSignal: "",
    gracePeriodMs: undefined,
  };
  const { texts } = formLike({ ...bare, user: "nobody" } as unknown as Job, "nobody");
  assert.deepEqual(Object.values(texts).filter(Boolean), []);
  assert.equal(asked(bare as unknown as Job).limits, undefined);
  const ofOwner = formLike({ ...JOB, user: "200017" } as Job, "nobody");
  assert.equal(ofOwner.texts.user, undefined, "a uid that the server chose");
});

Deno.test("formLike: asks for the limits that were asked for, not for what the server made of them", () => {
  const askedLimits = { memoryBytes: 1024 ** 3 };
  const { texts } = formLike({ ...JOB, askedLimits } as Job, undefined);
  assert.deepEqual([texts.memory, texts.cpu, texts.diskIo, texts.processes], ["1G", "", "", ""]);
});

Deno.test("formLike: limits are written exactly, in the largest unit", () => {
  const { texts } = formLike(JOB, undefined);
  assert.deepEqual([texts.cpu, texts.memory, texts.diskIo, texts.timeout], [
    "29%",
    "268435457",
    "read=10MB/s write=4097B/s",
    "90m",
  ]);
});

Deno.test("formLike: named disks come after the rates for each disk", () => {
  const disks = [{ disk: "/dev/sdb", writeBytesPerSecond: 5_000_000, readOperationsPerSecond: 7 }];
  const diskIoOf = (askedLimits: object) =>
    formLike({ ...JOB, askedLimits } as Job, undefined).texts.diskIo;
  assert.equal(
    diskIoOf({ readBytesPerSecond: 4097, disks }),
    "read=4097B/s; /dev/sdb write=5MB/s read-iops=7",
  );
  assert.equal(diskIoOf({ disks }), "/dev/sdb write=5MB/s read-iops=7");
  const again = asked({ ...JOB, askedLimits: { readBytesPerSecond: 4097, disks } } as Job);
  assert.deepEqual(again.limits, { readBytesPerSecond: 4097, disks });
});

Deno.test("form: each field stands in one place, where a host or a cluster takes it", () => {
  const shown = (server: { engine: string; jobsWait: boolean }) =>
    PLACES.flatMap(fieldsIn).map(({ name }) => name).filter((name) => isTaken(name, server));
  const [host, cluster, older] = [
    shown({ engine: "", jobsWait: true }),
    shown({ engine: "slurm", jobsWait: true }),
    shown({ engine: "", jobsWait: false }),
  ];
  assert.deepEqual([...new Set([...host, ...cluster])].sort(), [...TEXT_FIELDS].sort());
  assert.deepEqual(["queue", "gpus", "after"].map((name) => host.includes(name as TextField)), [
    true,
    false,
    true,
  ]);
  assert(!cluster.includes("queue") && cluster.includes("begin"));
  assert(!older.includes("queue") && !older.includes("begin"));
});

Deno.test("toRequest: what a cluster's queue is asked for, by the rules of the command line", () => {
  const queue = {
    partition: " gpu ",
    account: "physics",
    qos: "high",
    cpus: "4",
    gpus: "a100:2",
    constraint: "ssd&ib",
    begin: "2026-05-04T14:30Z",
    after: "nightly, a3c1e8b4",
  };
  const form = (texts: object) =>
    toRequest(v.parse(START_FORM, { words: ["ls"], idempotencyKey: "k", ...texts }));
  const { partition, account, qos, cpus, gpus, constraint, beginAtMs, after } = form(queue);
  assert.deepEqual([partition, account, qos, cpus, gpus, constraint], [
    "gpu",
    "physics",
    "high",
    4,
    "a100:2",
    "ssd&ib",
  ]);
  assert.deepEqual([beginAtMs, after], [Date.UTC(2026, 4, 4, 14, 30), ["nightly", "a3c1e8b4"]]);
  for (const [name, text] of Object.entries({ cpus: "0", gpus: "x", begin: "soon" })) {
    assert.throws(() => form({ [name]: text }), /Cannot start the job: (?:cores|GPUs|begin): /);
  }
  assert.equal("partition" in form({}), false);
});
