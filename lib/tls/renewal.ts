/** Certificates and revocation lists are renewed while the server runs, whenever their files change. */
import { ClientTrust } from "./client_trust.ts";
import { messageOf } from "../errors.ts";
import { ExpiryWarnings, formatTimeLeft } from "./expiry.ts";
import { log } from "../log.ts";
import {
  type Expiry,
  type IdentityFiles,
  readServerIdentity,
  type ServerIdentity,
} from "./server_identity.ts";
import { Revocations } from "./revocation_file.ts";

/**
 * The files are read so often: 4 small ones, which costs less than half a millisecond. Events of the
 * file system would come sooner, and not at all on some file systems and behind some links.
 */
const LOOK_INTERVAL_MS = 2000;

/** Where the files are. */
export interface RenewalFiles extends IdentityFiles {
  /** Revocation lists in PEM; it need not exist. */
  crl: string;
}

/** What the server shows and whom it believes. */
export interface Credentials {
  identity: ServerIdentity;
  trust: ClientTrust;
}

/** The credentials in force. What is broken never replaces what works. */
export class Renewal implements Credentials {
  readonly #files: RenewalFiles;
  readonly #revocations: Revocations;
  readonly #warnings = new ExpiryWarnings();
  #identity: ServerIdentity;
  #trust: ClientTrust;
  #problem: string | undefined;
  #looking: Promise<void> | undefined;

  private constructor(files: RenewalFiles, identity: ServerIdentity, revocations: Revocations) {
    this.#files = files;
    this.#identity = identity;
    this.#revocations = revocations;
    this.#trust = new ClientTrust(identity.authorities, revocations.lists);
  }

  /**
   * Begins with an identity that was just read, and reads the revocation lists.
   *
   * @param options `logFolder` is where a copy of the lists is kept.
   * @throws {Error} One line that names the file and says what to do. A revocation list that cannot
   * be used is one of these only where no earlier server has left a copy.
   */
  static async open(
    files: RenewalFiles,
    { identity, logFolder }: { identity: ServerIdentity; logFolder: string },
  ): Promise<Renewal> {
    const nowMs = Date.now();
    const context = { authorities: identity.authorities, nowMs };
    const revocations = await Revocations.open(files.crl, { ...context, logFolder });
    const renewal = new Renewal(files, identity, revocations);
    try {
      await revocations.refresh(context);
    } catch (error) {
      if (revocations.lists.length === 0) throw error;
      renewal.#tell(messageOf(error));
    }
    renewal.#trust = new ClientTrust(identity.authorities, revocations.lists);
    renewal.#warn(nowMs);
    return renewal;
  }

  /** What the server shows. */
  get identity(): ServerIdentity {
    return this.#identity;
  }

  /** Whom it believes. */
  get trust(): ClientTrust {
    return this.#trust;
  }

  /** Files in force, and when what is in them expires. */
  get expiries(): Expiry[] {
    const lists = this.#revocations.lists.flatMap(({ nextUpdateMs }) =>
      nextUpdateMs === undefined ? [] : [{ file: this.#files.crl, atMs: nextUpdateMs }]
    );
    return [...this.#identity.expiries, ...lists];
  }

  /** How many certificates are revoked. */
  get revokedCount(): number {
    return this.#revocations.lists.reduce((sum, { serials }) => sum + serials.size, 0);
  }

  /**
   * Follows the files until it is disposed of.
   *
   * @param onChange Called with what is in force from now on.
   * @returns `look` looks at once.
   */
  follow(onChange: (credentials: Credentials) => void): Disposable & { look(): Promise<void> } {
    const look = () =>
      this.#looking ??= this.#look(onChange).finally(() => this.#looking = undefined);
    const timer = setInterval(look, LOOK_INTERVAL_MS);
    return { look, [Symbol.dispose]: () => clearInterval(timer) };
  }

  async #look(onChange: (credentials: Credentials) => void): Promise<void> {
    const nowMs = Date.now();
    const problems: string[] = [];
    const identity = await this.#attempt(problems, () => readServerIdentity(this.#files, nowMs));
    const isRenewed = identity !== undefined && !isSame(identity, this.#identity);
    const { authorities } = isRenewed ? identity : this.#identity;
    const isRevised = await this.#attempt(
      problems,
      () => this.#revocations.refresh({ authorities, nowMs }),
    );
    if (isRenewed) this.#identity = identity;
    if (isRenewed || isRevised === true) {
      this.#trust = new ClientTrust(authorities, this.#revocations.lists);
      await this.#attempt(problems, () => Promise.resolve(onChange(this)));
      if (isRenewed) log.info("the certificates are renewed", { cert: this.#files.cert });
      if (isRevised === true) {
        log.info("the revocation list is renewed", { revoked: this.revokedCount });
      }
    }
    this.#tell(problems.join("; "));
    this.#warn(nowMs);
  }

  async #attempt<T>(problems: string[], action: () => Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  }

  /** The same problem is told once, and its end as well. */
  #tell(problem: string): void {
    if (problem === (this.#problem ?? "")) return;
    this.#problem = problem;
    if (problem === "") log.info("the certificate files are in order again");
    else log.error("the certificates of before stay in force", { problem });
  }

  #warn(nowMs: number): void {
    for (const { file, atMs } of this.expiries) {
      if (!this.#warnings.isDue(file, atMs, nowMs)) continue;
      log.warn(`${file} ${formatTimeLeft(atMs - nowMs)}`, { at: new Date(atMs).toISOString() });
    }
  }
}

/** An authority that has expired meanwhile is a change, too. */
function isSame(one: ServerIdentity, other: ServerIdentity): boolean {
  return one.ca === other.ca && one.cert === other.cert && one.key === other.key &&
    one.authorities.length === other.authorities.length;
}
