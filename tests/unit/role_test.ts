import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { Extension, X509CertificateGenerator } from "../../certs/x509.ts";
import {
  decodeRoles,
  DEFAULT_ROLE_OID,
  encodeRoles,
  isRoleOid,
  parseRoles,
  type Role,
  RoleError,
  type RoleErrorKind,
  ROLES,
  rolesOfCertificate,
} from "../../lib/tls/role.ts";

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

function hex(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.fromHex(text.replaceAll(" ", ""));
}

/** A DER (or whatever the tag makes it) value with a text in it. */
function tagged(tag: number, content: string | Uint8Array): Uint8Array<ArrayBuffer> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return new Uint8Array([tag, bytes.length, ...bytes]);
}

function refuses(action: () => unknown, kind: RoleErrorKind): void {
  assert.throws(action, (error) => error instanceof RoleError && error.kind === kind);
}

/** A certificate with some extensions, signed by itself; the fast key is enough for reading. */
async function certificate(extensions: Extension[]): Promise<Uint8Array> {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, false, ["sign", "verify"]);
  const made = await X509CertificateGenerator.createSelfSigned({
    name: "CN=test",
    keys,
    signingAlgorithm: KEY_ALGORITHM,
    extensions,
  });
  return new Uint8Array(made.rawData);
}

Deno.test("encodeRoles: writes the DER that OpenSSL writes", () => {
  // openssl asn1parse -genstr UTF8String:writer -noout -out - | xxd -p
  assert.equal(encodeRoles(["writer"]).toHex(), "0c06777269746572");
  assert.equal(encodeRoles(["writer", "reader"]).toHex(), "0c0d7265616465722c777269746572");
  assert.equal(encodeRoles(["reader", "reader"]).toHex(), "0c06726561646572");
});

Deno.test("encodeRoles: refuses no role and unknown roles", () => {
  refuses(() => encodeRoles([]), "empty");
  refuses(() => encodeRoles(["admin" as Role]), "unknown-role");
  refuses(() => encodeRoles(["writer", "" as Role]), "unknown-role");
});

Deno.test("decodeRoles: reads what encodeRoles writes", () => {
  for (const roles of [["reader"], ["writer"], ["reader", "writer"]] as Role[][]) {
    assert.deepEqual(decodeRoles(encodeRoles(roles)), roles);
  }
});

Deno.test("decodeRoles: gives each role once, in the order of ROLES", () => {
  assert.deepEqual(decodeRoles(tagged(0x0c, "writer,reader,writer")), [...ROLES]);
});

Deno.test("decodeRoles: reads a view into a larger buffer", () => {
  const buffer = Buffer.from("ffff0c06777269746572ffff", "hex");
  assert.deepEqual(decodeRoles(buffer.subarray(2, 10)), ["writer"]);
});

Deno.test("decodeRoles: refuses every other ASN.1 type", () => {
  const types: Record<string, number> = {
    OctetString: 0x04,
    Relative: 0x0d,
    NumericString: 0x12,
    PrintableString: 0x13,
    TeletexString: 0x14,
    IA5String: 0x16,
    GraphicString: 0x19,
    VisibleString: 0x1a,
    GeneralString: 0x1b,
    BmpString: 0x1e,
    application: 0x4c,
    context: 0x8c,
    private: 0xcc,
  };
  for (const [name, tag] of Object.entries(types)) {
    assert.throws(() => decodeRoles(tagged(tag, "writer")), RoleError, name);
  }
  refuses(() => decodeRoles(tagged(0x13, "writer")), "wrong-type");
  refuses(() => decodeRoles(hex("0101ff")), "wrong-type");
  refuses(() => decodeRoles(hex("020101")), "wrong-type");
  refuses(() => decodeRoles(hex("0500")), "wrong-type");
});

Deno.test("decodeRoles: refuses the right text inside another value", () => {
  const text = encodeRoles(["writer"]);
  for (const tag of [0x30, 0x31, 0x04, 0xa0, 0x2c]) {
    assert.throws(() => decodeRoles(tagged(tag, text)), RoleError, tag.toString(16));
  }
});

Deno.test("decodeRoles: refuses what is not one complete DER value", () => {
  const malformed = {
    "nothing": "",
    "tag alone": "0c",
    "shorter than its length": "0c07 777269746572",
    "longer than its length": "0c05 777269746572",
    "trailing zero": "0c06 777269746572 00",
    "trailing second value": "0c06 777269746572 0c06 777269746572",
    "length in the long form": "0c8106 777269746572",
    "length with leading zeros": "0c820006 777269746572",
    "length of six bytes": "0c86000000000006 777269746572",
    "length of more bytes than there are": "0c84ffffffff 77",
    "indefinite length": "2c80 0c06777269746572 0000",
    "indefinite length of a primitive": "0c80 777269746572 0000",
    "constructed of pieces": "2c0a 0c03777269 0c03746572",
    "tag in the long form": "1f0c06 777269746572",
    "text without tag": "777269746572",
    "end of contents": "0000",
    "only ones": "ffffffffffffffff",
  };
  for (const [name, bytes] of Object.entries(malformed)) {
    assert.throws(() => decodeRoles(hex(bytes)), RoleError, name);
  }
});

Deno.test("decodeRoles: refuses deep nesting without losing its stack", () => {
  const depth = 5000;
  assert.throws(() => decodeRoles(hex("3080".repeat(depth) + "0000".repeat(depth))), RoleError);
});

Deno.test("decodeRoles: refuses invalid UTF-8", () => {
  const invalid = {
    "lone continuation byte": "80",
    "overlong form of r": "c1b2 65616465 72",
    "cut character": "777269746572 c3",
    "surrogate": "eda080",
    "beyond Unicode": "f4908080",
    "Latin-1": "777269746572 2c e9",
  };
  for (const [name, bytes] of Object.entries(invalid)) {
    assert.throws(() => decodeRoles(tagged(0x0c, hex(bytes))), RoleError, name);
  }
});

Deno.test("decodeRoles: refuses every truncation and every flipped bit of a good value", () => {
  const good = encodeRoles(["reader", "writer"]);
  for (let length = 0; length < good.length; length++) {
    assert.throws(() => decodeRoles(good.subarray(0, length)), RoleError);
  }
  for (let bit = 0; bit < good.length * 8; bit++) {
    const bad = good.slice();
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    assert.throws(() => decodeRoles(bad), RoleError, `bit ${bit}`);
  }
});

Deno.test("parseRoles: refuses an empty text", () => {
  refuses(() => parseRoles(""), "empty");
  refuses(() => decodeRoles(hex("0c00")), "empty");
});

Deno.test("parseRoles: refuses everything when one role is unknown", () => {
  const texts = [
    "admin",
    "writer,admin",
    "admin,writer",
    "Writer",
    "WRITER",
    "writer ",
    " writer",
    "reader, writer",
    "reader;writer",
    "reader writer",
    "writer,",
    ",writer",
    "reader,,writer",
    ",",
    "writer\0",
    "writer\n",
    "\ufeffwriter",
    "wr\u0456ter",
    "writers",
    "constructor",
    "__proto__",
  ];
  for (const text of texts) {
    refuses(() => parseRoles(text), "unknown-role");
    refuses(() => decodeRoles(tagged(0x0c, text)), "unknown-role");
  }
});

Deno.test("RoleError: quotes a hostile text short and in one line", () => {
  assert.throws(() => parseRoles(`\u001b[2J\n${"x".repeat(10_000)}`), (error) => {
    assert.ok(error instanceof RoleError);
    assert.ok(error.message.length < 100, error.message);
    assert.doesNotMatch(error.message, /\p{Cc}/u);
    return true;
  });
});

Deno.test("rolesOfCertificate: reads the extension under its OID, and under no other", async () => {
  const other = "1.3.6.1.4.1.99999.1";
  const der = await certificate([
    new Extension("2.5.29.19", true, hex("3000")),
    new Extension(DEFAULT_ROLE_OID, false, encodeRoles(["reader"])),
    new Extension(other, false, encodeRoles(["writer"])),
  ]);
  assert.deepEqual(rolesOfCertificate(der), ["reader"]);
  assert.deepEqual(rolesOfCertificate(der, other), ["writer"]);
  assert.deepEqual(rolesOfCertificate(der, `${DEFAULT_ROLE_OID}.1`), []);
});

Deno.test("rolesOfCertificate: reads a critical extension", async () => {
  const der = await certificate([new Extension(DEFAULT_ROLE_OID, true, encodeRoles(["writer"]))]);
  assert.deepEqual(rolesOfCertificate(der), ["writer"]);
});

Deno.test("rolesOfCertificate: finds no role where there is no extension", async () => {
  assert.deepEqual(rolesOfCertificate(await certificate([])), []);
  const other = [new Extension("2.5.29.19", true, hex("3000"))];
  assert.deepEqual(rolesOfCertificate(await certificate(other)), []);
});

Deno.test("rolesOfCertificate: refuses the extension twice, be it the same", async () => {
  for (const second of [["writer"], ["reader"]] as Role[][]) {
    const der = await certificate([
      new Extension(DEFAULT_ROLE_OID, false, encodeRoles(["writer"])),
      new Extension(DEFAULT_ROLE_OID, false, encodeRoles(second)),
    ]);
    refuses(() => rolesOfCertificate(der), "duplicate-extension");
  }
});

Deno.test("rolesOfCertificate: refuses a malformed extension", async () => {
  const values: [RoleErrorKind, Uint8Array<ArrayBuffer>][] = [
    ["wrong-type", tagged(0x13, "writer")],
    ["unknown-role", tagged(0x0c, "writer,admin")],
    ["empty", tagged(0x0c, "")],
    ["not-der", hex("0c06 777269746572 00")],
    ["not-der", hex("")],
    ["not-der", new TextEncoder().encode("writer")],
  ];
  for (const [kind, value] of values) {
    const der = await certificate([new Extension(DEFAULT_ROLE_OID, false, value)]);
    refuses(() => rolesOfCertificate(der), kind);
  }
});

Deno.test("rolesOfCertificate: refuses bytes that are no certificate, and every cut of one", async () => {
  const der = await certificate([
    new Extension(DEFAULT_ROLE_OID, false, encodeRoles(["writer"])),
  ]);
  for (let length = 0; length < der.length; length++) {
    refuses(() => rolesOfCertificate(der.subarray(0, length)), "bad-certificate");
  }
  refuses(() => rolesOfCertificate(encodeRoles(["writer"])), "bad-certificate");
  refuses(() => rolesOfCertificate(hex("3003020101")), "bad-certificate");
  refuses(
    () => rolesOfCertificate(new TextEncoder().encode("-----BEGIN CERTIFICATE-----")),
    "bad-certificate",
  );
});

Deno.test("isRoleOid: accepts OIDs that nobody else uses for extensions", () => {
  for (const oid of [DEFAULT_ROLE_OID, "1.3.6.1.4.1.99999.1", "2.999.1", "0.39.1", "2.5.290.1"]) {
    assert.equal(isRoleOid(oid), true, oid);
  }
});

Deno.test("isRoleOid: refuses malformed OIDs and those of the standards", () => {
  const bad = [
    "",
    "1",
    "1.2",
    "3.1.1",
    "1.40.1",
    "0.40.1",
    "1..2",
    ".1.2.3",
    "1.2.3.",
    "1.02.3",
    "1.2.-3",
    "1.2.3 ",
    "1,2,3",
    "a.b.c",
    "1.2.3\n",
    "1.2.4294967296",
    `1.2${".1".repeat(100)}`,
    "2.5.29.19",
    "2.5.29.37.0",
    "1.3.6.1.5.5.7.1.1",
  ];
  for (const oid of bad) assert.equal(isRoleOid(oid), false, oid);
});
