/** How many calls a user may have open, and make in a second, so that others are served too. Pure. */

import { TokenBucket } from "./token_bucket.ts";

/** Infinity: no bound. */
export interface CallBounds {
  /** Calls that are open at once, streams included, of one certificate name. */
  readonly maxOpenCalls: number;
  /** Calls that one certificate name may begin in a second, on average. */
  readonly maxCallRate: number;
}

/** A user may begin at once what a second allows; it comes back evenly. */
const BURST_SECONDS = 1;

/** Users of whom nothing is open are forgotten when there are so many. */
const MAX_IDLE_USERS = 1000;

interface User {
  open: number;
  /** Calls that may begin now. */
  readonly rate: TokenBucket;
}

/** The calls of all users. */
export class CallCounter {
  readonly #bounds: CallBounds;
  readonly #users = new Map<string, User>();

  constructor(bounds: CallBounds) {
    this.#bounds = bounds;
  }

  /**
   * Counts a call that begins; each that is let in must come to its {@link end}.
   *
   * @param nowMs A clock that never goes back.
   * @returns Why it is not let in; undefined: it is.
   */
  begin(name: string, nowMs: number): string | undefined {
    const { maxOpenCalls, maxCallRate } = this.#bounds;
    const user = this.#userOf(name, nowMs);
    if (user.open >= maxOpenCalls) {
      return `${name} has ${user.open} calls open, the most that --max-open-calls allows`;
    }
    if (!user.rate.take()) {
      return `${name} makes more calls a second than ${maxCallRate}, which --max-call-rate allows`;
    }
    user.open += 1;
    return undefined;
  }

  /** Counts the end of a call that was let in. */
  end(name: string): void {
    const user = this.#users.get(name);
    if (user !== undefined) user.open -= 1;
  }

  #userOf(name: string, nowMs: number): User {
    const user = this.#users.get(name);
    if (user === undefined) {
      this.#forgetIdle(nowMs);
      const perSecond = this.#bounds.maxCallRate;
      const rate = new TokenBucket({ capacity: perSecond * BURST_SECONDS, perSecond }, nowMs);
      const fresh = { open: 0, rate };
      this.#users.set(name, fresh);
      return fresh;
    }
    user.rate.earn(nowMs);
    return user;
  }

  /** Whoever has rested for the burst's time has nothing to remember. */
  #forgetIdle(nowMs: number): void {
    if (this.#users.size < MAX_IDLE_USERS) return;
    for (const [name, { open, rate }] of this.#users) {
      if (open === 0 && nowMs - rate.atMs > BURST_SECONDS * 1000) this.#users.delete(name);
    }
  }
}
