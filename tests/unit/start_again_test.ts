/**
 * A job that is started again asks for what the first one did: by `rerun` and by the page's form. Every field
 * of a start is tried, so that a new one cannot be forgotten.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import protobuf from "protobufjs";
import * as v from "valibot";
import { specLike } from "../../client/jobs/rerun.ts";
import { toStartRequest } from "../../client/jobs/start.ts";
import { formLike } from "../../client/ui/page/again.ts";
import { START_FORM, toRequest } from "../../client/ui/start_form.ts";
import { toJobRequest, toQueryResponse } from "../../lib/grpc/translate.ts";
import type { JobRecord } from "../../lib/model/record.ts";
import {
  jobService,
  type QueryResponse,
  type QueryResponse__Output,
  type StartRequest,
  type StartRequest__Output,
} from "../../proto/contract.ts";

/** What another start has of its own, or what is kept nowhere. */
const NOT_REPEATED = ["idempotencyKey", "env", "stdin", "openStdin", "beginAtMs", "after"];

/** A start that asks for something else than the default in every field that is repeated. */
const START: StartRequest = {
  name: "/bin/sh",
  args: ["-c", "echo 'a'"],
  title: "nightly",
  labels: { team: "billing", note: "a b=c" },
  workingDirectory: "/srv",
  user: "worker",
  umask: 0o27,
  timeoutMs: 5_400_000,
  stopSignal: "INT",
  gracePeriodMs: 2500,
  isolation: { privateTmp: true, noNetwork: true, ownProcesses: true },
  limits: {
    cpuCores: 0.25,
    memoryBytes: 256 * 1024 ** 2 + 1,
    memoryHighBytes: 200 * 1024 ** 2,
    readBytesPerSecond: 10_000_000,
    writeBytesPerSecond: 4097,
    readOperationsPerSecond: 100,
    writeOperationsPerSecond: 50,
    processes: 7,
    allowedCpus: "0,2-3",
    disks: [{ disk: "8:16", readBytesPerSecond: 5_000_000, writeOperationsPerSecond: 9 }],
  },
  openFiles: 4096,
  separateStderr: true,
  queue: "builds",
  partition: "night",
  account: "physics",
  qos: "high",
  nice: 5,
  cpus: 4,
  gpus: "a100:2",
  constraint: "ssd&ib",
};

/** The fields of a message of the contract. */
function fieldsOf(name: string): string[] {
  const path = join(import.meta.dirname ?? ".", "..", "..", "proto", "job_service.proto");
  const { root } = protobuf.parse(Deno.readTextFileSync(path));
  return root.lookupType(name).fieldsArray.map(({ name }) => name).sort();
}

/** The start as it comes over the wire. */
function received(start: StartRequest): StartRequest__Output {
  const { requestSerialize, requestDeserialize } = jobService.Start;
  return requestDeserialize(requestSerialize(start));
}

/** What the server tells of a job that was started so. */
function told(start: StartRequest): QueryResponse__Output {
  const { command, settings, limits } = toJobRequest(received(start), "nobody");
  const answer: QueryResponse = toQueryResponse({
    record: {
      id: "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219",
      command,
      settings,
      limits: { ...limits, processes: 3 },
      askedLimits: limits,
      owner: "alice",
      state: { kind: "pending" },
    } as unknown as JobRecord,
    usage: {},
    outputBytes: 0,
    inputBytes: 0,
    stderrBytes: 0,
    engine: undefined,
    wait: undefined,
  });
  const { responseSerialize, responseDeserialize } = jobService.Query;
  return responseDeserialize(responseSerialize(answer));
}

const AGAIN: readonly (readonly [string, (job: QueryResponse__Output) => StartRequest])[] = [
  [
    "rerun",
    (job) =>
      toStartRequest(
        [job.name, ...job.args],
        specLike(job, { idempotencyKey: "k" }, {
          name: "nightly",
          defaultUser: "nobody",
          withoutSecrets: false,
        }),
      ),
  ],
  ["the page's form", (job) => {
    const { words, texts, switches } = formLike(job, "nobody");
    return toRequest(v.parse(START_FORM, { words, idempotencyKey: "k", ...texts, ...switches }));
  }],
];

Deno.test("start again: the test's start has every field of the contract", () => {
  assert.deepEqual([...Object.keys(START), ...NOT_REPEATED].sort(), fieldsOf("StartRequest"));
  assert.deepEqual(Object.keys(START.limits ?? {}).sort(), fieldsOf("JobLimits"));
  assert.deepEqual(Object.keys(START.isolation ?? {}).sort(), fieldsOf("Isolation"));
});

for (const [name, again] of AGAIN) {
  Deno.test(`start again by ${name}: asks for the same in every field`, () => {
    const asked = received({ ...again(told(START)), idempotencyKey: "" });
    assert.deepEqual(asked, received(START));
  });

  Deno.test(`start again by ${name}: what was not asked for is not asked for now`, () => {
    const bare: StartRequest = { name: "ls", args: [] };
    const { workingDirectory, stopSignal, umask, ...asked } = received({
      ...again(told(bare)),
      idempotencyKey: "",
    });
    const { workingDirectory: _, stopSignal: __, umask: ___, ...first } = received(bare);
    assert.deepEqual(
      { ...asked, limits: asked.limits ?? null, isolation: null },
      { ...first, limits: asked.limits ?? null, isolation: null },
    );
    // A list has no presence: an empty one says nothing.
    assert.deepEqual(asked.limits ?? { disks: [] }, { disks: [] });
    // Of these the server tells what it has made of nothing.
    assert.deepEqual([workingDirectory, stopSignal, umask ?? 0o22], ["/", "TERM", 0o22]);
  });
}
