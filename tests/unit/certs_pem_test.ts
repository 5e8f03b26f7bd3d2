import assert from "node:assert/strict";
import { CertsError } from "../../certs/errors.ts";
import { isCertificate, isPrivateKey, pemBlocks, toPem } from "../../certs/pem.ts";

const ONE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";

Deno.test("pemBlocks: finds every block in its order", () => {
  const blocks = pemBlocks(KEY + ONE + ONE, "file");
  assert.deepEqual(blocks.map(({ label }) => label), ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]);
  assert.deepEqual(blocks.map(({ text }) => text), [KEY, ONE, ONE]);
});

Deno.test("pemBlocks: skips the text around blocks, and takes the line ends of Windows", () => {
  const text = `Certificate:\r\n  Data\r\n${ONE.replaceAll("\n", "\r\n")}\r\nmore`;
  assert.deepEqual(pemBlocks(text, "file").map(({ label }) => label), ["CERTIFICATE"]);
});

Deno.test("pemBlocks: finds nothing where there is nothing", () => {
  for (const text of ["", "\n", "AAAA", "-----END CERTIFICATE-----", "BEGIN CERTIFICATE", "\0"]) {
    assert.deepEqual(pemBlocks(text, "file"), []);
  }
});

Deno.test("pemBlocks: refuses a block that does not end as it began", () => {
  const cut = [
    "-----BEGIN CERTIFICATE-----",
    ONE.slice(0, -10),
    `${ONE}-----BEGIN CERTIFICATE-----\nAAAA\n`,
    ONE.replace("END CERTIFICATE", "END PRIVATE KEY"),
  ];
  for (const text of cut) {
    assert.throws(
      () => pemBlocks(text, "some.pem"),
      (error) =>
        error instanceof CertsError &&
        /^cannot read some\.pem: it is cut off, "-----END CERTIFICATE-----" is/.test(error.message),
    );
  }
});

Deno.test("isPrivateKey: knows the kinds of key files, and what is none", () => {
  for (const label of ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]) {
    assert.equal(isPrivateKey({ label, text: "" }), true, label);
    assert.equal(isCertificate({ label, text: "" }), false, label);
  }
  assert.equal(isPrivateKey({ label: "ENCRYPTED PRIVATE KEY", text: "" }), true);
  for (const label of ["PUBLIC KEY", "CERTIFICATE", "DH PARAMETERS", "CERTIFICATE REQUEST", ""]) {
    assert.equal(isPrivateKey({ label, text: "" }), false, label);
  }
});

Deno.test("isCertificate: takes certificates alone", () => {
  assert.equal(isCertificate({ label: "CERTIFICATE", text: "" }), true);
  for (const label of ["TRUSTED CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST"]) {
    assert.equal(isCertificate({ label, text: "" }), false, label);
  }
});

Deno.test("toPem: writes lines of 64 characters that pemBlocks reads again", () => {
  const text = toPem("CERTIFICATE", new Uint8Array(100).fill(255));
  assert.deepEqual(text.split("\n").map((line) => line.length), [27, 64, 64, 8, 25, 0]);
  assert.deepEqual(pemBlocks(text, "file"), [{ label: "CERTIFICATE", text }]);
});
