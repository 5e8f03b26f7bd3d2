/**
 * A client made from the seed's contract and nothing else drives the server. fixtures/seed.proto is
 * the contract's text, verbatim.
 */
import {
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync, type PackageDefinition } from "@grpc/proto-loader";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { createSecureContext } from "node:tls";
import protobuf from "protobufjs";
import { assertStatus } from "../support/client.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const SEED = join(import.meta.dirname ?? ".", "..", "fixtures", "seed.proto");

const OUR_CONTRACT = join(import.meta.dirname ?? ".", "..", "..", "proto", "job_service.proto");

/** The text does not say its syntax; fields without a label exist in proto3 alone. */
const SYNTAX = 'syntax = "proto3";\n';

const UNKNOWN_JOB = "00000000-0000-4000-8000-000000000000";

const JOB_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

/** What a server sends in pieces of; characters are made to lie across such borders. */
const CHUNK_BYTES = 64 * 1024;

/** The contract as @grpc/proto-loader understands it, with the loader's plainest options. */
async function loadSeed(): Promise<PackageDefinition> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-seed-" });
  try {
    const file = join(folder, "seed.proto");
    await Deno.writeTextFile(file, SYNTAX + await Deno.readTextFile(SEED));
    return loadSync(file, { keepCase: true, defaults: true });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

interface Status {
  pid: number;
  exitCode: number;
  exited: boolean;
}

/** The client that the seed's text makes: nothing in it knows of our own contract. */
class SeedClient implements Disposable {
  readonly #client: InstanceType<ServiceClientConstructor>;

  private constructor(client: InstanceType<ServiceClientConstructor>) {
    this.#client = client;
  }

  static async connect(server: TestServer, identity = "alice"): Promise<SeedClient> {
    const read = (name: string) => Deno.readTextFileSync(server.pki.file(name));
    const [ca, cert, key] = [read("ca.crt"), read(`${identity}.crt`), read(`${identity}.key`)];
    const context = createSecureContext({ ca, cert, key, minVersion: "TLSv1.3" });
    const { JobService } = loadPackageDefinition(await loadSeed());
    const Client = JobService as ServiceClientConstructor;
    const options = { "grpc.enable_http_proxy": 0, "grpc.use_local_subchannel_pool": 1 };
    const secure = credentials.createFromSecureContext(context);
    return new SeedClient(new Client(server.address, secure, options));
  }

  async start(name: string, ...args: string[]): Promise<string> {
    const response = await this.#call<{ jobID: string }>("Start", { name, args });
    assert.deepEqual(Object.keys(response), ["jobID"]);
    return response.jobID;
  }

  stop(jobID: string): Promise<object> {
    return this.#call("Stop", { jobID });
  }

  query(jobID: string): Promise<Status> {
    return this.#call("Query", { jobID });
  }

  stream(jobID: string): ClientReadableStream<{ output: string }> {
    return this.#method("Stream").call(this.#client, { jobID });
  }

  /** All that a job prints, to its end; what comes is told as it comes. */
  async text(jobID: string, onText: (text: string) => void = () => {}): Promise<string> {
    let text = "";
    for await (const message of this.stream(jobID)) {
      assert.deepEqual(Object.keys(message), ["output"]);
      text += (message as { output: string }).output;
      onText(text);
    }
    return text;
  }

  /** Waits until a job has printed something. */
  async untilPrinted(jobID: string): Promise<void> {
    for await (const _ of this.stream(jobID)) return;
    assert.fail("the job ended without printing");
  }

  async untilExited(jobID: string): Promise<Status> {
    return await until("the job to end", async () => {
      const answer = await this.query(jobID);
      return answer.exited && answer;
    });
  }

  [Symbol.dispose](): void {
    this.#client.close();
  }

  #call<T>(method: string, request: object): Promise<T> {
    return new Promise((resolve, reject) => {
      const answer = (error: ServiceError | null, response: T) =>
        error === null ? resolve(response) : reject(error);
      this.#method(method).call(this.#client, request, answer);
    });
  }

  // deno-lint-ignore ban-types -- a method that is made at run time from the contract's text
  #method(name: string): Function {
    const method = this.#client[name];
    assert(method, `the contract has no ${name}`);
    return method;
  }
}

Deno.test("seed contract: Start, Query, Stream and Stop do what it says", async () => {
  await using server = await TestServer.start();
  using client = await SeedClient.connect(server);
  const id = await client.start("/bin/sh", "-c", 'echo "$@"; exec sleep 600', "sh", "a b", "é");
  assert.match(id, JOB_ID);
  const running = await client.query(id);
  assert(running.pid > 1);
  assert.deepEqual(running, { pid: running.pid, exitCode: 0, exited: false });
  const output = client.text(id);
  await client.untilPrinted(id);
  assert.deepEqual(await client.stop(id), {});
  assert.deepEqual(await client.query(id), { pid: running.pid, exitCode: 143, exited: true });
  assert.equal(await output, "a b é\n");
});

Deno.test("seed contract: exit code and both outputs of a job that ended by itself", async () => {
  await using server = await TestServer.start();
  using client = await SeedClient.connect(server);
  const id = await client.start("sh", "-c", "echo out; echo err >&2; exit 7");
  const { pid, ...ended } = await client.untilExited(id);
  assert(pid > 1);
  assert.deepEqual(ended, { exitCode: 7, exited: true });
  assert.equal(await client.text(id), "out\nerr\n");
});

Deno.test("seed contract: what cannot be done is an error with a status", async () => {
  await using server = await TestServer.start();
  using client = await SeedClient.connect(server);
  await assertStatus(client.start(""), status.INVALID_ARGUMENT, /name is empty/);
  await assertStatus(client.start("/nonexistent/program"), status.INVALID_ARGUMENT, /program/);
  await assertStatus(client.query(UNKNOWN_JOB), status.NOT_FOUND, /No job/);
  await assertStatus(client.stop(UNKNOWN_JOB), status.NOT_FOUND, /No job/);
  await assertStatus(client.text(UNKNOWN_JOB), status.NOT_FOUND, /No job/);
  await assertStatus(client.query(""), status.NOT_FOUND, /No job/);
  const id = await client.start("true");
  await client.untilExited(id);
  await assertStatus(client.stop(id), status.FAILED_PRECONDITION, /already exited/);
});

Deno.test("seed contract: a reader may query and stream, and neither start nor stop", async () => {
  await using server = await TestServer.start();
  using writer = await SeedClient.connect(server);
  using reader = await SeedClient.connect(server, "bob");
  const id = await writer.start("sh", "-c", "echo ready; exec sleep 600");
  await assertStatus(reader.start("true"), status.PERMISSION_DENIED);
  await assertStatus(reader.stop(id), status.PERMISSION_DENIED);
  assert.equal((await reader.query(id)).exited, false);
  const text = reader.text(id);
  await writer.untilPrinted(id);
  await writer.stop(id);
  assert.equal(await text, "ready\n");
});

/** More than 200 KB of characters of one to four bytes; `shift` bytes move them over the borders. */
function longText(shift: number): string {
  const pattern = "1é日𝄞\n"; // 1 + 2 + 3 + 4 + 1 bytes
  return "x".repeat(shift) + pattern.repeat(Math.ceil(5 * CHUNK_BYTES / 11));
}

/** At how many of the borders a character lies across. */
function splitCharacters(bytes: Uint8Array): number {
  let count = 0;
  for (let border = CHUNK_BYTES; border < bytes.length; border += CHUNK_BYTES) {
    if (((bytes[border] ?? 0) & 0xc0) === 0x80) count++;
  }
  return count;
}

Deno.test("seed contract: text of many bytes a character arrives whole in a string", async () => {
  await using server = await TestServer.start();
  using client = await SeedClient.connect(server);
  let splits = 0;
  for (const shift of [0, 1, 2, 3]) {
    const text = longText(shift);
    const bytes = new TextEncoder().encode(text);
    assert(bytes.length > 200_000);
    splits += splitCharacters(bytes);
    const file = join(server.folder, `text-${shift}`);
    await Deno.writeFile(file, bytes);
    const id = await client.start("cat", file);
    assertSameText(await client.text(id), text);
    // And once more, now out of a file that is complete.
    await client.untilExited(id);
    assertSameText(await client.text(id), text);
  }
  assert(splits >= 8, `only ${splits} characters lie across a border`);
});

/** Compares without printing a third of a megabyte when it fails. */
function assertSameText(actual: string, expected: string): void {
  if (actual === expected) return;
  let at = 0;
  while (actual[at] === expected[at]) at++;
  const [got, wanted] = [actual, expected].map((text) => JSON.stringify(text.slice(at, at + 20)));
  assert.fail(`lengths ${actual.length}, ${expected.length}; at ${at}: ${got} for ${wanted}`);
}

Deno.test("seed contract: a character that is written in two halves arrives as one", async () => {
  await using server = await TestServer.start();
  using client = await SeedClient.connect(server);
  const gate = join(server.folder, "gate");
  const script = `printf 'a\\303'; until [ -e "$1" ]; do sleep 0.02; done; printf '\\251b'`;
  const id = await client.start("/bin/sh", "-c", script, "sh", gate);
  const seen: string[] = [];
  const text = await client.text(id, (sofar) => {
    seen.push(sofar);
    Deno.writeTextFileSync(gate, "");
  });
  assert.equal(text, "aéb");
  assert.deepEqual(seen[0], "a", "the half of a character is held back");
});

Deno.test("seed contract: half a character at the very end is not held back for ever", async () => {
  await using server = await TestServer.start();
  using client = await SeedClient.connect(server);
  const id = await client.start("printf", "end\\303");
  assert.equal(await client.text(id), "end\uFFFD");
});

Deno.test("seed contract: our contract has all of it, with the same names and numbers", async () => {
  const seed = protobuf.parse(SYNTAX + await Deno.readTextFile(SEED), { keepCase: true }).root;
  const ours = protobuf.parse(await Deno.readTextFile(OUR_CONTRACT)).root;
  let fields = 0;
  for (const message of seed.nestedArray.filter((entry) => entry instanceof protobuf.Type)) {
    for (const field of message.fieldsArray) {
      const our = ours.lookupType(message.name).fields[field.name];
      assert(our, `${message.name}.${field.name} is missing`);
      // On the wire `bytes` is the same as `string`, and a job's output may be any bytes.
      const type = message.name === "StreamResponse" ? "bytes" : field.type;
      assert.deepEqual([our.id, our.type, our.repeated], [field.id, type, field.repeated]);
      fields++;
    }
  }
  assert.equal(fields, 10);
  const [seedService, ourService] = [seed, ours].map((root) => root.lookupService("JobService"));
  const methods = seedService?.methodsArray ?? [];
  assert.deepEqual(methods.map(({ name }) => name), ["Start", "Stop", "Query", "Stream"]);
  for (const { name, requestType, responseType, responseStream } of methods) {
    const our = ourService?.methods[name];
    assert.equal(our?.requestType, requestType);
    assert.equal(our?.responseType, responseType);
    assert.equal(our?.responseStream === true, responseStream === true);
  }
});
