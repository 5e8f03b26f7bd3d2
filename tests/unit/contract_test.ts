/** The code that is made of the contract at build time, held against the official loader. */
import { loadSync, type MethodDefinition } from "@grpc/proto-loader";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { join } from "node:path";
import protobuf from "protobufjs";
import { jobService } from "../../proto/contract.ts";
import { codecOf } from "../../tools/build/codec.ts";

const CONTRACT = join(import.meta.dirname ?? ".", "..", "..", "proto", "job_service.proto");

type Codec = MethodDefinition<object, object, object, object>;

const { root } = protobuf.parse(Deno.readTextFileSync(CONTRACT));
root.resolveAll();
const loaded = loadSync(CONTRACT, { longs: Number, enums: String, defaults: true })["JobService"];
const official = loaded as unknown as Record<string, Codec>;
const ours = jobService as unknown as Record<string, Codec>;

/** Every value that a field of a type should be tried with. */
function samplesOf(field: protobuf.Field): unknown[] {
  field.resolve();
  const single = (() => {
    switch (field.type) {
      case "string":
        return ["", "a", "ä€😀\n", "x".repeat(300)];
      case "bytes":
        return [Buffer.alloc(0), Buffer.from([0, 255, 1])];
      case "bool":
        return [false, true];
      case "int32":
        return [0, 1, -1, 2 ** 31 - 1, -(2 ** 31)];
      case "uint32":
        return [0, 1, 128, 2 ** 32 - 1];
      case "int64":
      case "uint64":
        return [0, 1, 2 ** 32, Number.MAX_SAFE_INTEGER];
      case "double":
        return [0, 0.5, -1e300];
    }
    if (field.resolvedType instanceof protobuf.Enum) return Object.keys(field.resolvedType.values);
    if (field.resolvedType instanceof protobuf.Type) return [...messagesOf(field.resolvedType)];
    throw new Error(`no samples for ${field.type}`);
  })();
  if (field.map) return [{}, { key: single.at(-1), "": single[0] }];
  return field.repeated ? [[], single, [single.at(-1)]] : single;
}

/** Messages in which every field has each of its samples, alone and among the others. */
function* messagesOf(type: protobuf.Type): Generator<object> {
  yield {};
  const samples = type.fieldsArray.map((field) => ({ name: field.name, of: samplesOf(field) }));
  const count = Math.max(0, ...samples.map(({ of }) => of.length));
  for (let round = 0; round < count; round++) {
    yield Object.fromEntries(samples.map(({ name, of }) => [name, of[round % of.length]]));
  }
  for (const { name, of } of samples) {
    for (const value of of) yield { [name]: value };
  }
}

for (const method of root.lookupService("JobService").methodsArray) {
  const [mine, theirs] = [ours[method.name], official[method.name]];
  Deno.test(`contract: ${method.name} is written and read as by the official loader`, () => {
    assert(mine && theirs);
    for (const key of ["path", "requestStream", "responseStream", "originalName"] as const) {
      assert.equal(mine[key], theirs[key]);
    }
    for (const way of ["request", "response"] as const) {
      const type = root.lookupType(way === "request" ? method.requestType : method.responseType);
      for (const message of messagesOf(type)) {
        const bytes = theirs[`${way}Serialize`](message);
        assert.deepEqual(mine[`${way}Serialize`](message), bytes);
        assert.deepEqual(mine[`${way}Deserialize`](bytes), theirs[`${way}Deserialize`](bytes));
      }
    }
  });
}

Deno.test("contract: bytes that are no message are refused as by the official loader", () => {
  let refusals = 0;
  for (const [name, theirs] of Object.entries(official)) {
    for (
      const text of ["ff", "0a", "0aff", "0a05414243", "12ffffffffff", "0b0c", "80", "1f", "08"]
    ) {
      const bytes = Buffer.from(text, "hex");
      for (const way of ["requestDeserialize", "responseDeserialize"] as const) {
        const [mine, other] = [ours[name], theirs].map((codec) => {
          try {
            return { message: codec?.[way](bytes) };
          } catch (error) {
            return { error: (error as Error).message };
          }
        });
        assert.deepEqual(mine, other, `${name} ${way} of ${text}`);
        if (mine !== undefined && "error" in mine) refusals++;
      }
    }
  }
  assert(refusals > 50, `${refusals}`);
});

Deno.test("contract: fields that are not known are skipped", () => {
  // Field 999, of each wire type.
  for (const text of ["b83e01", "b93e0000000000000000", "ba3e0141", "bd3e00000000"]) {
    const bytes = Buffer.concat([Buffer.from(text, "hex"), Buffer.from("0a0141", "hex")]);
    assert.deepEqual(ours["Query"]?.requestDeserialize(bytes), { jobID: "A" });
  }
});

Deno.test("codecOf: what it does not know is an error, and nothing left out", () => {
  for (const text of ["package a; message M {}", "extend M { int32 x = 1; } message M {}"]) {
    const other = protobuf.parse(`syntax = "proto3"; ${text}`).root;
    assert.throws(() => codecOf(other), /something else/);
  }
});
