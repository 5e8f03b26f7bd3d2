/**
 * When handshakes begin. Each costs a signature of the server's key (6 ms of RSA 4096), which anyone
 * can ask for who can reach the port; so they take turns, and leave time to the calls under way.
 */
import { TokenBucket } from "../access/token_bucket.ts";

/** Between two handshakes at least. */
const GAP_MS = 5;

/** A server that is busy otherwise begins a handshake in this time, whatever waits. */
const MAX_POSTPONED_MS = 100;

/** Handshakes of one address that are not completed: at once, and in a second. */
const UNFINISHED = { capacity: 50, perSecond: 25 };

/** Connections of one address that wait for their turn. */
const MAX_LINE = 100;

/** Turns of addresses that are known before one that is not has its own. */
const MAX_KNOWN_IN_A_ROW = 3;

/** Addresses, and first messages, that are remembered; the oldest are forgotten. */
const MAX_REMEMBERED = 10_000;

/** How often it is looked whether an address may go on that has had too many. */
const RETRY_MS = 40;

/** One that waits for its turn. */
interface Waiting {
  readonly begin: () => void;
  /** Whether its connection is closed. */
  readonly isGone: () => boolean;
}

/** An address, as far as its handshakes are concerned. */
interface Line {
  readonly unfinished: TokenBucket;
  waiting: Waiting[];
  /** Whether it has completed one. */
  isKnown: boolean;
}

/** The turns of all addresses. */
export class HandshakeTurns implements Disposable {
  /** By address; the one whose turn is longest ago is the first. */
  readonly #lines = new Map<string, Line>();
  readonly #randoms = new Set<string>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #nextMs = -Infinity;
  #postponedMs = 0;
  #knownInARow = 0;

  /**
   * Begins a handshake at once, or at its turn.
   *
   * @param address Where it comes from.
   * @param random The client's random bytes in its first message (RFC 8446, 4.1.2), as a text.
   * @returns Why it is refused, where it is.
   */
  ask(address: string, random: string | undefined, waiting: Waiting): string | undefined {
    if (random !== undefined && this.#isRepeated(random)) {
      return "its first message has been sent before";
    }
    const line = this.#lineOf(networkOf(address));
    if (line.waiting.length >= MAX_LINE) line.waiting = line.waiting.filter((one) => !one.isGone());
    if (line.waiting.length >= MAX_LINE) {
      return `${MAX_LINE} handshakes of this address wait for their turn`;
    }
    line.waiting.push(waiting);
    if (this.#timer === undefined) this.#wait(this.#nextMs - performance.now());
    return undefined;
  }

  /** Counts a handshake that was completed: its address is preferred, and may begin another one. */
  complete(address: string): void {
    const line = this.#lineOf(networkOf(address));
    line.isKnown = true;
    line.unfinished.giveBack();
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#lines.clear();
  }

  #wait(delayMs: number): void {
    if (delayMs <= 0) return this.#goOn();
    const dueMs = performance.now() + delayMs;
    this.#timer = setTimeout(() => {
      const lateMs = performance.now() - dueMs;
      this.#timer = undefined;
      // The server was busy for so long: what else waits for it comes first, for as long again.
      const isBusy = lateMs > 1 && this.#postponedMs < MAX_POSTPONED_MS;
      this.#postponedMs = isBusy ? this.#postponedMs + lateMs : 0;
      if (isBusy) this.#wait(Math.min(lateMs, MAX_POSTPONED_MS));
      else this.#goOn();
    }, delayMs);
  }

  #goOn(): void {
    const next = this.#next();
    if (next === undefined) {
      const isAnyWaiting = [...this.#lines.values()].some(({ waiting }) => waiting.length > 0);
      if (isAnyWaiting) this.#wait(RETRY_MS);
      return;
    }
    this.#nextMs = performance.now() + GAP_MS;
    next.begin();
    this.#wait(GAP_MS);
  }

  #next(): Waiting | undefined {
    const prefersKnown = this.#knownInARow < MAX_KNOWN_IN_A_ROW;
    return this.#nextOf(prefersKnown) ?? this.#nextOf(!prefersKnown);
  }

  #nextOf(isKnown: boolean): Waiting | undefined {
    const nowMs = performance.now();
    for (const [network, line] of this.#lines) {
      while (line.waiting[0]?.isGone() === true) line.waiting.shift();
      if (line.isKnown !== isKnown || line.waiting.length === 0) continue;
      line.unfinished.earn(nowMs);
      if (!line.unfinished.take()) continue;
      this.#knownInARow = isKnown ? this.#knownInARow + 1 : 0;
      this.#lines.delete(network);
      this.#lines.set(network, line);
      return line.waiting.shift();
    }
    return undefined;
  }

  #lineOf(network: string): Line {
    const known = this.#lines.get(network);
    if (known !== undefined) return known;
    if (this.#lines.size >= MAX_REMEMBERED) this.#forget();
    const unfinished = new TokenBucket(UNFINISHED, performance.now());
    const line: Line = { unfinished, waiting: [], isKnown: false };
    this.#lines.set(network, line);
    return line;
  }

  /** Forgets the address whose turn is longest ago: a stranger, where there is one. */
  #forget(): void {
    const idle = [...this.#lines].filter(([, { waiting }]) => waiting.length === 0);
    const [network] = idle.find(([, { isKnown }]) => !isKnown) ?? idle[0] ?? [...this.#lines][0] ??
      [];
    if (network !== undefined) this.#lines.delete(network);
  }

  #isRepeated(random: string): boolean {
    if (this.#randoms.has(random)) return true;
    const [oldest] = this.#randoms;
    if (this.#randoms.size >= MAX_REMEMBERED && oldest !== undefined) this.#randoms.delete(oldest);
    this.#randoms.add(random);
    return false;
  }
}

/** What one owner has of addresses: one of IPv4, 2^64 of IPv6 (RFC 6177). */
export function networkOf(address: string): string {
  const [, ipv4] = /^(?:::ffff:)?(\d+\.\d+\.\d+\.\d+)$/i.exec(address) ?? [];
  if (ipv4 !== undefined) return ipv4;
  const [head = "", tail] = address.split("::");
  const groups = head === "" ? [] : head.split(":");
  const last = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array<string>(Math.max(0, 8 - groups.length - last.length)).fill("0");
  return [...groups, ...zeros, ...last].slice(0, 4).join(":");
}
