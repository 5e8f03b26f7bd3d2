/** The health service over fake calls: its answers, its callers and its watchers. */
import { status } from "@grpc/grpc-js";
import { service as wire } from "grpc-health-check";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import { HealthService } from "../../lib/grpc/health.ts";
import { ALICE, FakeCall, fakeContext } from "../support/fake_http2.ts";
import { turn } from "../support/settled.ts";
import { until } from "../support/wait.ts";

type Status = { code: number; details: string };

type Handler = (call: unknown, respond?: (error: Status | null, answer?: Buffer) => void) => void;

/** A request as it is on the wire. */
const encode = (method: string, request: object) => wire[method]?.requestSerialize(request);

/** A response from the wire. */
const decode = (method: string, bytes: unknown) =>
  bytes === undefined ? undefined : wire[method]?.responseDeserialize(bytes as Buffer);

/** What a watcher was sent. */
const statesOf = ({ messages }: FakeCall<unknown>) =>
  messages.map((bytes) => (decode("Watch", bytes) as { status: string }).status);

/** Calls of the service. */
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
      request: object | Buffer = {},
      { context } = fakeContext(ALICE, `Health/${method}`),
    ): Promise<Status & { answer: unknown }> {
      const bytes = Buffer.isBuffer(request) ? request : encode(method, request);
      const call = new FakeCall(bytes, context);
      return new Promise((resolve) =>
        methods[method]?.(
          call,
          (error, answer) =>
            resolve({
              ...error ?? { code: status.OK, details: "" },
              answer: decode(method, answer),
            }),
        )
      );
    },
    /** Begins a Watch, and waits for its first answer; one that is cancelled gets none. */
    async watch(
      service: string,
      { context, access } = fakeContext(ALICE, "Health/Watch"),
      { cancelled = false } = {},
    ) {
      const call = new FakeCall(encode("Watch", { service }), context);
      methods["Watch"]?.(call);
      call.cancelled = cancelled;
      if (!cancelled) {
        await until("an answer", () => call.messages.length + call.errors.length > 0);
      }
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

Deno.test("health: what was told before anybody has asked is what they hear", async () => {
  const { service, ask } = place();
  service.setServing(false);
  assert.deepEqual((await ask("Check", { service: "" })).answer, { status: "NOT_SERVING" });
});

Deno.test("health: a request that is no message is refused", async () => {
  const { ask } = place();
  const { code, details } = await ask("Check", Buffer.from([0x0a, 0xff]));
  assert.equal(code, status.INVALID_ARGUMENT);
  assert.match(details, /^Cannot read the request: /);
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
  assert.deepEqual(statesOf(call), ["SERVING"]);
  assert.deepEqual(call.errors, []);
  begun.abort();
  assert.deepEqual(statesOf(call), ["SERVING", "NOT_SERVING"]);
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
  assert.deepEqual(statesOf(call), ["SERVING", "NOT_SERVING", "SERVING"]);
  assert.deepEqual(call.errors, []);
  begun.abort();
  service.setServing(true);
  assert.deepEqual((await ask("Check", { service: "" })).answer, { status: "NOT_SERVING" });
});

Deno.test("health: a watcher of an unknown service gets SERVICE_UNKNOWN, and no other state", async () => {
  const { begun, watch } = place();
  const { call } = await watch("Unknown");
  assert.deepEqual(statesOf(call), ["SERVICE_UNKNOWN"]);
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
    assert.deepEqual(statesOf(call), ["SERVING"], "it is still watching");
  }
  assert.deepEqual(cancelled.call.errors, []);
});

Deno.test("health: a Watch that is cancelled while it is authorized begins none", async () => {
  const { begun, ask, watch } = place();
  const { call } = await watch("", undefined, { cancelled: true });
  await ask("List");
  await turn();
  begun.abort();
  assert.deepEqual(call.messages, []);
});
