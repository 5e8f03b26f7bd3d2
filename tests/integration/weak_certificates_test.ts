/** Certificates that are too weak to be believed, made by plain openssl. */
// Attacks: the check of certificates.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { ClientTrust } from "../../lib/tls/client_trust.ts";
import { TestClient } from "../support/client.ts";
import { testPki } from "../support/pki.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { ROLE_OID } from "../support/openssl.ts";

const EXTENSIONS = "basicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n";

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await run("openssl", args);
  assert.equal(code, 0, stderr);
}

/** What a client's key is made with, how it is signed, and what is said of it. */
const CASES: readonly [key: string[], digest: string, said: RegExp | "good"][] = [
  [["rsa:2048"], "-sha256", "good"],
  [["ec", "-pkeyopt", "ec_paramgen_curve:P-256"], "-sha384", "good"],
  [["ed25519"], "-sha256", "good"],
  [["rsa:1024"], "-sha256", /too weak: its RSA key has 1024 bits/],
  [["ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"], "-sha256", /too weak|cannot be decoded/],
  [["rsa:2048"], "-sha1", /too weak: it is signed with sha1/i],
  [["rsa:2048"], "-md5", /too weak|cannot be decoded/],
];

Deno.test("ClientTrust.standing: refuses weak keys and digests, and takes strong ones", async (t) => {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-weak-" });
  const file = (name: string) => join(folder, name);
  try {
    await openssl(
      ...["req", "-x509", "-newkey", "rsa:2048", "-noenc", "-subj", "/CN=ca"],
      ...["-addext", "basicConstraints=critical,CA:TRUE"],
      ...["-keyout", file("ca.key"), "-out", file("ca.crt")],
    );
    const authority = new X509Certificate(await Deno.readTextFile(file("ca.crt")));
    const trust = new ClientTrust([authority], []);
    await Deno.writeTextFile(file("ext"), EXTENSIONS);
    for (const [key, digest, said] of CASES) {
      await t.step(`${key.at(-1)} ${digest}`, async () => {
        await openssl(
          ...["req", "-new", "-newkey", ...key, "-noenc", "-subj", "/CN=weak"],
          ...["-keyout", file("key"), "-out", file("csr")],
        );
        await openssl(
          ...["x509", "-req", digest, "-in", file("csr"), "-CA", file("ca.crt"), "-CAkey"],
          ...[file("ca.key"), "-CAcreateserial", "-extfile", file("ext"), "-out", file("crt")],
        );
        const { raw } = new X509Certificate(await Deno.readTextFile(file("crt")));
        const standing = trust.standing(raw, Date.now() + 1000);
        if (said === "good") return assert.equal(standing.kind, "good", JSON.stringify(standing));
        assert.equal(standing.kind, "refused");
        assert.match(JSON.stringify(standing), said);
      });
    }
    const der = authority.raw;
    assert.match(
      JSON.stringify(trust.standing(der, Date.now() + 1000)),
      /is the certificate of a CA/,
    );
    assert.match(JSON.stringify(trust.standing(der.subarray(0, 99), 0)), /cannot be decoded/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

/** The same over the wire: a writer by its own account, signed by the server's CA. */
async function signOverTheWire(folder: string, key: readonly string[], digest: string) {
  const pki = await testPki();
  const file = (name: string) => join(folder, name);
  await Deno.writeTextFile(file("ext"), `${EXTENSIONS}${ROLE_OID}=ASN1:UTF8String:writer\n`);
  await openssl(
    ...["req", "-new", "-newkey", ...key, "-noenc", "-subj", "/CN=weak"],
    ...["-keyout", file("key"), "-out", file("csr")],
  );
  await openssl(
    ...["x509", "-req", digest, "-in", file("csr"), "-CA", pki.file("ca.crt"), "-CAkey"],
    ...[pki.file("ca.key"), "-set_serial", "77", "-extfile", file("ext"), "-out", file("crt")],
  );
  const read = (path: string) => Deno.readTextFile(path);
  return {
    ca: await read(pki.file("ca.crt")),
    cert: await read(file("crt")),
    key: await read(file("key")),
  };
}

Deno.test({
  name: "weak certificates: the server lets none of them call, and strong ones made alike may",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn(t) {
    await using server = await TestServer.start();
    const folder = await Deno.makeTempDir({ prefix: "job-worker-weak-" });
    try {
      for (const [key, digest, said] of CASES) {
        // The runtime's client cannot show these at all, good or not.
        if (key.includes("ed25519")) continue;
        await t.step(`${key.at(-1)} ${digest}`, async () => {
          const identity = await signOverTheWire(folder, key, digest);
          const refusal = await callAs(server, identity);
          if (said === "good") return assert.equal(refusal, undefined);
          assert(refusal !== undefined, "it may call");
          const codes: unknown[] = [status.UNAUTHENTICATED, status.UNAVAILABLE, "local"];
          assert(codes.includes(refusal), `status ${refusal}`);
        });
      }
      const calls = server.log.split("\n").filter((line) =>
        line.includes('"who":"weak"') && line.includes('"code":"OK"')
      );
      assert.equal(calls.length, 2, "one call for each of the good ones");
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
});

/** Starts a job; returns the status that refused it, or `local` where our own side already does. */
async function callAs(
  server: TestServer,
  identity: ConstructorParameters<typeof TestClient>[1],
): Promise<unknown> {
  let client: TestClient;
  try {
    client = new TestClient(server.address, identity);
  } catch {
    return "local";
  }
  try {
    await client.start("true");
    return undefined;
  } catch (error) {
    return (error as { code?: unknown }).code;
  } finally {
    client.raw.close();
  }
}
