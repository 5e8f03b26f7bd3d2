/** Server reflection with gRPC's own contract: what it tells, to whom, and at what pace. */
import { type ClientDuplexStream, type ServiceError, status } from "@grpc/grpc-js";
import { loadSync, type ServiceDefinition } from "@grpc/proto-loader";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";
import { assertStatus, type TestClient } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const ROOT = join(import.meta.dirname ?? ".", "..", "..");

const VERSIONS = ["v1", "v1alpha"] as const;

/** What a server may take to end when nothing but such streams holds it up. */
const PROMPT_MS = 2500;

/** So many looks in a row, 10 ms apart, at which the server has used no CPU time. */
const IDLE_LOOKS = 30;

interface Answer {
  listServicesResponse?: { service: { name: string }[] };
  fileDescriptorResponse?: { fileDescriptorProto: Uint8Array[] };
  errorResponse?: { errorCode: number; errorMessage: string };
}

type Call = ClientDuplexStream<object, Answer>;

const { FileDescriptorProto } = descriptor as unknown as { FileDescriptorProto: protobuf.Type };

function open(client: TestClient, version: typeof VERSIONS[number]): Call {
  const folder = join(ROOT, "node_modules/@grpc/reflection/build/proto/grpc/reflection");
  const loaded = loadSync(join(folder, version, "reflection.proto"), { longs: Number });
  const service = loaded[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
  const method = service["ServerReflectionInfo"];
  assert(method);
  return client.raw.makeBidiStreamRequest(
    method.path,
    method.requestSerialize,
    (bytes) => method.responseDeserialize(bytes) as Answer,
  );
}

/** Asks questions in one call, and takes all answers. */
async function ask(
  client: TestClient,
  version: typeof VERSIONS[number],
  questions: readonly object[],
): Promise<Answer[]> {
  const call = open(client, version);
  for (const question of questions) call.write(question);
  call.end();
  return await Array.fromAsync(call as AsyncIterable<Answer>);
}

const LIST = { listServices: "*" };

for (const version of VERSIONS) {
  Deno.test(`reflection: ${version} lists the services and gives the file of each name`, async () => {
    await using server = await TestServer.start();
    const names = [
      "JobService",
      "JobService.Start",
      "StartRequest",
      "StartRequest.EnvEntry",
      "JobState",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ];
    const questions = names.map((name) => ({ fileContainingSymbol: name }));
    const [services, ...files] = await ask(server.client("bob"), version, [LIST, ...questions]);
    assert.deepEqual(services?.listServicesResponse?.service.map(({ name }) => name).sort(), [
      "JobService",
      "grpc.health.v1.Health",
      "grpc.reflection.v1.ServerReflection",
      "grpc.reflection.v1alpha.ServerReflection",
    ]);
    assert.equal(files.length, names.length);
    for (const [index, { fileDescriptorResponse, errorResponse }] of files.entries()) {
      assert(fileDescriptorResponse, `${names[index]}: ${errorResponse?.errorMessage}`);
      assert.equal(fileDescriptorResponse.fileDescriptorProto.length, 1);
    }
  });
}

Deno.test("reflection: the contract's file says all that the contract says", async () => {
  await using server = await TestServer.start();
  const [answer] = await ask(server.client("bob"), "v1", [{ fileByFilename: "job_service.proto" }]);
  const [bytes] = answer?.fileDescriptorResponse?.fileDescriptorProto ?? [];
  assert(bytes);
  const file = FileDescriptorProto.toObject(FileDescriptorProto.decode(bytes)) as {
    messageType: { name: string; field?: { name: string; number: number }[] }[];
    service: { name: string; method: { name: string }[] }[];
  };
  const text = await Deno.readTextFile(join(ROOT, "proto", "job_service.proto"));
  const { root } = protobuf.parse(text, { keepCase: true });
  const types = root.nestedArray.filter((entry) => entry instanceof protobuf.Type);
  assert.deepEqual(
    file.messageType.map(({ name, field = [] }) => [name, field.map((f) => [f.name, f.number])]),
    types.map(({ name, fieldsArray }) => [name, fieldsArray.map((f) => [f.name, f.id])]),
  );
  assert.deepEqual(
    file.service.map(({ method }) => method.map(({ name }) => name)),
    [root.lookupService("JobService").methodsArray.map(({ name }) => name)],
  );
});

Deno.test("reflection: what is not there is an error of the answer, not of the call", async () => {
  await using server = await TestServer.start();
  const questions = [
    { fileContainingSymbol: "Nope" },
    { fileContainingSymbol: "jobservice" },
    { fileContainingSymbol: "x".repeat(10_000) },
    { fileByFilename: "/etc/passwd" },
    { fileByFilename: "../../proto/job_service.proto" },
    { fileContainingExtension: { containingType: "StartRequest", extensionNumber: 1 } },
    { allExtensionNumbersOfType: "StartRequest" },
  ];
  const answers = await ask(server.client("bob"), "v1", [...questions, LIST]);
  for (const [index] of questions.entries()) {
    assert.equal(answers[index]?.errorResponse?.errorCode, status.NOT_FOUND, `question ${index}`);
  }
  assert.equal(answers.at(-1)?.listServicesResponse?.service.length, 4);
  const [empty] = await ask(server.client("bob"), "v1", [{}]);
  assert.equal(empty?.errorResponse?.errorCode, status.UNIMPLEMENTED);
});

Deno.test("reflection: every answer comes, in order, also where they are many", async () => {
  await using server = await TestServer.start();
  const questions = Array.from(
    { length: 500 },
    (_, index) => ({ fileContainingSymbol: index % 2 === 0 ? "JobService" : `Nope${index}` }),
  );
  const answers = await ask(server.client("bob"), "v1", questions);
  assert.equal(answers.length, questions.length);
  for (const [index, { errorResponse }] of answers.entries()) {
    if (index % 2 === 0) assert.equal(errorResponse ?? undefined, undefined);
    else assert.match(errorResponse?.errorMessage ?? "", new RegExp(`: Nope${index}$`));
  }
});

/** Waits until the server has had nothing to do for a while. */
async function untilIdle(server: TestServer): Promise<void> {
  let [ticks, looks] = ["", 0];
  await until("the server to be idle", async () => {
    const fields = (await Deno.readTextFile(`/proc/${server.pid}/stat`)).split(" ");
    const now = `${fields[13]} ${fields[14]}`;
    looks = now === ticks ? looks + 1 : 0;
    ticks = now;
    return looks >= IDLE_LOOKS;
  });
}

/** What a call that asks too much may ask: many small questions, or few large ones. */
const EXCESSES: readonly (readonly [what: string, count: number, question: object])[] = [
  ["forty thousand questions", 40_000, { fileContainingSymbol: "JobService" }],
  ["a hundred megabytes in long questions", 30, { fileContainingSymbol: "x".repeat(3_500_000) }],
];

for (const [what, count, question] of EXCESSES) {
  Deno.test(`reflection: ${what}, answers unread, are refused and cost no memory`, async () => {
    await using server = await TestServer.start();
    // What a first question costs is there before it is measured.
    await ask(server.client("bob"), "v1", [LIST]);
    const before = (await server.resources()).residentBytes;
    const call = open(server.client("bob"), "v1");
    const refused = new Promise<ServiceError>((resolve) => call.on("error", resolve));
    for (let index = 0; index < count; index++) call.write(question);
    await untilIdle(server);
    const grown = (await server.resources()).residentBytes - before;
    assert(grown < 50e6, `${Math.round(grown / 1e6)} MB`);
    call.resume();
    const { code, details } = await refused;
    // One that goes on writing to what was reset may find its connection closed before it hears why.
    if (/EPIPE|ECONNRESET/.test(details)) {
      assert.equal(code, status.INTERNAL, details);
    } else {
      assert.equal(code, status.RESOURCE_EXHAUSTED, details);
      // The words for HTTP/2's code; a client that finds an answer too long has others.
      assert.match(details, /^Bandwidth exhausted/);
    }
    await ask(server.client("alice"), "v1", [LIST]);
  });
}

Deno.test("reflection: open streams count among a user's calls, and end with the server", async () => {
  await using server = await TestServer.start({ flags: ["--max-open-calls", "2"] });
  const client = server.client("bob");
  const calls = VERSIONS.map((version) => open(client, version));
  const seen = [0, 0];
  const ends = calls.map((call, index) => {
    call.on("data", () => seen[index] = (seen[index] ?? 0) + 1);
    call.write(LIST);
    return new Promise<{ code: number }>((resolve) => call.on("error", resolve as () => void));
  });
  await until("both to be answered", () => seen.every((count) => count === 1));
  await assertStatus(ask(client, "v1", [LIST]), status.RESOURCE_EXHAUSTED, /--max-open-calls/);
  const beginMs = performance.now();
  assert.equal((await server.end()).code, 0);
  assert(performance.now() - beginMs < PROMPT_MS, "the streams were waited for");
  for (const end of ends) assert.equal((await end).code, status.UNAVAILABLE);
});

Deno.test("reflection: a rule may take it away, and each call is in the audit trail", async () => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-reflection-" });
  try {
    const rules = join(folder, "rules.json");
    await Deno.writeTextFile(
      rules,
      JSON.stringify({ rules: [{ role: "reader", methods: ["Query"] }] }),
    );
    await using server = await TestServer.start({ flags: ["--rules", rules] });
    for (const version of VERSIONS) {
      await assertStatus(
        ask(server.client("bob"), version, [LIST]),
        status.PERMISSION_DENIED,
        /rule file/,
      );
      await ask(server.client("alice"), version, [LIST]);
    }
    const reflected = await until("a line of each call", async () => {
      const text = await Deno.readTextFile(join(server.logDir, "audit", "audit.jsonl"));
      const lines = text.split("\n").slice(0, -1).map((line) => JSON.parse(line));
      const found = lines.filter(({ method }) => String(method).includes("Reflection"));
      return found.length >= 2 * VERSIONS.length && found;
    });
    assert.deepEqual(reflected.map(({ who, code }) => `${who} ${code}`).sort(), [
      "alice OK",
      "alice OK",
      "bob PERMISSION_DENIED",
      "bob PERMISSION_DENIED",
    ]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
