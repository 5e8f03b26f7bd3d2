/** Bounds on the calls of each user, so that no user can slow down the others. Pure. */
import { TokenBucket } from "./token_bucket.ts";

/** Infinity: no bound. */
export interface CallBounds {
  /** Open calls of one certificate name, streams included. */
  readonly maxOpenCalls: number;
  /** Calls that one certificate name may begin in a second, on average; as many at once. */
  readonly maxCallRate: number;
}

/** A user who was idle may begin the calls of this time at once. */
const BURST_SECONDS = 1;

/** When this many users are known, those without open calls are forgotten. */
const MAX_IDLE_USERS = 1000;

interface User {
  open: number;
  /** One token for each call that may begin now. */
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
   * Counts a call that begins. For each call that is let in, {@link end} must be called once.
   *
   * @param name The certificate name of the caller.
   * @param nowMs A clock in milliseconds that never goes back.
   * @returns Why the call is refused; undefined where it is let in.
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

  /** Forgets users whose bucket is full again: they are as good as new. */
  #forgetIdle(nowMs: number): void {
    if (this.#users.size < MAX_IDLE_USERS) return;
    for (const [name, { open, rate }] of this.#users) {
      if (open === 0 && nowMs - rate.atMs > BURST_SECONDS * 1000) this.#users.delete(name);
    }
  }
}
