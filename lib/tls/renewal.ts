/** Reloads certificates and revocation lists while the server runs, whenever their files change. */
import type { X509Certificate } from "node:crypto";
import { ClientTrust } from "./client_trust.ts";
import { messageOf } from "../errors.ts";
import { ExpiryWarnings, formatTimeLeft } from "./expiry.ts";
import { log, type LogFields } from "../log.ts";
import {
  type Expiry,
  type IdentityFiles,
  IdentityReader,
  type ServerIdentity,
} from "./server_identity.ts";
import { Revocations } from "./revocation_file.ts";

/**
 * How often the files are read: 4 small ones take less than half a millisecond, and are checked where
 * they have changed. File system events
 * would come sooner, but are missing on some file systems and behind some links.
 */
const LOOK_INTERVAL_MS = 2000;

/** Where the files are. */
export interface RenewalFiles extends IdentityFiles {
  /** Revocation lists in PEM; it need not exist. */
  crl: string;
}

/** The server's own certificate, and which client certificates it accepts. */
export interface Credentials {
  identity: ServerIdentity;
  trust: ClientTrust;
}

/** The credentials in force. Files that cannot be used never replace them. */
export class Renewal implements Credentials {
  readonly #files: RenewalFiles;
  readonly #reader: IdentityReader;
  readonly #revocations: Revocations;
  readonly #warnings = new ExpiryWarnings();
  #identity: ServerIdentity;
  #trust: ClientTrust;
  /** Changes that `onChange` has not accepted yet: their log messages, with fields. */
  readonly #pending = new Map<string, LogFields>();
  #problem: string | undefined;
  #looking: Promise<void> | undefined;

  private constructor(files: RenewalFiles, identity: ServerIdentity, revocations: Revocations) {
    this.#files = files;
    this.#reader = new IdentityReader(files);
    this.#identity = identity;
    this.#revocations = revocations;
    this.#trust = new ClientTrust(identity.authorities, revocations.lists);
  }

  /**
   * Begins with an identity that was just read, and reads the revocation lists.
   *
   * @param options `logFolder` is where a copy of the lists is kept.
   * @throws {Error} One line that names the file and says what to do. A revocation list that cannot
   * be used is an error only where no earlier server has left a copy.
   */
  static async open(
    files: RenewalFiles,
    { identity, logFolder }: { identity: ServerIdentity; logFolder: string },
  ): Promise<Renewal> {
    const nowMs = Date.now();
    const context = { authorities: listSigners(identity), nowMs };
    const revocations = await Revocations.open(files.crl, { ...context, logFolder });
    const renewal = new Renewal(files, identity, revocations);
    try {
      await revocations.refresh(context);
    } catch (error) {
      if (revocations.lists.length === 0) throw error;
      renewal.#report(messageOf(error));
    }
    renewal.#trust = new ClientTrust(identity.authorities, revocations.lists);
    renewal.#warn(nowMs);
    return renewal;
  }

  /** The server's own certificate. */
  get identity(): ServerIdentity {
    return this.#identity;
  }

  /** Which client certificates are accepted. */
  get trust(): ClientTrust {
    return this.#trust;
  }

  /** When certificates and lists in force expire, with their files. */
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
   * Watches the files until the result is disposed of.
   *
   * @param onChange Called with the credentials that are in force from now on; where it
   * throws, again at the next look.
   * @returns `look` reads the files at once.
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
    const identity = await this.#attempt(problems, () => this.#reader.read(nowMs));
    const isRenewed = identity !== undefined && !isSame(identity, this.#identity);
    const present = isRenewed ? identity : this.#identity;
    const isRevised = await this.#attempt(
      problems,
      () => this.#revocations.refresh({ authorities: listSigners(present), nowMs }),
    );
    if (isRenewed) {
      this.#identity = identity;
      this.#pending.set("certificates reloaded", { cert: this.#files.cert });
    }
    if (isRevised === true) {
      this.#pending.set("revocation list reloaded", { revoked: this.revokedCount });
    }
    if (isRenewed || isRevised === true) {
      this.#trust = new ClientTrust(present.authorities, this.#revocations.lists);
    }
    if (this.#pending.size > 0) await this.#attempt(problems, () => this.#announce(onChange));
    this.#report(problems.join("; "));
    this.#warn(nowMs);
  }

  /** Where `onChange` throws, it is called again at the next look. */
  #announce(onChange: (credentials: Credentials) => void): void {
    onChange(this);
    for (const [message, fields] of this.#pending) log.info(message, fields);
    this.#pending.clear();
  }

  async #attempt<T>(problems: string[], action: () => T | Promise<T>): Promise<T | undefined> {
    try {
      return await action();
    } catch (error) {
      problems.push(messageOf(error));
      return undefined;
    }
  }

  /** Logs a problem once, and its end. */
  #report(problem: string): void {
    if (problem === (this.#problem ?? "")) return;
    this.#problem = problem;
    if (problem === "") log.info("the certificate files can be used again");
    else log.error("keeping the previous certificates", { problem });
  }

  #warn(nowMs: number): void {
    for (const { file, atMs } of this.expiries) {
      if (!this.#warnings.isDue(file, atMs, nowMs)) continue;
      log.warn(`${file} ${formatTimeLeft(atMs - nowMs)}`, { at: new Date(atMs).toISOString() });
    }
  }
}

/** Who may sign lists: the CAs that are trusted, and those that lead from them to the server. */
function listSigners({ authorities, intermediates }: ServerIdentity): X509Certificate[] {
  return [...authorities, ...intermediates];
}

/** A CA that has expired since the last look is a change, too. */
function isSame(one: ServerIdentity, other: ServerIdentity): boolean {
  return one.ca === other.ca && one.cert === other.cert && one.key === other.key &&
    one.authorities.length === other.authorities.length;
}
