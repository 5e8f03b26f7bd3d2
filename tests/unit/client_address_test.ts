import assert from "node:assert/strict";
import { parseAddress } from "../../client/endpoint/address.ts";

const GOOD: readonly (readonly [text: string, host: string, port: number, shown: string])[] = [
  ["localhost:50051", "localhost", 50051, "localhost:50051"],
  ["worker1", "worker1", 50051, "worker1:50051"],
  ["192.0.2.7:1", "192.0.2.7", 1, "192.0.2.7:1"],
  ["[::1]:65535", "::1", 65535, "[::1]:65535"],
  ["[2001:db8::7]", "2001:db8::7", 50051, "[2001:db8::7]:50051"],
];

for (const [text, host, port, shown] of GOOD) {
  Deno.test(`parseAddress: reads ${text}`, () => {
    assert.deepEqual(parseAddress(text), { host, port, text: shown });
  });
}

const BAD = [
  "",
  ":50051",
  "localhost:",
  "localhost:0",
  "localhost:65536",
  "localhost:http",
  "::1",
  "::1:50051",
  "[::1",
  "[localhost]:50051",
  "[12]:50051",
  "http://localhost:50051",
  "https://localhost",
  "local host:50051",
  "localhost:50051/",
  "user@localhost:1",
];

for (const text of BAD) {
  Deno.test(`parseAddress: refuses "${text}" and says what is expected`, () => {
    assert.throws(() => parseAddress(text), (error) => {
      assert(error instanceof Error && "exitStatus" in error);
      assert.equal(error.exitStatus, 2);
      assert(
        error.message.startsWith(`Cannot read the server's address "${text}": expected HOST:`),
      );
      return true;
    });
  });
}

Deno.test("parseAddress: says of an address with a zone that the runtime takes none", () => {
  for (const text of ["[fe80::1%eth0]:50051", "[fe80::1%eth0]", "fe80::1%eth0"]) {
    assert.throws(() => parseAddress(text), /takes no address with a zone/);
  }
});
