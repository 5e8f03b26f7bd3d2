/** The whole table of roles and methods; tests/integration/roles_test.ts holds it over TLS. */
import { strict as assert } from "node:assert";
import protobuf from "protobufjs";
import descriptor from "protobufjs/ext/descriptor/index.js";
import { isAllowed, isHealthMethod, isMethod, METHOD_NAMES, methodNameOf } from "../../lib/rbac.ts";
import type { Role } from "../../lib/tls/role.ts";
import { contractFiles, jobService } from "../../proto/contract.ts";

const { FileDescriptorProto } = descriptor as unknown as { FileDescriptorProto: protobuf.Type };

/** The extension adds a function that the types do not have. */
const Root = protobuf.Root as unknown as { fromDescriptor(set: object): protobuf.Root };

/** Callers, by the roles in their certificates. */
const CALLERS: Readonly<Record<string, readonly Role[]>> = {
  "no role": [],
  "an unknown role": ["admin" as Role],
  "roles in another case": ["Writer" as Role, "READER" as Role],
  "the reader role": ["reader"],
  "the writer role": ["writer"],
  "both roles": ["reader", "writer"],
};

const READERS = ["the reader role", "the writer role", "both roles"];
const WRITERS = ["the writer role", "both roles"];

/** Every method that there is, with its name in rules, and the callers that may call it. */
const TABLE: readonly (readonly [path: string, name: string, may: readonly string[]])[] = [
  ["/JobService/Start", "Start", WRITERS],
  ["/JobService/Stop", "Stop", WRITERS],
  ["/JobService/Signal", "Signal", WRITERS],
  ["/JobService/Update", "Update", WRITERS],
  ["/JobService/Remove", "Remove", WRITERS],
  ["/JobService/Input", "Input", WRITERS],
  ["/JobService/Query", "Query", READERS],
  ["/JobService/Stream", "Stream", READERS],
  ["/JobService/Wait", "Wait", READERS],
  ["/JobService/List", "List", READERS],
  ["/JobService/Info", "Info", READERS],
  ["/JobService/Events", "Events", READERS],
  ["/grpc.health.v1.Health/Check", "Health/Check", READERS],
  ["/grpc.health.v1.Health/List", "Health/List", READERS],
  ["/grpc.health.v1.Health/Watch", "Health/Watch", READERS],
  [
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "ServerReflection/ServerReflectionInfo",
    READERS,
  ],
  [
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    "ServerReflection/ServerReflectionInfo",
    READERS,
  ],
];

for (const [path, , may] of TABLE) {
  for (const [caller, roles] of Object.entries(CALLERS)) {
    const isExpected = may.includes(caller);
    Deno.test(`isAllowed: ${caller} ${isExpected ? "may" : "may not"} call ${path}`, () => {
      assert.equal(isAllowed(roles, path), isExpected);
    });
  }
}

const UNKNOWN = [
  "",
  "/",
  "Start",
  "JobService/Start",
  "/JobService/",
  "/JobService/Restart",
  "/JobService/start",
  "/jobservice/Start",
  "/JobService/Start/",
  "/JobService/Start ",
  "//JobService/Start",
  "/JobService/%53tart",
  "/other.JobService/Start",
  "/Health/Check",
  "/grpc.health.v1.Health/check",
  "/grpc.health.v1.Health/Reset",
  "/grpc.health.v2.Health/Check",
  "/grpc.reflection.v1beta.ServerReflection/ServerReflectionInfo",
  "/grpc.channelz.v1.Channelz/GetServers",
  "constructor",
  "__proto__",
];

for (const path of UNKNOWN) {
  Deno.test(`isAllowed: no role may call the unknown method "${path}"`, () => {
    for (const [caller, roles] of Object.entries(CALLERS)) {
      assert(!isAllowed(roles, path), caller);
    }
    assert(!isMethod(path));
    assert(!isHealthMethod(path));
    assert.equal(methodNameOf(path), undefined);
  });
}

/** The paths of all methods in a descriptor. */
function pathsIn(namespace: protobuf.NamespaceBase): string[] {
  return namespace.nestedArray.flatMap((nested) => {
    if (!(nested instanceof protobuf.Namespace)) return [];
    if (!(nested instanceof protobuf.Service)) return pathsIn(nested);
    const service = nested.fullName.replace(/^\./, "");
    return nested.methodsArray.map(({ name }) => `/${service}/${name}`);
  });
}

Deno.test("isAllowed: the table has every method that the server offers, and no other one", () => {
  const known = TABLE.map(([path]) => path);
  for (const { path } of Object.values(jobService)) {
    assert(known.includes(path), `${path} has no row in this test`);
  }
  // The descriptors that reflection answers with: our service and the additional ones.
  const root = Root.fromDescriptor({
    file: contractFiles().map((file) => FileDescriptorProto.decode(file)),
  });
  assert.deepEqual(pathsIn(root).sort(), [...known].sort());
  assert(known.every(isMethod));
});

Deno.test("methodNameOf: a method's name has its service, but not its version", () => {
  for (const [path, name] of TABLE) assert.equal(methodNameOf(path), name);
  assert.deepEqual([...METHOD_NAMES], [...new Set(TABLE.map(([, name]) => name))]);
});

Deno.test("isHealthMethod: the health service's methods, and no others", () => {
  for (const [path] of TABLE) {
    assert.equal(isHealthMethod(path), path.startsWith("/grpc.health.v1."), path);
  }
});
