/**
 * Certificates that worker-certs would never make, by plain openssl. Keys of this size take seconds,
 * so every certificate here is for alice's key: what a test changes is what stands beside it.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { type Pki } from "./pki.ts";
import { run } from "./run.ts";

/** The extension that names the role, unless a server is told another one. */
export const ROLE_OID = "1.2.840.10070.8.1";

/** What stands in an ordinary client's certificate, as lines of OpenSSL's configuration. */
export const CLIENT_EXTENSIONS: readonly string[] = [
  "basicConstraints=critical,CA:FALSE",
  "keyUsage=critical,digitalSignature",
  "extendedKeyUsage=clientAuth",
];

/** What stands in an ordinary writer's certificate. */
export const WRITER_EXTENSIONS: readonly string[] = [
  ...CLIENT_EXTENSIONS,
  `${ROLE_OID}=ASN1:UTF8String:writer`,
];

/** What a certificate says. */
export interface CertificateText {
  /** Lines of OpenSSL's configuration, such as `basicConstraints=CA:FALSE`. */
  extensions: readonly string[];
  /** A day ago, unless given. */
  notBefore?: Date;
  /** In a year, unless given. */
  notAfter?: Date;
  /** The name of the CA among the PKI's files; `ca` unless given. `self` is the key itself. */
  issuer?: string;
  /** The common name; that of the files unless given. */
  commonName?: string;
}

const DAY_MS = 86_400_000;

/** Signs a certificate: NAME.crt and NAME.key are then among the PKI's files. */
export async function signCertificate(
  pki: Pki,
  name: string,
  text: CertificateText,
): Promise<void> {
  const key = pki.file(`${name}.key`);
  await Deno.copyFile(pki.file("alice.key"), key);
  await sign(pki, key, { ...text, commonName: text.commonName ?? name, out: `${name}.crt` });
}

/** Makes another CA with a key of its own, and with the very name of the first one. */
export async function makeOtherAuthority(
  pki: Pki,
  name: string,
  text: Pick<CertificateText, "notBefore" | "notAfter" | "commonName"> = {},
): Promise<void> {
  const key = pki.file(`${name}.key`);
  await openssl("genrsa", "-out", key, "2048");
  await sign(pki, key, {
    extensions: ["basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"],
    issuer: "self",
    out: `${name}.crt`,
    ...text,
    commonName: text.commonName ?? "Job Worker CA",
  });
}

interface SigningOptions extends CertificateText {
  commonName: string;
  out: string;
}

async function sign(pki: Pki, key: string, options: SigningOptions): Promise<void> {
  const { commonName, extensions, issuer = "ca", out } = options;
  const notBefore = options.notBefore ?? new Date(Date.now() - DAY_MS);
  const notAfter = options.notAfter ?? new Date(Date.now() + 365 * DAY_MS);
  const folder = await Deno.makeTempDir({ prefix: "job-worker-openssl-" });
  try {
    const config = join(folder, "config");
    await Deno.writeTextFile(config, configuration(folder, extensions));
    await Deno.writeTextFile(join(folder, "index"), "");
    const request = join(folder, "request");
    const subject = ["-subj", `/CN=${commonName}`, "-config", config];
    await openssl("req", "-new", "-key", key, "-out", request, ...subject);
    const signer = issuer === "self"
      ? ["-selfsign", "-keyfile", key]
      : ["-cert", pki.file(`${issuer}.crt`), "-keyfile", pki.file(`${issuer}.key`)];
    const dates = ["-startdate", generalizedTime(notBefore), "-enddate", generalizedTime(notAfter)];
    const files = ["-in", request, "-out", pki.file(out), "-config", config];
    await openssl("ca", "-batch", "-notext", ...files, ...signer, ...dates);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function configuration(folder: string, extensions: readonly string[]): string {
  return [
    "[req]",
    "distinguished_name=names",
    "[names]",
    "[ca]",
    "default_ca=authority",
    "[authority]",
    `database=${folder}/index`,
    `new_certs_dir=${folder}`,
    "rand_serial=yes",
    "default_md=sha256",
    "policy=policy",
    "x509_extensions=extensions",
    "[policy]",
    "commonName=supplied",
    "[extensions]",
    ...extensions,
    "",
  ].join("\n");
}

/** YYYYMMDDHHMMSSZ, as X.509 has it. */
function generalizedTime(date: Date): string {
  return `${date.toISOString().slice(0, 19).replaceAll(/[-:T]/g, "")}Z`;
}

async function openssl(...args: string[]): Promise<void> {
  const { code, stderr } = await run("openssl", args);
  assert.equal(code, 0, `openssl ${args.join(" ")}: ${stderr}`);
}

/**
 * Writes a revocation list, as `openssl ca -gencrl` makes it.
 *
 * @param path Where to.
 * @param text `issuer` as for certificates; `madeAt` is now unless given.
 */
export async function makeRevocationList(
  pki: Pki,
  path: string,
  text: { serials: readonly string[]; issuer?: string; madeAt?: Date; nextAt?: Date },
): Promise<void> {
  const { serials, issuer = "ca", madeAt = new Date(), nextAt } = text;
  const folder = await Deno.makeTempDir({ prefix: "job-worker-openssl-" });
  try {
    const config = join(folder, "config");
    await Deno.writeTextFile(config, configuration(folder, ["basicConstraints=CA:FALSE"]));
    const lines = serials.map((serial) => {
      const digits = serial.length % 2 === 0 ? serial : `0${serial}`;
      return `R\t391231235959Z\t260101000000Z\t${digits}\tunknown\t/CN=x\n`;
    });
    await Deno.writeTextFile(join(folder, "index"), lines.join(""));
    const signer = ["-cert", pki.file(`${issuer}.crt`), "-keyfile", pki.file(`${issuer}.key`)];
    const next = nextAt ?? new Date(madeAt.getTime() + 60 * DAY_MS);
    const times = [
      "-crl_lastupdate",
      generalizedTime(madeAt),
      "-crl_nextupdate",
      generalizedTime(next),
    ];
    const staged = join(folder, "list");
    await openssl("ca", "-gencrl", "-config", config, ...signer, ...times, "-out", staged);
    await Deno.copyFile(staged, path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
