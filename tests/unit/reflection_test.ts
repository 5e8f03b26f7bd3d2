/** The reflection service over a fake call: who is answered, how much may be asked, and how it ends. */
import { type ServiceDefinition, status } from "@grpc/grpc-js";
import { ReflectionV1Implementation } from "@grpc/reflection/build/src/implementations/reflection-v1.js";
import { strict as assert } from "node:assert";
import { Buffer } from "node:buffer";
import { parseRules } from "../../lib/access/rules.ts";
import { JobError } from "../../lib/errors.ts";
import { ReflectionService } from "../../lib/grpc/reflection.ts";
import { ALICE, FakeCall, fakeContext, FakeStream } from "../support/fake_http2.ts";
import { until } from "../support/wait.ts";

/** What HTTP/2 calls ENHANCE_YOUR_CALM (RFC 9113, 7). */
const ENHANCE_YOUR_CALM = 0x0b;

/** The method's messages on the wire, as the library itself reads and writes them. */
const wire = (() => {
  let definition: ServiceDefinition = {};
  new ReflectionV1Implementation({}).addToServer({
    addService: (service: ServiceDefinition) => void (definition = service),
  });
  const method = definition["ServerReflectionInfo"];
  if (method === undefined) throw new Error("the library has no such method");
  return method;
})();

/** What a caller was sent. */
// deno-lint-ignore no-explicit-any -- an answer has one field of many
const answersOf = ({ messages }: FakeCall<undefined>): any[] =>
  messages.map((bytes) => wire.responseDeserialize(bytes as Buffer));

type Question = { listServices?: string; fileContainingSymbol?: string };

/** A call that asks what a test gives it, and then ends, or waits. */
class AskingCall extends FakeCall<undefined> {
  readonly #questions: readonly (Question | Buffer)[];
  readonly #isOpen: boolean;

  constructor(
    questions: readonly (Question | Buffer)[],
    { isOpen, context, stream }: {
      isOpen: boolean;
      context: ReturnType<typeof fakeContext>["context"];
      stream: FakeStream;
    },
  ) {
    super(undefined, context, stream);
    this.#questions = questions;
    this.#isOpen = isOpen;
  }

  async *iterator(): AsyncGenerator<Buffer> {
    for (const question of this.#questions) {
      yield Buffer.isBuffer(question) ? question : wire.requestSerialize(question);
    }
    if (this.#isOpen) await new Promise((resolve) => this.once("close", resolve));
  }
}

class ResettableStream extends FakeStream {
  resetCode: number | undefined;

  override close(code: number): void {
    this.resetCode = code;
  }
}

/** Begins a call of the service. */
function ask(
  questions: readonly (Question | Buffer)[],
  { rules = [] as readonly unknown[], isOpen = false, begun = new AbortController() } = {},
  { context, access } = fakeContext(ALICE, "ServerReflection/ServerReflectionInfo"),
) {
  const parsed = parseRules(JSON.stringify({ rules }), "root");
  const file = { current: () => Promise.resolve(parsed) };
  const service = new ReflectionService(file, { begun: begun.signal });
  const handlers: ((call: unknown) => Promise<void>)[] = [];
  service.addTo({
    addService: (_definition: unknown, methods: Record<string, typeof handlers[number]>) =>
      void handlers.push(...Object.values(methods)),
  } as never);
  const stream = new ResettableStream();
  const call = new AskingCall(questions, { isOpen, context, stream });
  const done = handlers[0]?.(call);
  return { call, stream, done, begun, access, versions: handlers.length };
}

Deno.test("reflection: both versions list every service, by the names that clients use", async () => {
  const { call, done, versions } = ask([{ listServices: "*" }]);
  await done;
  assert.equal(versions, 2);
  const { service } = answersOf(call)[0].listServicesResponse;
  assert.deepEqual(service.map(({ name }: { name: string }) => name).sort(), [
    "JobService",
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
  ]);
  assert(call.isEnded);
});

Deno.test("reflection: a symbol without a package is found by its plain name, an unknown one is not", async () => {
  const { call, done } = ask([
    { fileContainingSymbol: "JobService" },
    { fileContainingSymbol: "Unknown" },
  ]);
  await done;
  const [found, unknown] = answersOf(call);
  assert(found.fileDescriptorResponse && !found.errorResponse);
  assert(unknown.errorResponse && !unknown.fileDescriptorResponse);
});

Deno.test("reflection: a question that is no message ends the call", async () => {
  const { call, done } = ask([{ listServices: "*" }, Buffer.from([0x0a, 0xff])]);
  await done;
  assert.equal(call.messages.length, 1);
  assert.deepEqual(call.errors.map(({ code }) => code), [status.INVALID_ARGUMENT]);
});

Deno.test("reflection: a caller that the rule file does not allow gets no answer", async () => {
  const rules = [{ name: "alice", methods: ["Query"] }];
  const { call, done } = ask([{ listServices: "*" }], { rules });
  await done;
  assert.deepEqual(call.messages, []);
  assert.deepEqual(call.errors.map(({ code }) => code), [status.PERMISSION_DENIED]);
});

Deno.test("reflection: a shutdown and lost access end an open call, once", async () => {
  for (const reason of ["shutdown", "access"] as const) {
    const { call, begun, access } = ask([{ listServices: "*" }], { isOpen: true });
    await until("the answer", () => call.messages.length >= 1);
    if (reason === "shutdown") begun.abort();
    else access.abort(new JobError("unauthenticated", "revoked"));
    call.emit("close");
    const expected = reason === "shutdown" ? status.UNAVAILABLE : status.UNAUTHENTICATED;
    assert.deepEqual(call.errors.map(({ code }) => code), [expected]);
    assert(!call.isEnded);
  }
});

Deno.test("reflection: a cancelled call ends without a status", async () => {
  const { call, done } = ask([{ listServices: "*" }], { isOpen: true });
  await until("the answer", () => call.messages.length >= 1);
  call.emit("cancelled");
  call.emit("close");
  await done;
  assert.deepEqual(call.errors, []);
  assert(!call.isEnded);
});

Deno.test("reflection: a call that asks more than 16 KiB is reset, and one that asks less is not", () => {
  const { stream, call } = ask([], { isOpen: true });
  stream.emit("data", new Uint8Array(16 * 1024));
  assert.equal(stream.resetCode, undefined);
  stream.emit("data", new Uint8Array(1));
  assert.equal(stream.resetCode, ENHANCE_YOUR_CALM);
  call.emit("close");
});
