/** A company's PKI over the wire: a root in --ca, CAs below it in the files of certificates. */
// Attacks: the check of CAs between a certificate and a trusted one.
import { type ServiceError, status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestClient } from "../support/client.ts";
import { ROLE_OID } from "../support/openssl.ts";
import { run } from "../support/run.ts";
import { TestServer } from "../support/server.ts";
import { until } from "../support/wait.ts";

const CA = ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"];
const WRITER = [
  "basicConstraints=CA:FALSE",
  "extendedKeyUsage=clientAuth",
  `${ROLE_OID}=ASN1:UTF8String:writer`,
];
const SERVER = [
  "basicConstraints=CA:FALSE",
  "extendedKeyUsage=serverAuth",
  "subjectAltName=DNS:localhost,IP:127.0.0.1",
];

/** A PKI in a folder, by plain openssl, with EC keys. */
class CompanyPki {
  constructor(readonly folder: string) {}

  file(name: string): string {
    return join(this.folder, name);
  }

  /** Makes NAME.key and NAME.crt. @param issuer `self`: a root. */
  async make(
    name: string,
    { extensions, issuer, days = 9 }: {
      readonly extensions: readonly string[];
      readonly issuer: string;
      readonly days?: number;
    },
  ): Promise<void> {
    const [key, csr, crt, ext] = ["key", "csr", "crt", "ext"].map((kind) =>
      this.file(`${name}.${kind}`)
    ) as [string, string, string, string];
    await Deno.writeTextFile(ext, `${extensions.join("\n")}\n`);
    await openssl(
      ...["req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"],
      ...["-subj", `/CN=${name}`, "-keyout", key, "-out", csr],
    );
    const signer = issuer === "self" ? ["-signkey", key] : [
      "-CA",
      this.file(`${issuer}.crt`),
      "-CAkey",
      this.file(`${issuer}.key`),
      "-CAcreateserial",
    ];
    await openssl(
      ...["x509", "-req", "-in", csr, ...signer, "-days", String(days)],
      ...["-extfile", ext, "-out", crt],
    );
  }

  /** Writes NAME with the certificates of others, one after the other. */
  async join(name: string, ...certificates: readonly string[]): Promise<string> {
    const texts = certificates.map((each) => Deno.readTextFileSync(this.file(`${each}.crt`)));
    const whole = this.file(name);
    await Deno.writeTextFile(`${whole}.new`, texts.join(""));
    await Deno.rename(`${whole}.new`, whole);
    return whole;
  }
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await run("openssl", args);
  assert.equal(code, 0, stderr);
}

/** The error that a call fails with. */
async function assertFails(call: Promise<unknown>): Promise<ServiceError> {
  try {
    await call;
  } catch (error) {
    return error as ServiceError;
  }
  assert.fail("it may call");
}

/** Runs the compiled client as somebody of the PKI. */
async function callAs(
  { server, pki }: { readonly server: TestServer; readonly pki: CompanyPki },
  cert: string,
  key: string,
): Promise<{ code: number; stderr: string }> {
  const identity = ["--ca", pki.file("root.crt"), "--cert", cert, "--key", pki.file(`${key}.key`)];
  return await server.cli(["list", ...identity]);
}

Deno.test({
  name: "certificate chain: CAs below the root lead to it, on both sides, and nothing else does",
  // grpc-js ends sockets and timers some time after it was told to.
  sanitizeOps: false,
  sanitizeResources: false,
  fn,
});

async function fn(t: Deno.TestContext): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-chain-" });
  const pki = new CompanyPki(folder);
  try {
    await pki.make("root", { extensions: CA, issuer: "self", days: 30 });
    await pki.make("issuing", { extensions: [`${CA[0]},pathlen:0`, CA[1] ?? ""], issuer: "root" });
    await pki.make("server", { extensions: SERVER, issuer: "issuing" });
    await pki.make("alice", { extensions: WRITER, issuer: "issuing" });
    const chain = await pki.join("server-chain.crt", "server", "issuing");
    await using server = await TestServer.start({
      flags: [
        ...["--ca", pki.file("root.crt"), "--cert", chain, "--key", pki.file("server.key")],
        ...["--crl", pki.file("lists.crl")],
      ],
    });
    const world = { server, pki };
    const alice = await pki.join("alice-chain.crt", "alice", "issuing");

    await t.step(
      "a client with the chain may call, and one without is told what is missing",
      async () => {
        const called = await callAs(world, alice, "alice");
        assert.equal(called.code, 0, called.stderr);
        const alone = await callAs(world, pki.file("alice.crt"), "alice");
        assert.deepEqual(
          [alone.code, /CN=issuing did/.test(alone.stderr)],
          [4, true],
          alone.stderr,
        );
      },
    );

    /** A forged writer, below a CA that may not sign it; the client's own checks are gone round. */
    const forge = async (name: string, by: string, ...others: string[]): Promise<string> => {
      await pki.make(name, { extensions: WRITER, issuer: by });
      return await pki.join(`${name}-chain.crt`, name, by, ...others);
    };
    const call = async (chainFile: string, name: string) => {
      const read = (file: string) => Deno.readTextFileSync(file);
      const client = new TestClient(server.address, {
        ca: read(pki.file("root.crt")),
        cert: read(chainFile),
        key: read(pki.file(`${name}.key`)),
      });
      try {
        await client.list();
      } finally {
        client.raw.close();
      }
    };
    await call(alice, "alice");
    const refuse = async (chainFile: string, name: string) => {
      const { code } = await assertFails(call(chainFile, name));
      assert([status.UNAUTHENTICATED, status.UNAVAILABLE].includes(code), `${name}: ${code}`);
    };

    await t.step("a client's key signs nobody", async () => {
      await refuse(await forge("mallory", "alice", "issuing"), "mallory");
    });
    await t.step("a CA below one that may have none signs nobody", async () => {
      await pki.make("deeper", { extensions: CA, issuer: "issuing" });
      await refuse(await forge("deep", "deeper", "issuing"), "deep");
    });
    await t.step("a CA of another root signs nobody", async () => {
      await pki.make("stranger", { extensions: CA, issuer: "self" });
      await pki.make("strange", { extensions: CA, issuer: "stranger" });
      await refuse(await forge("odd", "strange", "stranger"), "odd");
    });
    await t.step("a CA for other host names leads to no server", async () => {
      const names =
        "nameConstraints=critical,permitted;DNS:example.com,excluded;IP:0.0.0.0/0.0.0.0";
      await pki.make("narrow", { extensions: [...CA, names], issuer: "root" });
      await pki.make("posing", { extensions: SERVER, issuer: "narrow" });
      const posing = await pki.join("posing-chain.crt", "posing", "narrow");
      await using other = await TestServer.start({
        flags: ["--ca", pki.file("root.crt"), "--cert", posing, "--key", pki.file("posing.key")],
      });
      const { code, stderr } = await callAs({ server: other, pki }, alice, "alice");
      assert.equal(code, 3, stderr);
    });
    await t.step("a new chain file is taken while the server runs", async () => {
      await pki.make("next", { extensions: CA, issuer: "root", days: 20 });
      await pki.make("renewed", { extensions: SERVER, issuer: "next" });
      await Deno.copyFile(pki.file("renewed.key"), pki.file("server.key"));
      await pki.join("server-chain.crt", "renewed", "next");

      await until("the files are read", () => server.log.includes("certificates reloaded"));
      const { code, stderr } = await callAs(world, alice, "alice");
      assert.equal(code, 0, stderr);
    });
    await t.step("the issuing CA's revocation ends what it has signed", async () => {
      await Deno.writeTextFile(pki.file("index"), "");
      const configuration = `[ca]\ndefault_ca=d\n[d]\ndatabase=${pki.file("index")}\n` +
        "default_md=sha256\ndefault_crl_days=5\n";
      await Deno.writeTextFile(pki.file("ca.conf"), configuration);
      const ca = [
        ...["ca", "-config", pki.file("ca.conf"), "-cert", pki.file("root.crt")],
        ...["-keyfile", pki.file("root.key")],
      ];
      await openssl(...ca, "-revoke", pki.file("issuing.crt"));
      await openssl(...ca, "-gencrl", "-out", pki.file("lists.crl"));
      await until("the list is read", () => server.log.includes("revocation list reloaded"));
      const { code, stderr } = await callAs(world, alice, "alice");
      assert.deepEqual([code, /issued by a CA that is revoked/.test(stderr)], [4, true], stderr);
    });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
