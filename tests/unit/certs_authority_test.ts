import assert from "node:assert/strict";
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import { authorityPaths, loadAuthority, type Purpose } from "../../certs/authority.ts";
import {
  DAY_MS,
  makeAuthorityCertificate,
  makeLeafCertificate,
  validityOf,
} from "../../certs/certificate.ts";
import { CertsError } from "../../certs/errors.ts";
import { privateKeyPem, publicKeyDer, signingKey } from "../../certs/keys.ts";
import { toPem } from "../../common/pem.ts";
import { testKey } from "../support/keys.ts";
import {
  BasicConstraintsExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PublicKey,
  type X509Certificate,
  X509CertificateGenerator,
} from "../../certs/x509.ts";

const NOW = new Date("2030-06-01T12:00:00.789Z");

const KEY = testKey("one");
const OTHER_KEY = testKey("two");

async function authority(key: KeyObject = KEY, now = NOW): Promise<X509Certificate> {
  return await makeAuthorityCertificate(key, {
    commonName: "Test CA",
    validity: validityOf(now, 10),
  });
}

function pem(certificate: X509Certificate): string {
  return toPem("CERTIFICATE", new Uint8Array(certificate.rawData));
}

/** Reads a CA from a folder with the given files; undefined: no such file. */
async function load(
  certificate: string | undefined,
  key: string | undefined,
  now = NOW,
  purpose: Purpose = "issue",
) {
  const folder = await Deno.makeTempDir({ prefix: "certs-authority-" });
  try {
    const paths = authorityPaths(folder);
    if (certificate !== undefined) await Deno.writeTextFile(paths.certificate, certificate);
    if (key !== undefined) await Deno.writeTextFile(paths.key, key);
    return await loadAuthority(folder, { now, purpose });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function rejects(action: Promise<unknown>, message: RegExp): Promise<void> {
  return assert.rejects(action, (error) => {
    assert.ok(error instanceof CertsError && error.kind === "failure", String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  });
}

Deno.test("validityOf: begins an hour ago and ends after whole days, in whole seconds", () => {
  const { notBefore, notAfter } = validityOf(NOW, 366);
  assert.equal(notBefore.toISOString(), "2030-06-01T11:00:00.000Z");
  assert.equal(notAfter.toISOString(), "2031-06-02T12:00:00.000Z");
});

Deno.test("makeLeafCertificate: numbers certificates at random, 128 bits and positive", async () => {
  const issuer = { certificate: await authority(), key: KEY };
  const serials = new Set<string>();
  for (let count = 0; count < 20; count++) {
    const { serialNumber } = await makeLeafCertificate(OTHER_KEY, {
      commonName: "a",
      validity: validityOf(NOW, 1),
      purpose: { kind: "client", roles: ["reader"], roleOid: "1.2.3.4" },
      issuer,
    });
    assert.match(serialNumber, /^[0-9a-f]{24,32}$/);
    serials.add(serialNumber);
  }
  assert.equal(serials.size, 20);
});

Deno.test("loadAuthority: reads the key in each of the forms that OpenSSL writes", async () => {
  const certificate = await authority();
  for (const type of ["pkcs8", "pkcs1"] as const) {
    const key = KEY.export({ type, format: "pem" }).toString();
    const loaded = await load(pem(certificate), key);
    assert.equal(loaded.certificate.serialNumber, certificate.serialNumber);
    assert.equal(loaded.trustedPem, pem(certificate));
  }
});

Deno.test("loadAuthority: picks the certificate of the key while one CA follows another", async () => {
  const [before, after] = [await authority(OTHER_KEY), await authority(KEY)];
  const loaded = await load(pem(before) + pem(after), privateKeyPem(KEY));
  assert.equal(loaded.certificate.serialNumber, after.serialNumber);
  assert.equal(loaded.trustedPem, pem(before) + pem(after));
});

Deno.test("loadAuthority: says what to do when there is no CA", async () => {
  const nowhere = join(await Deno.makeTempDir({ prefix: "certs-authority-" }), "gone");
  try {
    await rejects(
      loadAuthority(nowhere, { now: NOW, purpose: "list" }),
      /^cannot list: the folder \S+gone does not exist; run worker-certs init --dir \S+gone first, or name the CA.s folder with --dir$/,
    );
  } finally {
    await Deno.remove(join(nowhere, ".."), { recursive: true });
  }
  await rejects(
    load(undefined, undefined, NOW, "revoke"),
    /^cannot revoke: there is no CA in \S+; run worker-certs init --dir \S+ first, or name/,
  );
});

Deno.test("loadAuthority: names the one file that is missing", async () => {
  await rejects(load(pem(await authority()), undefined), /\/ca\.key is missing; put it back/);
  await rejects(load(undefined, privateKeyPem(KEY)), /\/ca\.crt is missing; put it back/);
});

Deno.test("loadAuthority: refuses a key of another CA", async () => {
  await rejects(
    load(pem(await authority()), privateKeyPem(OTHER_KEY)),
    /ca\.key does not belong to \S+ca\.crt/,
  );
  await rejects(load("", privateKeyPem(KEY)), /ca\.key does not belong to \S+ca\.crt/);
});

Deno.test("loadAuthority: refuses damaged files", async () => {
  const certificate = pem(await authority());
  const key = privateKeyPem(KEY);
  await rejects(load(certificate.slice(0, 300), key), /ca\.crt: it is cut off/);
  await rejects(load(certificate.replace(/\n.{64}\n/, "\n"), key), /cannot be read$/);
  await rejects(load(certificate, key.slice(0, 300)), /ca\.key: it is cut off/);
  await rejects(load(certificate, key.replace(/\n.{64}\n/, "\n")), /damaged or of an unknown kind/);
  await rejects(load(certificate, certificate), /ca\.key: it holds no private key/);
  await rejects(load(certificate, ""), /ca\.key: it holds no private key/);
});

Deno.test("loadAuthority: says how to open a key with a passphrase", async () => {
  const certificate = pem(await authority());
  for (const label of ["ENCRYPTED PRIVATE KEY", "RSA PRIVATE KEY"]) {
    const key = toPem(label, new Uint8Array(90)).replace(
      "-----\n",
      label.startsWith("RSA") ? "-----\nProc-Type: 4,ENCRYPTED\n\n" : "-----\n",
    );
    await rejects(load(certificate, key), /protected by a passphrase; .*openssl pkey -in/);
  }
});

Deno.test("loadAuthority: refuses a CA out of its time", async () => {
  const certificate = pem(await authority());
  const key = privateKeyPem(KEY);
  const seconds = Math.floor(NOW.getTime() / 1000) * 1000;
  const end = new Date(seconds + 10 * DAY_MS);
  await load(certificate, key, new Date(end.getTime() - 1));
  await rejects(
    load(certificate, key, end),
    /^cannot issue: .* expired on 2030-06-11T12:00:00.000Z; make a new/,
  );
  // What it has issued can still be told.
  await load(certificate, key, end, "list");
  const start = new Date(seconds - 60 * 60 * 1000);
  await load(certificate, key, start);
  await rejects(
    load(certificate, key, new Date(start.getTime() - 1)),
    /not valid before 2030-06-01T11:00:00.000Z; check this host's clock/,
  );
});

Deno.test("loadAuthority: refuses a certificate that is not a CA's", async () => {
  const leaf = await makeLeafCertificate(KEY, {
    commonName: "leaf",
    validity: validityOf(NOW, 1),
    purpose: { kind: "client", roles: ["reader"], roleOid: "1.2.3.4" },
    issuer: { certificate: await authority(OTHER_KEY), key: OTHER_KEY },
  });
  await rejects(load(pem(leaf), privateKeyPem(KEY)), /ca\.crt is not the certificate of a CA/);
  // Each of the two statements alone must be enough to refuse.
  const extensions = [
    [],
    [new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)],
    [new BasicConstraintsExtension(false, undefined, true)],
    [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
    ],
  ];
  for (const items of extensions) {
    const certificate = await X509CertificateGenerator.create({
      subject: "CN=x",
      issuer: "CN=x",
      ...validityOf(NOW, 1),
      publicKey: new PublicKey(publicKeyDer(KEY)),
      signingKey: await signingKey(KEY),
      extensions: items,
    });
    await rejects(load(pem(certificate), privateKeyPem(KEY)), /is not the certificate of a CA/);
  }
});

Deno.test("loadAuthority: refuses a key that is too short", async () => {
  const short = testKey("short");
  await rejects(
    load(pem(await authority(short)), privateKeyPem(short)),
    /ca\.key is not an RSA key of 4096 bits; make a new CA/,
  );
});
