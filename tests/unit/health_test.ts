/** The health service over fake calls: its answers, its callers and its watchers. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import { HealthService } from "../../lib/grpc/health.ts";
import { ALICE, FakeCall, fakeContext } from "../support/fake_http2.ts";
import { turn } from "../support/settled.ts";

type Status = { code: number; details: string };

type Handler = (call: unknown, respond?: (error: Status | null, answer: unknown) => void) => void;

/** Calls of the service; requests are frozen, since no handler may change them. */
function place(rules: readonly unknown[] = []) {
  const begun = new AbortController();
  const parsed = parseRules(JSON.stringify({ rules }), "root");
  const file = { current: () => Promise.resolve(parsed) };
  const service = new HealthService(file, { begun: begun.signal });
  let methods: Record<string, Handler> = {};
  service.addTo({ addService: (_definition, handlers) => void (methods = handlers as never) });
  return {
    begun,
    service,
    /** Calls a method with one answer. */
    ask(
      method: "Check" | "List",
      request: object = {},
      { context } = fakeContext(ALICE, `Health/${method}`),
    ): Promise<Status & { answer: unknown }> {
      const call = new FakeCall(Object.freeze(request), context);
      return new Promise((resolve) =>
        methods[method]?.(
          call,
          (error, answer) => resolve({ ...error ?? { code: status.OK, details: "" }, answer }),
        )
      );
    },
    /** Begins a Watch, and gives it time for its first answer. */
    async watch(
      service: string,
      { context, access } = fakeContext(ALICE, "Health/Watch"),
      { cancelled = false } = {},
    ) {
      const call = new FakeCall(Object.freeze({ service }), context);
      methods["Watch"]?.(call);
      call.cancelled = cancelled;
      await turn();
      return { call, access };
    },
  };
}

Deno.test("health: the server and JobService are SERVING, until a shutdown begins", async () => {
  const { begun, ask } = place();
  for (const service of ["", "JobService"]) {
    assert.deepEqual((await ask("Check", { service })).answer, { status: "SERVING" });
  }
  assert.deepEqual((await ask("List")).answer, {
    statuses: { "": { status: "SERVING" }, JobService: { status: "SERVING" } },
  });
  begun.abort();
  assert.deepEqual((await ask("Check", { service: "" })).answer, { status: "NOT_SERVING" });
});

Deno.test("health: an unknown service is not found, and its name is cut in the answer", async () => {
  const { ask } = place();
  const { code, details } = await ask("Check", { service: "x".repeat(5000) });
  assert.equal(code, status.NOT_FOUND);
  assert(details.endsWith(`service ${"x".repeat(100)}`), details);
});

Deno.test("health: a method that the rule file does not allow is denied", async () => {
  const { ask, watch } = place([{ name: "alice", methods: ["Query"] }]);
  assert.equal((await ask("Check", { service: "" })).code, status.PERMISSION_DENIED);
  assert.equal((await ask("List")).code, status.PERMISSION_DENIED);
  const { call } = await watch("");
  assert.deepEqual(call.errors.map(({ code }) => code), [status.PERMISSION_DENIED]);
  assert.deepEqual(call.messages, []);
});

Deno.test("health: a caller that has lost access gets no state", async () => {
  const lost = fakeContext();
  lost.access.abort(new JobError("unauthenticated", "revoked"));
  const { ask, watch } = place();
  const { code, answer } = await ask("Check", { service: "" }, lost);
  assert.deepEqual([code, answer], [status.UNAUTHENTICATED, undefined]);
  const { call } = await watch("", lost);
  assert.deepEqual(call.messages, []);
  assert.deepEqual(call.errors.map(({ details }) => details), ["revoked"]);
});

Deno.test("health: a watcher sees the state now and the shutdown, and is ended after it", async () => {
  const { begun, watch } = place();
  const { call } = await watch("JobService");
  assert.deepEqual(call.messages, [{ status: "SERVING" }]);
  assert.deepEqual(call.errors, []);
  begun.abort();
  assert.deepEqual(call.messages, [{ status: "SERVING" }, { status: "NOT_SERVING" }]);
  assert.deepEqual(call.errors.map(({ code }) => code), [status.UNAVAILABLE]);
});

Deno.test("health: while no connections are accepted it is NOT_SERVING, and watchers are told", async () => {
  const { service, ask, watch, begun } = place();
  const { call } = await watch("JobService");
  service.setServing(false);
  for (const name of ["", "JobService"]) {
    assert.deepEqual((await ask("Check", { service: name })).answer, { status: "NOT_SERVING" });
  }
  service.setServing(true);
  assert.deepEqual((await ask("Check", { service: "" })).answer, { status: "SERVING" });
  assert.deepEqual(call.messages.map((message) => (message as { status: string }).status), [
    "SERVING",
    "NOT_SERVING",
    "SERVING",
  ]);
  assert.deepEqual(call.errors, []);
  begun.abort();
  service.setServing(true);
  assert.deepEqual((await ask("Check", { service: "" })).answer, { status: "NOT_SERVING" });
});

Deno.test("health: a watcher of an unknown service gets SERVICE_UNKNOWN, and no other state", async () => {
  const { begun, watch } = place();
  const { call } = await watch("Unknown");
  assert.deepEqual(call.messages, [{ status: "SERVICE_UNKNOWN" }]);
  begun.abort();
  assert.equal(call.messages.length, 1);
});

Deno.test("health: a watcher that has cancelled, or has lost access, is forgotten", async () => {
  const { begun, watch } = place();
  const cancelled = await watch("");
  cancelled.call.emit("cancelled");
  const revoked = await watch("");
  revoked.access.abort(new JobError("unauthenticated", "revoked"));
  assert.deepEqual(revoked.call.errors.map(({ details }) => details), ["revoked"]);
  begun.abort();
  for (const { call } of [cancelled, revoked]) {
    assert.deepEqual(call.messages, [{ status: "SERVING" }], "it is still watching");
  }
  assert.deepEqual(cancelled.call.errors, []);
});

Deno.test("health: a Watch that is cancelled while it is authorized begins none", async () => {
  const { begun, watch } = place();
  const { call } = await watch("", undefined, { cancelled: true });
  begun.abort();
  assert.deepEqual(call.messages, []);
});
