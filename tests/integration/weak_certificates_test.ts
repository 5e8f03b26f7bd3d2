/** Certificates that are too weak to be believed, made by plain openssl. */
import { strict as assert } from "node:assert";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { ClientTrust } from "../../lib/client_trust.ts";
import { run } from "./harness.ts";

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
  [["ec", "-pkeyopt", "ec_paramgen_curve:secp224r1"], "-sha256", /too weak|cannot be understood/],
  [["rsa:2048"], "-sha1", /too weak: it is signed with sha1/i],
  [["rsa:2048"], "-md5", /too weak|cannot be understood/],
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
    assert.match(JSON.stringify(trust.standing(der, Date.now() + 1000)), /is that of a CA/);
    assert.match(JSON.stringify(trust.standing(der.subarray(0, 99), 0)), /cannot be understood/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
