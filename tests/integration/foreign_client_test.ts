/** Health and reflection as another language's client sees them: Debian's Python, on gRPC's C core. */
import { strict as assert } from "node:assert";
import { dirname, join } from "node:path";
import { testUnless } from "../support/skip.ts";
import { testPki } from "../support/pki.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";
import { CLIENT_EXTENSIONS, signCertificate } from "../support/openssl.ts";

const PYTHON = "/usr/bin/python3";

const PEER = join(import.meta.dirname ?? ".", "../support/foreign_peer.py");

/** gRPC's own contracts, as Debian has them: not those that the server was made from. */
const CONTRACTS = "/usr/share/grpc-proto/grpc";

/** What Python calls each contract's folder. */
const MODULES: Readonly<Record<string, string>> = {
  "health/v1/health.proto": "grpc_health/v1/health.proto",
  "reflection/v1/reflection.proto": "grpc_reflection/v1/reflection.proto",
  "reflection/v1alpha/reflection.proto": "grpc_reflection/v1alpha/reflection.proto",
};

/** Why there is no such client here, or undefined. */
async function whatIsMissing(): Promise<string | undefined> {
  const succeeds = (program: string, ...args: string[]) =>
    run(program, args).then(({ code }) => code === 0, () => false);
  if (!await succeeds(PYTHON, "-c", "import grpc, google.protobuf")) {
    return "python3-grpcio is not installed";
  }
  if (!await succeeds("protoc", "--version")) return "protobuf-compiler is not installed";
  const hasContracts = await Deno.stat(CONTRACTS).then(() => true, () => false);
  return hasContracts ? undefined : "grpc-proto is not installed";
}

/** A folder with what protoc makes of the contracts. */
async function makeModules(): Promise<{ folder: string } & AsyncDisposable> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-foreign-" });
  for (const [contract, module] of Object.entries(MODULES)) {
    await Deno.mkdir(join(folder, dirname(module)), { recursive: true });
    await Deno.copyFile(join(CONTRACTS, contract), join(folder, module));
  }
  const { code, stderr } = await run("protoc", [
    `--proto_path=${folder}`,
    `--python_out=${folder}`,
    ...Object.values(MODULES),
  ]);
  assert.equal(code, 0, stderr);
  return { folder, [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }) };
}

/** The command line of the client; an empty identity is none. */
function commandLine(server: TestServer, folder: string, identity: string): string[] {
  const pair = identity === ""
    ? ["", ""]
    : ["crt", "key"].map((kind) => server.pki.file(`${identity}.${kind}`));
  return [PEER, folder, server.address, server.pki.file("ca.crt"), ...pair];
}

/** What the client printed, line by line. */
async function ask(
  server: TestServer,
  { folder }: { folder: string },
  [identity, ...args]: readonly [identity: string, ...args: string[]],
): Promise<unknown[]> {
  const { code, stdout, stderr } = await run(PYTHON, [
    ...commandLine(server, folder, identity),
    ...args,
  ]);
  assert.equal(code, 0, stderr);
  return stdout.trim().split("\n").map((line) => JSON.parse(line));
}

const MISSING = await whatIsMissing();

testUnless(MISSING, {
  name: "foreign client: checks the health, and is refused what its certificate does not allow",
  async fn() {
    await using modules = await makeModules();
    await signCertificate(await testPki(), "roleless", { extensions: CLIENT_EXTENSIONS });
    await using server = await TestServer.start();
    for (const service of ["", "JobService"]) {
      assert.deepEqual(await ask(server, modules, ["bob", "check", service]), ["SERVING"]);
    }
    const outcomes = { bob: "NOT_FOUND", roleless: "PERMISSION_DENIED", "": "UNAVAILABLE" };
    for (const [identity, expected] of Object.entries(outcomes)) {
      const [refused] = await ask(server, modules, [identity, "check", "x"]);
      assert.equal((refused as { code: string }).code, expected, identity);
    }
    for (const identity of ["roleless", ""]) {
      const [refused] = await ask(server, modules, [identity, "services", "v1"]);
      assert.match((refused as { code: string }).code, /PERMISSION_DENIED|UNAVAILABLE/);
    }
  },
});

testUnless(MISSING, {
  name: "foreign client: who watches hears of the server's end",
  async fn() {
    await using modules = await makeModules();
    await using server = await TestServer.start();
    const child = new Deno.Command(PYTHON, {
      args: [...commandLine(server, modules.folder, "bob"), "watch", ""],
      stdin: "null",
      stdout: "piped",
    }).spawn();
    let text = "";
    const read = (async () => {
      for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) text += part;
    })();
    await until("the first answer", () => text === '"SERVING"\n');
    await server.end();
    await read;
    await child.status;
    const [first, second, end] = text.trim().split("\n").map((line) => JSON.parse(line));
    assert.deepEqual([first, second], ["SERVING", "NOT_SERVING"]);
    assert.equal(end.code, "UNAVAILABLE");
  },
});

testUnless(MISSING, {
  name: "foreign client: learns the contract by reflection, and calls what it has learnt",
  async fn() {
    await using modules = await makeModules();
    await using server = await TestServer.start();
    for (const version of ["v1", "v1alpha"]) {
      assert.deepEqual(await ask(server, modules, ["bob", "services", version]), [[
        "JobService",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
      ]]);
      const symbols = ["JobService", "StartRequest", "grpc.health.v1.Health", "Nope"];
      const [ours, message, health, none] = await ask(server, modules, [
        "bob",
        "describe",
        version,
        ...symbols,
      ]);
      assert.deepEqual(ours, { file: "job_service.proto", services: ["JobService"] });
      assert.deepEqual(message, ours);
      assert.deepEqual(health, { file: "grpc/health/v1/health.proto", services: ["Health"] });
      assert.match((none as { error: string }).error, /Symbol not found: Nope/);
    }
    const start = JSON.stringify({ name: "true", env: { A: "b" }, umask: 63, grace_period_ms: 0 });
    const [started] = await ask(server, modules, [
      "alice",
      "call",
      "v1",
      "/JobService/Start",
      start,
    ]);
    const query = JSON.stringify(started);
    const [job] = await ask(server, modules, [
      "bob",
      "call",
      "v1alpha",
      "/JobService/Query",
      query,
    ]);
    assert.equal((job as { owner: string }).owner, "alice");
    const [denied] = await ask(server, modules, ["bob", "call", "v1", "/JobService/Stop", query]);
    assert.equal((denied as { code: string }).code, "PERMISSION_DENIED");
  },
});
