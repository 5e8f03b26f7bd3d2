/** Certificates and revocation lists with any contents, made in memory for unit tests of lib/tls. */
import { X509Certificate as NodeCertificate } from "node:crypto";
import { toPem } from "../../common/pem.ts";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsageExtension,
  Extension,
  type JsonGeneralName,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
  X509CrlGenerator,
} from "../../certs/x509.ts";

/** EC keys are made in a millisecond. */
const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** RSA keys of this size are made in a tenth of a second. */
const RSA = {
  name: "RSASSA-PKCS1-v1_5",
  hash: "SHA-256",
  modulusLength: 2048,
  publicExponent: new Uint8Array([1, 0, 1]),
} as const;

const ALGORITHMS = { ec: EC, rsa: RSA } as const;

export const DAY_MS = 86_400_000;

/** Purposes of certificates (RFC 5280, 4.2.1.12). */
export const PURPOSES = {
  server: "1.3.6.1.5.5.7.3.1",
  client: "1.3.6.1.5.5.7.3.2",
  mail: "1.3.6.1.5.5.7.3.4",
} as const;

/** A certificate with its private key. */
export interface Certified {
  readonly certificate: NodeCertificate;
  /** PEM. */
  readonly cert: string;
  /** PKCS #8 in PEM. */
  readonly key: string;
  readonly keys: CryptoKeyPair;
}

/** The contents of a certificate that differ from an ordinary one. */
export interface Contents {
  readonly name?: string;
  /** In milliseconds since 1970-01-01 UTC; a day ago unless given. */
  readonly notBeforeMs?: number;
  /** Likewise; in ten days unless given, and that of a CA in thirty. */
  readonly notAfterMs?: number;
  /** OIDs; undefined: the extension is left out. */
  readonly purposes?: readonly string[] | undefined;
  readonly names?: readonly JsonGeneralName[];
  /** Hexadecimal. */
  readonly serial?: string;
  readonly isAuthority?: boolean;
  /** How many CAs may be below it; undefined: any number. */
  readonly pathLength?: number;
  readonly extensions?: readonly Extension[];
  readonly keys?: CryptoKeyPair;
  /** The digest of the signature. */
  readonly hash?: "SHA-1" | "SHA-256" | "SHA-384";
}

/** A CA for tests. */
export class TestAuthority implements Certified {
  private constructor(
    readonly name: string,
    readonly algorithm: typeof EC | typeof RSA,
    readonly keys: CryptoKeyPair,
    readonly certificate: NodeCertificate,
    readonly cert: string,
    readonly key: string,
  ) {}

  /** Makes a CA with a key of its own, or with that of another CA. */
  static async create(
    { name = "test CA", kind = "ec", isAuthority = true, ...contents }: Contents & {
      kind?: keyof typeof ALGORITHMS;
    } = {},
  ): Promise<TestAuthority> {
    const algorithm = ALGORITHMS[kind];
    const keys = contents.keys ?? await generateKeys(algorithm);
    const notAfterMs = Date.now() + 30 * DAY_MS;
    const made = await sign({ notAfterMs, ...contents, name, isAuthority, keys }, {
      issuer: `CN=${name}`,
      signingKey: keys.privateKey,
      algorithm,
    });
    return new TestAuthority(name, algorithm, keys, made.certificate, made.cert, made.key);
  }

  /** Issues a certificate: a client's, unless the contents say otherwise. */
  async issue(contents: Contents = {}): Promise<Certified> {
    const keys = contents.keys ?? await generateKeys(EC);
    return await sign({ name: "alice", purposes: [PURPOSES.client], ...contents, keys }, {
      issuer: `CN=${this.name}`,
      signingKey: this.keys.privateKey,
      algorithm: this.algorithm,
    });
  }

  /** Makes a CA below this one. */
  async below(contents: Contents = {}): Promise<{ ca: TestAuthority; certificate: Certified }> {
    const { name = "below" } = contents;
    const certificate = await this.issue({
      isAuthority: true,
      purposes: undefined,
      ...contents,
      name,
    });
    return { ca: await TestAuthority.create({ name, keys: certificate.keys }), certificate };
  }

  /** Issues a server's certificate. */
  async issueServer(contents: Contents = {}): Promise<Certified> {
    const names = [{ type: "dns", value: "localhost" } as const];
    return await this.issue({ name: "server", purposes: [PURPOSES.server], names, ...contents });
  }

  /**
   * Makes a revocation list as PEM; a minute ago unless given, so that it is never in the future.
   *
   * @param serials Hexadecimal.
   */
  async revoke(
    serials: readonly string[],
    { madeAtMs = Date.now() - 60_000, nextAtMs = Date.now() + DAY_MS, extensions = [] }: {
      madeAtMs?: number;
      /** Null: the list does not name a time. */
      nextAtMs?: number | null;
      extensions?: Extension[];
    } = {},
  ): Promise<string> {
    const list = await X509CrlGenerator.create({
      issuer: `CN=${this.name}`,
      thisUpdate: new Date(madeAtMs),
      ...(nextAtMs !== null && { nextUpdate: new Date(nextAtMs) }),
      entries: serials.map((serialNumber) => ({ serialNumber, revocationDate: new Date() })),
      extensions,
      signingAlgorithm: this.algorithm,
      signingKey: this.keys.privateKey,
    });
    return toPem("X509 CRL", new Uint8Array(list.rawData));
  }
}

async function sign(
  { name, notBeforeMs, notAfterMs, purposes, names = [], serial, keys, ...contents }:
    & Contents
    & { name: string; keys: CryptoKeyPair },
  { issuer, signingKey, algorithm }: {
    issuer: string;
    signingKey: CryptoKey;
    algorithm: typeof EC | typeof RSA;
  },
): Promise<Certified> {
  const { isAuthority = false, pathLength, extensions = [], hash = "SHA-256" } = contents;
  const made = await X509CertificateGenerator.create({
    ...(serial !== undefined && { serialNumber: serial }),
    subject: `CN=${name}`,
    issuer,
    notBefore: new Date(notBeforeMs ?? Date.now() - DAY_MS),
    notAfter: new Date(notAfterMs ?? Date.now() + 10 * DAY_MS),
    publicKey: keys.publicKey,
    signingKey,
    signingAlgorithm: { ...algorithm, hash },
    extensions: [
      new BasicConstraintsExtension(isAuthority, pathLength, true),
      ...(purposes === undefined ? [] : [new ExtendedKeyUsageExtension([...purposes])]),
      ...(names.length === 0 ? [] : [new SubjectAlternativeNameExtension([...names])]),
      ...extensions,
    ],
  });
  const cert = toPem("CERTIFICATE", new Uint8Array(made.rawData));
  const pkcs8 = new Uint8Array(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
  return { certificate: new NodeCertificate(cert), cert, key: toPem("PRIVATE KEY", pkcs8), keys };
}

/** Makes a key pair. */
export async function generateKeys(
  algorithm: RsaHashedKeyGenParams | EcKeyGenParams,
): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]) as CryptoKeyPair;
}
