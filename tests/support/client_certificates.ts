/** Certificates with any names and dates for the client's tests, made in memory. */
import "reflect-metadata";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
  X509CrlGenerator,
} from "@peculiar/x509";
import { Buffer } from "node:buffer";

/** EC keys are made at once; the client makes no difference between them and RSA ones. */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const DAY_MS = 86_400_000;

/** A certificate and its key, as PEM. */
export interface Pair {
  readonly cert: string;
  readonly key: string;
}

/** What a certificate says. */
export interface Subject {
  readonly name: string;
  /** Names and addresses of a server. */
  readonly names?: readonly { type: "dns" | "ip"; value: string }[];
  /** Milliseconds from now; from a day ago to in ten days unless given. */
  readonly fromMs?: number;
  readonly toMs?: number;
  /** What it may be used for; nothing is said unless given. */
  readonly purposes?: readonly ("client" | "server")[];
}

/** A CA that lives as long as the test. */
export class Authority {
  readonly #certificate: X509Certificate;
  readonly #keys: CryptoKeyPair;

  private constructor(certificate: X509Certificate, keys: CryptoKeyPair) {
    this.#certificate = certificate;
    this.#keys = keys;
  }

  /** Makes a CA with a key of its own. */
  static async create(name = "test CA"): Promise<Authority> {
    const keys = await generateKeys();
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: newSerial(),
      name: `CN=${name}`,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + 30 * DAY_MS),
      signingAlgorithm: ALGORITHM,
      keys,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new Authority(certificate, keys);
  }

  /** The CA's certificate. */
  get cert(): string {
    return `${this.#certificate.toString("pem")}\n`;
  }

  /** Issues a certificate. */
  async issue(
    { name, names = [], fromMs = -DAY_MS, toMs = 10 * DAY_MS, purposes = [] }: Subject,
  ): Promise<Pair> {
    const keys = await generateKeys();
    return this.#sign({ keys, name, names, fromMs, toMs, purposes, isAuthority: false });
  }

  /** A revocation list with these serials (hexadecimal), as DER. */
  async revoke(serials: readonly string[]): Promise<Uint8Array<ArrayBuffer>> {
    const list = await X509CrlGenerator.create({
      issuer: this.#certificate.subject,
      thisUpdate: new Date(Date.now() - DAY_MS),
      nextUpdate: new Date(Date.now() + DAY_MS),
      entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date() })),
      signingAlgorithm: ALGORITHM,
      signingKey: this.#keys.privateKey,
    });
    return new Uint8Array(list.rawData);
  }

  /** Issues a CA below this one. */
  async createIntermediate(name: string): Promise<Authority> {
    const keys = await generateKeys();
    const subject = { names: [], purposes: [], fromMs: -DAY_MS, toMs: 10 * DAY_MS };
    const { certificate } = await this.#sign({ keys, name, ...subject, isAuthority: true });
    return new Authority(certificate, keys);
  }

  async #sign({ keys, name, names, fromMs, toMs, purposes, isAuthority }: Required<Subject> & {
    keys: CryptoKeyPair;
    isAuthority: boolean;
  }): Promise<Pair & { certificate: X509Certificate }> {
    const certificate = await X509CertificateGenerator.create({
      serialNumber: newSerial(),
      subject: `CN=${name}`,
      issuer: this.#certificate.subject,
      notBefore: new Date(Date.now() + fromMs),
      notAfter: new Date(Date.now() + toMs),
      signingAlgorithm: ALGORITHM,
      signingKey: this.#keys.privateKey,
      publicKey: keys.publicKey,
      extensions: [
        new BasicConstraintsExtension(isAuthority, undefined, true),
        ...(purposes.length > 0 ? [new ExtendedKeyUsageExtension(purposes.map(toOid))] : []),
        ...(names.length > 0 ? [new SubjectAlternativeNameExtension([...names])] : []),
      ],
    });
    const cert = `${certificate.toString("pem")}\n`;
    return { certificate, cert, key: await exportKey(keys.privateKey) };
  }
}

function toOid(purpose: "client" | "server"): ExtendedKeyUsage {
  return purpose === "client" ? ExtendedKeyUsage.clientAuth : ExtendedKeyUsage.serverAuth;
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);
}

async function exportKey(key: CryptoKey): Promise<string> {
  const base64 = Buffer.from(await crypto.subtle.exportKey("pkcs8", key)).toString("base64");
  const lines = base64.match(/.{1,64}/g) ?? [];
  return `-----BEGIN PRIVATE KEY-----\n${lines.join("\n")}\n-----END PRIVATE KEY-----\n`;
}

function newSerial(): string {
  return `01${crypto.randomUUID().replaceAll("-", "").slice(0, 14)}`;
}
