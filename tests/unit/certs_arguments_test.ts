import assert from "node:assert/strict";
import {
  parseCommonName,
  parseDays,
  parseName,
  parseOid,
  parseRoleOption,
  parseServerNames,
} from "../../certs/arguments.ts";
import { CertsError } from "../../certs/errors.ts";

/** Wrong use, said in one line. */
function refuses(action: () => unknown, message: RegExp, input: string): void {
  assert.throws(action, (error) => {
    assert.ok(error instanceof CertsError && error.kind === "usage", input);
    assert.match(error.message, message, input);
    assert.doesNotMatch(error.message, /\n/, input);
    return true;
  });
}

Deno.test("parseName: accepts names that are safe as file names", () => {
  for (const name of ["alice", "A", "7", "_x", "ci-bot.2", "a@b.example", "cat", "x".repeat(64)]) {
    assert.equal(parseName(name), name);
  }
});

Deno.test("parseName: refuses what leaves the folder, hides, or looks like an option", () => {
  const bad = [
    "",
    ".",
    "..",
    ".hidden",
    "-x",
    "--force",
    "@x",
    "a/b",
    "../a",
    "/etc/a",
    "a\\b",
    "a b",
    " a",
    "a\n",
    "a\0",
    "é",
    "a,b",
    "a=b",
    "*",
    "a;b",
    "$(a)",
  ];
  for (const name of bad) refuses(() => parseName(name), /it becomes a file name/, name);
});

Deno.test("parseName: refuses more characters than a common name may have", () => {
  refuses(() => parseName("x".repeat(65)), /too long: at most 64/, "65");
});

Deno.test("parseName: refuses the CA's own files, in any case", () => {
  for (const name of ["ca", "CA", "Ca"]) refuses(() => parseName(name), /the CA's/, name);
});

Deno.test("parseCommonName: accepts what people call a CA", () => {
  for (const name of ["Job Worker CA", 'Größe "A", Inc.', "日本", "x".repeat(64)]) {
    assert.equal(parseCommonName(name), name);
  }
});

Deno.test("parseCommonName: refuses what cannot be shown or told apart", () => {
  for (const name of ["", " ", " a", "a ", "x".repeat(65)]) {
    refuses(() => parseCommonName(name), /1 to 64 characters/, name);
  }
  for (const name of ["a\nb", "a\u001b[2Jb", "a\u202eb", "a\u200bb", "a\0b", "a\ud800b"]) {
    refuses(() => parseCommonName(name), /cannot be shown/, name);
  }
});

Deno.test("parseDays: accepts whole numbers from a day to 30 years", () => {
  assert.equal(parseDays("1"), 1);
  assert.equal(parseDays("366"), 366);
  assert.equal(parseDays("10957"), 10957);
});

Deno.test("parseDays: refuses everything else", () => {
  const bad = ["", "0", "-1", "+1", "1.5", "1e3", "0x10", " 1", "1d", "10958", "9".repeat(30), "∞"];
  for (const text of bad) refuses(() => parseDays(text), /whole number from 1 to 10957/, text);
});

Deno.test("parseRoleOption: takes several roles from one option or from many", () => {
  assert.deepEqual(parseRoleOption(["writer"]), ["writer"]);
  assert.deepEqual(parseRoleOption(["writer,reader"]), ["reader", "writer"]);
  assert.deepEqual(parseRoleOption(["writer", "reader", "writer"]), ["reader", "writer"]);
});

Deno.test("parseRoleOption: refuses unknown roles and says which there are", () => {
  for (const texts of [[""], ["admin"], ["reader", "root"], ["reader,"], ["Reader"], ["a b"]]) {
    refuses(() => parseRoleOption(texts), /roles are reader and writer/, texts.join("|"));
  }
});

Deno.test("parseOid: passes an OID on, or says what one looks like", () => {
  assert.equal(parseOid("1.3.6.1.4.1.99999.1"), "1.3.6.1.4.1.99999.1");
  for (const text of ["", "1.2", "writer", "2.5.29.17"]) {
    refuses(() => parseOid(text), /such as 1\.2\.840\.10070\.8\.1/, text);
  }
});

Deno.test("parseServerNames: tells host names from addresses", () => {
  assert.deepEqual(parseServerNames(["localhost,127.0.0.1", "Worker1.Example.COM,::1"]), [
    { type: "dns", value: "localhost" },
    { type: "ip", value: "127.0.0.1" },
    { type: "dns", value: "worker1.example.com" },
    { type: "ip", value: "::1" },
  ]);
  assert.deepEqual(parseServerNames(["*.example.com"]), [{ type: "dns", value: "*.example.com" }]);
});

Deno.test("parseServerNames: writes an address in one way and names it once", () => {
  assert.deepEqual(parseServerNames(["0:0:0::1,::1,0000::0001"]), [{ type: "ip", value: "::1" }]);
  assert.deepEqual(parseServerNames(["::ffff:1.2.3.4,::FFFF:102:304"]), [
    { type: "ip", value: "::ffff:102:304" },
  ]);
  assert.deepEqual(parseServerNames(["a,A", "a"]), [{ type: "dns", value: "a" }]);
});

Deno.test("parseServerNames: refuses what no client would connect to", () => {
  const bad = [
    "",
    "a,,b",
    "a,",
    "localhost:50051",
    "127.0.0.1:50051",
    "[::1]",
    "https://localhost",
    "DNS:localhost",
    "256.1.1.1",
    "1.2.3",
    "fe80::1%eth0",
    "1::2::3",
    "*",
    "*.com",
    "a.*.example.com",
    "w*.example.com",
    "-a",
    "a-",
    "a..b",
    ".a",
    "a.",
    "a_b",
    "é.example",
    "a b",
    "x".repeat(64),
    `${"x.".repeat(127)}x`,
    "/etc/passwd",
  ];
  for (const text of bad) {
    refuses(() => parseServerNames([text]), /use host names or IP addresses/, text);
  }
});

Deno.test("parseServerNames: refuses more names than a handshake should carry", () => {
  const hosts = Array.from({ length: 101 }, (_, index) => `h${index}`);
  assert.equal(parseServerNames(hosts.slice(1)).length, 100);
  refuses(() => parseServerNames(hosts), /at most 100/, "101");
});
