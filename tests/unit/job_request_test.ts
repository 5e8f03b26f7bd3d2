import { strict as assert } from "node:assert";
import { JobError } from "../../lib/errors.ts";
import { checkCommand, checkIdempotencyKey, requireSameRequest } from "../../lib/model/request.ts";
import { recordOf, requestOf } from "../support/job_host.ts";

const KIB = 1024;

function refusal(check: () => void): string {
  try {
    check();
    return "";
  } catch (error) {
    assert(error instanceof JobError && error.kind === "invalid");
    return error.message;
  }
}

Deno.test("checkCommand: whatever Linux takes as a command is accepted", () => {
  for (
    const [name, args] of [
      ["ls", []],
      ["/bin/ls", ["", " ", "\n", "ä", "-rf"]],
      ["ls", ["x".repeat(128 * KIB - 1)]],
      ["ls", Array.from({ length: 8 }, () => "x".repeat(128 * KIB - 2))],
    ] as const
  ) assert.equal(refusal(() => checkCommand({ name, args })), "");
});

Deno.test("checkCommand: what Linux cannot take is refused with the bound", () => {
  const long = "x".repeat(128 * KIB);
  const cases: [string, string[], RegExp][] = [
    ["", [], /program's name is empty/],
    ["", ["x"], /program's name is empty/],
    ["a\0b", [], /contains a NUL byte/],
    ["ls", ["x", "\0"], /contains a NUL byte/],
    ["ls", [long], /an argument is above 128 KiB/],
    [long, [], /an argument is above 128 KiB/],
    ["ls", ["ä".repeat(64 * KIB)], /an argument is above 128 KiB/],
    ["ls", Array.from({ length: 8 }, () => "x".repeat(128 * KIB - 1)), /above 1 MiB/],
  ];
  for (const [name, args, message] of cases) {
    assert.match(refusal(() => checkCommand({ name, args })), message);
  }
});

Deno.test("checkIdempotencyKey: up to 128 characters", () => {
  for (const key of ["", "k", "x".repeat(128)]) checkIdempotencyKey(key);
  assert.match(refusal(() => checkIdempotencyKey("x".repeat(129))), /above 128 characters/);
});

Deno.test("requireSameRequest: what an earlier server did not record is not compared", () => {
  const state = { kind: "starting" } as const;
  const { settings: _, ...record } = recordOf(state);
  requireSameRequest(record, requestOf({ umask: 0 }, { limits: { cpuCores: 1 } }));
  requireSameRequest(recordOf(state), requestOf({}, { limits: { cpuCores: 1 } }));
  assert.throws(() => requireSameRequest(recordOf(state), requestOf({ umask: 0 })), JobError);
  assert.throws(
    () => requireSameRequest(record, requestOf({}, { command: { name: "false", args: [] } })),
    JobError,
  );
  assert.throws(
    () =>
      requireSameRequest(recordOf(state, { askedLimits: {} }), {
        ...requestOf(),
        limits: { cpuCores: 1 },
      }),
    JobError,
  );
});
