import assert from "node:assert/strict";
import { join } from "node:path";
import { CertsError } from "../../certs/errors.ts";
import { toPem } from "../../common/pem.ts";
import {
  describeFile,
  type FileDescription,
  renderJson,
  renderText,
  type ShowOptions,
} from "../../certs/show.ts";
import {
  Extension,
  Name,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "../../certs/x509.ts";
import { DEFAULT_ROLE_OID, encodeRoles } from "../../lib/tls/role.ts";

const KEY_ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const NOT_BEFORE = new Date("2030-01-01T00:00:00Z");
const NOT_AFTER = new Date("2031-01-01T00:00:00Z");

/** A certificate and its key, made fast. */
interface Pair {
  readonly der: Uint8Array;
  readonly certificate: string;
  readonly key: string;
}

async function makePair(name: string, extensions: Extension[] = []): Promise<Pair> {
  const keys = await crypto.subtle.generateKey(KEY_ALGORITHM, true, ["sign", "verify"]);
  const made = await X509CertificateGenerator.create({
    subject: new Name([{ CN: [{ utf8String: name }] }]),
    issuer: "CN=issuer",
    serialNumber: "00ab01",
    notBefore: NOT_BEFORE,
    notAfter: NOT_AFTER,
    publicKey: keys.publicKey,
    signingKey: keys.privateKey,
    signingAlgorithm: KEY_ALGORITHM,
    extensions,
  });
  const der = new Uint8Array(made.rawData);
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { der, certificate: toPem("CERTIFICATE", der), key: toPem("PRIVATE KEY", pkcs8) };
}

/** Describes a file with some content. */
async function describe(
  content: string | Uint8Array,
  options: Partial<ShowOptions> = {},
): Promise<FileDescription> {
  const folder = await Deno.makeTempDir({ prefix: "certs-show-" });
  try {
    const file = join(folder, "file.pem");
    await (typeof content === "string"
      ? Deno.writeTextFile(file, content)
      : Deno.writeFile(file, content));
    return await describeFile(file, { oid: DEFAULT_ROLE_OID, now: NOT_BEFORE, ...options });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function rejects(content: string | Uint8Array, message: RegExp): Promise<void> {
  return assert.rejects(describe(content), (error) => {
    assert.ok(error instanceof CertsError && error.kind === "failure", String(error));
    assert.match(error.message, message);
    return true;
  });
}

function roleExtension(text: Uint8Array<ArrayBuffer>, oid = DEFAULT_ROLE_OID): Extension {
  return new Extension(oid, false, text);
}

Deno.test("describeFile: says what stands in a certificate", async () => {
  const { certificate } = await makePair("alice", [
    roleExtension(encodeRoles(["writer"])),
    new SubjectAlternativeNameExtension([
      { type: "dns", value: "localhost" },
      { type: "ip", value: "::1" },
    ]),
  ]);
  const { certificates: [described], privateKey } = await describe(certificate);
  assert.ok(described !== undefined);
  const { fingerprint, ...rest } = described;
  assert.match(fingerprint, /^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
  assert.equal(privateKey, null);
  assert.deepEqual(rest, {
    subject: "CN=alice",
    issuer: "CN=issuer",
    serial: "AB01",
    usages: [],
    roles: ["writer"],
    roleError: null,
    names: ["DNS:localhost", "IP:::1"],
    key: "EC P-256",
    signature: "ecdsa-with-SHA256",
    notBefore: "2030-01-01T00:00:00Z",
    notAfter: "2031-01-01T00:00:00Z",
    state: "valid",
    daysLeft: 365,
  });
});

Deno.test("describeFile: reads DER as well as PEM", async () => {
  const { der, certificate } = await makePair("alice");
  assert.deepEqual((await describe(der)).certificates, (await describe(certificate)).certificates);
});

Deno.test("describeFile: reads all certificates of a bundle and finds the key's own", async () => {
  const [a, b] = [await makePair("a"), await makePair("b")];
  const bundle = await describe(b.key + a.certificate + b.certificate);
  assert.deepEqual(bundle.certificates.map(({ subject }) => subject), ["CN=a", "CN=b"]);
  assert.deepEqual(bundle.privateKey, { fitsCertificate: 2, error: null });
});

Deno.test("describeFile: says that a key fits nothing, or cannot be read", async () => {
  const [a, b] = [await makePair("a"), await makePair("b")];
  const other = await describe(a.certificate + b.key);
  assert.deepEqual(other.privateKey, { fitsCertificate: null, error: null });
  const damaged = await describe(a.certificate + toPem("PRIVATE KEY", new Uint8Array(9)));
  assert.equal(damaged.privateKey?.fitsCertificate, null);
  assert.match(damaged.privateKey?.error ?? "", /damaged or of an unknown kind/);
  const encrypted = await describe(a.certificate + toPem("ENCRYPTED PRIVATE KEY", a.der));
  assert.match(encrypted.privateKey?.error ?? "", /protected by a passphrase/);
});

Deno.test("describeFile: says so when the role extension is malformed", async () => {
  const cases: [Uint8Array<ArrayBuffer>, RegExp][] = [
    [Uint8Array.fromHex("1306777269746572"), /not a UTF8String/],
    [Uint8Array.fromHex("0c0677726974657200"), /not one DER/],
    [Uint8Array.fromHex("0c0561646d696e"), /unknown role "admin"/],
  ];
  for (const [value, message] of cases) {
    const { certificate } = await makePair("a", [roleExtension(value)]);
    const shown = await describe(certificate);
    assert.deepEqual(shown.certificates[0]?.roles, []);
    assert.match(shown.certificates[0]?.roleError ?? "", message);
    assert.match(renderText([shown], NOT_BEFORE), /Role: +MALFORMED, no access: /);
  }
});

Deno.test("describeFile: looks for roles under the OID it is told", async () => {
  const oid = "1.3.6.1.4.1.99999.1";
  const { certificate } = await makePair("a", [roleExtension(encodeRoles(["reader"]), oid)]);
  assert.deepEqual((await describe(certificate, { oid })).certificates[0]?.roles, ["reader"]);
  assert.deepEqual((await describe(certificate)).certificates[0]?.roles, []);
});

Deno.test("describeFile: knows when a certificate is valid, to the second", async () => {
  const { certificate } = await makePair("a");
  const times: [string, string, number, RegExp][] = [
    ["2029-12-31T23:59:59Z", "not yet valid", 365, /\(NOT YET VALID\)/],
    ["2030-01-01T00:00:00Z", "valid", 365, /\(365 days left\)/],
    ["2030-12-30T12:00:00Z", "valid", 1, /\(1 day left\)/],
    ["2030-12-31T20:30:00Z", "valid", 0, /\(3 h left\)/],
    ["2030-12-31T23:59:59Z", "valid", 0, /\(0 h left\)/],
    ["2031-01-01T00:00:00Z", "expired", 0, /\(EXPIRED\)/],
    ["2031-01-02T00:00:01Z", "expired", -2, /\(EXPIRED\)/],
  ];
  for (const [time, state, daysLeft, text] of times) {
    const now = new Date(time);
    const shown = await describe(certificate, { now });
    assert.equal(shown.certificates[0]?.state, state, time);
    assert.equal(shown.certificates[0]?.daysLeft, daysLeft, time);
    assert.match(renderText([shown], now), text, time);
  }
});

Deno.test("describeFile: refuses what holds no certificate", async () => {
  const { key } = await makePair("a");
  await rejects("", /cannot show .*file\.pem: it holds no certificate$/);
  await rejects("hello\n", /it holds no certificate$/);
  await rejects(key, /it holds a key and no certificate$/);
  await rejects(toPem("CERTIFICATE REQUEST", new Uint8Array(9)), /it holds no certificate$/);
});

Deno.test("describeFile: refuses damaged certificates and says which", async () => {
  const { certificate, der } = await makePair("a");
  await rejects(certificate + toPem("CERTIFICATE", der.subarray(0, 100)), /certificate 2 is dam/);
  await rejects(toPem("CERTIFICATE", new Uint8Array(0)), /certificate 1 is damaged/);
  await rejects(certificate.replace(/\n[^-]/, "\n*"), /certificate 1 is damaged/);
  await rejects(der.subarray(0, der.length - 1), /certificate 1 is damaged/);
  await rejects(certificate.slice(0, 200), /it is cut off/);
  const wrong = await makePair("a", [new Extension("2.5.29.17", false, new Uint8Array([5, 0]))]);
  await rejects(wrong.certificate, /certificate 1 is damaged/);
});

Deno.test("describeFile: refuses every file that is cut anywhere, in one line", async () => {
  const { der } = await makePair("a");
  for (let length = 1; length < der.length; length += 7) {
    await rejects(der.subarray(0, length), /^cannot show .* certificate 1 is damaged$/);
  }
});

Deno.test("renderText: numbers certificates only where there are several", async () => {
  const a = await makePair("a");
  assert.match(
    renderText([await describe(a.certificate + a.key)], NOT_BEFORE),
    /^\S+file\.pem\n {2}Subject: [\s\S]*private key\n {2}fits the certificate\n$/,
  );
  const text = renderText([await describe(a.key + a.certificate + a.certificate)], NOT_BEFORE);
  assert.match(text, /certificate 1\n[\s\S]*certificate 2\n[\s\S]*fits certificate 1\n$/);
  const other = await makePair("b");
  const unfit = await describe(a.certificate + other.key);
  assert.match(renderText([unfit], NOT_BEFORE), /DOES NOT FIT the certificate\n$/);
});

Deno.test("renderText: lets no certificate command the terminal", async () => {
  const { certificate } = await makePair("a\u001b[2J\nRole: writer\u202e");
  const text = renderText([await describe(certificate)], NOT_BEFORE);
  assert.doesNotMatch(text.replaceAll("\n", ""), /[\p{Cc}\p{Cf}]/u);
  assert.doesNotMatch(text, /^ *Role: writer/m);
  assert.match(text, /CN=a\\u\{1b\}\[2J\\0ARole: writer\\u\{202e\}/);
});

Deno.test("renderJson: writes an array that holds what was described", async () => {
  const shown = await describe((await makePair("a")).certificate);
  assert.deepEqual(JSON.parse(renderJson([shown])), [shown]);
  assert.deepEqual(JSON.parse(renderJson([])), []);
});
