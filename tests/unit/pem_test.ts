import assert from "node:assert/strict";
import {
  derOf,
  isCertificate,
  isEncryptedKey,
  isPrivateKey,
  pemBlocks,
  scanPem,
  toPem,
} from "../../common/pem.ts";

const ONE = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const KEY = "-----BEGIN PRIVATE KEY-----\nBBBB\n-----END PRIVATE KEY-----\n";

function labels(text: string): string[] {
  return pemBlocks(text).map(({ label }) => label);
}

Deno.test("pemBlocks: finds every block in its order", () => {
  const blocks = pemBlocks(KEY + ONE + ONE);
  assert.deepEqual(blocks.map(({ label }) => label), ["PRIVATE KEY", "CERTIFICATE", "CERTIFICATE"]);
  assert.deepEqual(blocks.map(({ text }) => text), [KEY, ONE, ONE]);
});

Deno.test("pemBlocks: skips the text around blocks, and takes the line ends of Windows", () => {
  const text = `Certificate:\r\n  Data\r\n${ONE.replaceAll("\n", "\r\n")}\r\nmore`;
  assert.deepEqual(labels(text), ["CERTIFICATE"]);
  assert.deepEqual(labels(ONE.replace("\n", " \t\n")), ["CERTIFICATE"]);
});

Deno.test("pemBlocks: skips a byte order mark", () => {
  assert.deepEqual(pemBlocks(`\uFEFF${ONE}`), pemBlocks(ONE));
});

Deno.test("pemBlocks: finds nothing where there is nothing", () => {
  const empty = [
    "",
    "\n",
    "AAAA",
    "-----END CERTIFICATE-----",
    "BEGIN CERTIFICATE",
    "\0",
    "-----BEGIN certificate-----\n-----END certificate-----",
    // TLS libraries want a BEGIN line of its own.
    ONE.replaceAll("\n", ""),
    ` ${ONE}`,
    `text ${ONE}`,
  ];
  for (const text of empty) assert.deepEqual(scanPem(text), { blocks: [], missingEnd: undefined });
});

Deno.test("pemBlocks: takes a BEGIN line within a block for a part of that block", () => {
  const inner = "-----BEGIN PRIVATE KEY-----\nAAAA\n";
  assert.deepEqual(labels(ONE.replace("AAAA\n", inner)), ["CERTIFICATE"]);
  assert.deepEqual(labels(ONE.replace("AAAA\n", inner) + KEY), ["CERTIFICATE", "PRIVATE KEY"]);
});

const CUT = [
  "-----BEGIN CERTIFICATE-----",
  ONE.slice(0, -10),
  `${ONE}-----BEGIN CERTIFICATE-----\nAAAA\n`,
  ONE.replace("END CERTIFICATE", "END PRIVATE KEY"),
  // An END line before the BEGIN line does not end a block.
  `-----END CERTIFICATE-----\n${ONE.slice(0, 40)}`,
];

for (const [index, text] of CUT.entries()) {
  Deno.test(`pemBlocks: refuses a block that does not end as it began, case ${index + 1}`, () => {
    assert.throws(
      () => pemBlocks(text),
      new RangeError('it is cut off, "-----END CERTIFICATE-----" is missing'),
    );
  });
}

Deno.test("scanPem: gives the blocks before the one that is cut off, and what that one lacks", () => {
  assert.deepEqual(scanPem(`${KEY}-----BEGIN X509 CRL-----\nAAAA\n${ONE}`), {
    blocks: [{ label: "PRIVATE KEY", text: KEY }],
    missingEnd: "-----END X509 CRL-----",
  });
});

Deno.test("isPrivateKey: knows the kinds of key files, and what is not one", () => {
  for (const label of ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"]) {
    assert.equal(isPrivateKey({ label, text: "" }), true, label);
    assert.equal(isCertificate({ label, text: "" }), false, label);
  }
  assert.equal(isPrivateKey({ label: "ENCRYPTED PRIVATE KEY", text: "" }), true);
  for (const label of ["PUBLIC KEY", "CERTIFICATE", "DH PARAMETERS", "CERTIFICATE REQUEST", ""]) {
    assert.equal(isPrivateKey({ label, text: "" }), false, label);
  }
});

Deno.test("isEncryptedKey: knows both forms of encryption", () => {
  assert.equal(isEncryptedKey({ label: "ENCRYPTED PRIVATE KEY", text: "" }), true);
  const headers = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
  assert.equal(isEncryptedKey({ label: "RSA PRIVATE KEY", text: headers }), true);
  assert.equal(isEncryptedKey({ label: "PRIVATE KEY", text: KEY }), false);
});

Deno.test("isCertificate: takes certificates alone", () => {
  assert.equal(isCertificate({ label: "CERTIFICATE", text: "" }), true);
  for (const label of ["TRUSTED CERTIFICATE", "X509 CRL", "CERTIFICATE REQUEST"]) {
    assert.equal(isCertificate({ label, text: "" }), false, label);
  }
});

Deno.test("toPem: writes lines of 64 characters that are read again", () => {
  const der = new Uint8Array(100).fill(255);
  const text = toPem("CERTIFICATE", der);
  assert.deepEqual(text.split("\n").map((line) => line.length), [27, 64, 64, 8, 25, 0]);
  const blocks = pemBlocks(text);
  assert.deepEqual(blocks, [{ label: "CERTIFICATE", text }]);
  assert.deepEqual(blocks.map(derOf), [der]);
});

Deno.test("derOf: decodes with the line ends of Windows, and refuses what is not base64", () => {
  const [block] = pemBlocks(ONE.replaceAll("\n", "\r\n"));
  assert.deepEqual(block && derOf(block), new Uint8Array(3));
  for (const text of ["A", "####", "AAA=AAA="]) {
    const [damaged] = pemBlocks(ONE.replace("AAAA", text));
    assert.throws(() => damaged && derOf(damaged), SyntaxError, text);
  }
});
