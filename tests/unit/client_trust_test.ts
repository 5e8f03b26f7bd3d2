import assert from "node:assert/strict";
import { ExtendedKeyUsageExtension, Extension } from "../../certs/x509.ts";
import { ClientTrust, type Standing } from "../../lib/tls/client_trust.ts";
import { parseRevocationLists } from "../../lib/tls/revocation_list.ts";
import {
  type Certified,
  type Contents,
  DAY_MS,
  generateKeys,
  PURPOSES,
  TestAuthority,
} from "../support/tls_certificates.ts";

const NOW_MS = Date.now();
const ca = await TestAuthority.create();
const alice = await ca.issue();

function trustIn(...authorities: Certified[]): ClientTrust {
  return new ClientTrust(authorities.map(({ certificate }) => certificate), []);
}

function standingOf(
  { certificate }: Certified,
  { trust = trustIn(ca), nowMs = NOW_MS }: { trust?: ClientTrust; nowMs?: number } = {},
): Standing {
  return trust.standing(certificate.raw, nowMs);
}

function assertGood(standing: Standing, expiresAtMs?: number): void {
  assert.equal(standing.kind, "good", JSON.stringify(standing));
  if (standing.kind !== "good" || expiresAtMs === undefined) return;
  // Certificates have no fractions of a second.
  assert.equal(standing.expiresAtMs, Math.floor(expiresAtMs / 1000) * 1000);
}

function assertRefused(standing: Standing, reason: RegExp): void {
  assert.equal(standing.kind, "refused");
  if (standing.kind === "refused") assert.match(standing.reason, reason);
}

/** A trust in a CA with one list of its revoked serials. */
async function trustWith(
  serials: readonly string[],
  authorities: readonly TestAuthority[] = [ca],
  revoking: TestAuthority = ca,
): Promise<ClientTrust> {
  const certificates = authorities.map(({ certificate }) => certificate);
  const lists = parseRevocationLists(await revoking.revoke(serials), {
    authorities: certificates,
    nowMs: Date.now(),
  });
  return new ClientTrust(certificates, lists);
}

Deno.test("ClientTrust: accepts a client of its CA until the certificate expires", () => {
  assertGood(standingOf(alice), Date.parse(alice.certificate.validTo));
});

const CONTENTS: readonly (readonly [what: string, contents: Contents, reason: RegExp])[] = [
  ["no purpose", { purposes: undefined }, /is not for clients \(clientAuth\)/],
  ["an empty list of purposes", { purposes: [] }, /is not for clients|cannot be decoded/],
  ["the purpose of servers", { purposes: [PURPOSES.server] }, /is not for clients/],
  ["the purpose of mail", { purposes: [PURPOSES.mail] }, /is not for clients/],
  [
    "two lists of purposes",
    { extensions: [new ExtendedKeyUsageExtension([PURPOSES.client])] },
    /is not for clients/,
  ],
  ["any purpose", { purposes: ["2.5.29.37.0"] }, /is not for clients/],
  [
    "a list of purposes that cannot be decoded",
    {
      purposes: undefined,
      extensions: [new Extension("2.5.29.37", true, Uint8Array.of(0x04, 0x01, 0x00))],
    },
    /is not for clients|cannot be decoded|understood/,
  ],
  ["a CA certificate", { isAuthority: true }, /is the certificate of a CA/],
  ["a digest with known collisions", { hash: "SHA-1" }, /is too weak: it is signed with .*SHA1/i],
  ["a start in the future", { notBeforeMs: NOW_MS + DAY_MS }, /is not valid before/],
  ["an end in the past", { notAfterMs: NOW_MS - 1000 }, /^has expired$/],
];

for (const [what, contents, reason] of CONTENTS) {
  Deno.test(`ClientTrust: refuses ${what}`, async () => {
    assertRefused(standingOf(await ca.issue(contents)), reason);
  });
}

Deno.test("ClientTrust: accepts the purpose of clients among others", async () => {
  assertGood(standingOf(await ca.issue({ purposes: [PURPOSES.server, PURPOSES.client] })));
});

Deno.test("ClientTrust: refuses a short RSA key", async () => {
  const algorithm = {
    name: "RSASSA-PKCS1-v1_5",
    hash: "SHA-256",
    modulusLength: 1024,
    publicExponent: new Uint8Array([1, 0, 1]),
  };
  const keys = await generateKeys(algorithm);
  assertRefused(standingOf(await ca.issue({ keys })), /is too weak: its RSA key has 1024 bits/);
});

Deno.test("ClientTrust: refuses what is not a certificate", () => {
  const { raw } = alice.certificate;
  for (const der of [new Uint8Array(0), raw.subarray(0, 99), new Uint8Array(raw.length)]) {
    assertRefused(trustIn(ca).standing(der, NOW_MS), /^cannot be decoded$/);
  }
});

Deno.test("ClientTrust: refuses a certificate that was changed after it was signed", () => {
  const der = new Uint8Array(alice.certificate.raw);
  der[der.length - 1] = (der[der.length - 1] ?? 0) ^ 1;
  assert.equal(trustIn(ca).standing(der, NOW_MS).kind, "refused");
});

Deno.test("ClientTrust: a certificate counts from its first second to its last", async () => {
  const [notBeforeMs, notAfterMs] = [1_893_456_000_000, 1_893_456_010_000];
  const brief = await ca.issue({ notBeforeMs, notAfterMs });
  const wide = await TestAuthority.create({
    keys: ca.keys,
    notBeforeMs: 0,
    notAfterMs: 2_000_000_000_000,
  });
  const at = (nowMs: number) => standingOf(brief, { trust: trustIn(wide), nowMs });
  assertRefused(at(notBeforeMs - 1), /^is not valid before/);
  assertGood(at(notBeforeMs), notAfterMs);
  assertGood(at(notAfterMs - 1), notAfterMs);
  assertRefused(at(notAfterMs), /^has expired$/);
});

Deno.test("ClientTrust: a client is accepted no longer than its CA", async () => {
  const caEndMs = NOW_MS + 5 * DAY_MS;
  const brief = await TestAuthority.create({ keys: ca.keys, notAfterMs: caEndMs });
  assertGood(standingOf(alice, { trust: trustIn(brief) }), caEndMs);
  assertRefused(standingOf(alice, { trust: trustIn(brief), nowMs: caEndMs }), /^has expired$/);
});

Deno.test("ClientTrust: of two certificates of one CA the later one counts", async () => {
  const first = await TestAuthority.create({ keys: ca.keys, notAfterMs: NOW_MS - 1000 });
  const second = await TestAuthority.create({ keys: ca.keys, notAfterMs: NOW_MS + 2 * DAY_MS });
  for (const trust of [trustIn(first, second), trustIn(second, first)]) {
    assertGood(standingOf(alice, { trust }), NOW_MS + 2 * DAY_MS);
  }
  assertRefused(standingOf(alice, { trust: trustIn(first) }), /^has expired$/);
});

Deno.test("ClientTrust: refuses unknown issuers, also one with the name of the CA", async () => {
  const namesake = await TestAuthority.create();
  const other = await TestAuthority.create({ name: "other CA" });
  for (const issuer of [namesake, other]) {
    assertRefused(standingOf(await issuer.issue()), /is not signed by a CA that is trusted here/);
  }
  assertRefused(standingOf(alice, { trust: trustIn() }), /is not signed by a CA/);
});

Deno.test("ClientTrust: refuses an issuer whose key is the CA's and whose name is not", async () => {
  const renamed = await TestAuthority.create({ name: "renamed CA", keys: ca.keys });
  assertRefused(standingOf(await renamed.issue()), /is not signed by a CA/);
});

Deno.test("ClientTrust: a CA below the CA is not trusted by itself", async () => {
  const below = await ca.issue({ name: "below", isAuthority: true, purposes: undefined });
  const intermediate = await TestAuthority.create({ name: "below", keys: below.keys });
  const client = await intermediate.issue();
  assertRefused(standingOf(client), /is not signed by a CA/);
  assertGood(standingOf(client, { trust: trustIn(ca, below) }));
});

Deno.test("ClientTrust: CAs of one name and different kinds of keys do not disturb each other", async () => {
  const rsa = await TestAuthority.create({ kind: "rsa" });
  const clients = [alice, await rsa.issue()];
  for (const trust of [trustIn(ca, rsa), trustIn(rsa, ca)]) {
    for (const client of clients) assertGood(standingOf(client, { trust }));
  }
});

Deno.test("ClientTrust: refuses a revoked serial, however it is written, and no other", async () => {
  const first = await ca.issue({ serial: "00ab01" });
  const second = await ca.issue({ serial: "00ab02" });
  const high = await ca.issue({ serial: "7f00000000000000000000000000000001" });
  for (const serials of [["ab01"], ["00ab01"], ["0000AB01", "ff"]]) {
    const trust = await trustWith(serials);
    assertRefused(standingOf(first, { trust }), /^is revoked$/);
    assertGood(standingOf(second, { trust }));
  }
  const trust = await trustWith(["7f00000000000000000000000000000001"]);
  assertRefused(standingOf(high, { trust }), /^is revoked$/);
});

Deno.test("ClientTrust: a list revokes nothing of another CA", async () => {
  const other = await TestAuthority.create({ name: "other CA" });
  const [mine, theirs] = [await ca.issue({ serial: "55" }), await other.issue({ serial: "55" })];
  const trust = await trustWith(["55"], [ca, other], other);
  assertGood(standingOf(mine, { trust }));
  assertRefused(standingOf(theirs, { trust }), /^is revoked$/);
});

Deno.test("ClientTrust: a list holds for every certificate of its CA's key", async () => {
  const mine = await ca.issue({ serial: "66" });
  const renewed = await TestAuthority.create({ keys: ca.keys, notAfterMs: NOW_MS + 20 * DAY_MS });
  const trust = await trustWith(["66"], [renewed, ca], ca);
  assertRefused(standingOf(mine, { trust }), /^is revoked$/);
});

Deno.test("ClientTrust: a revoked certificate that has also expired is refused", async () => {
  const old = await ca.issue({ serial: "77", notAfterMs: NOW_MS - 1000 });
  const trust = await trustWith(["77"]);
  assert.equal(standingOf(old, { trust }).kind, "refused");
});
