/** Uids by owner: each owner's jobs run as a uid of their own, which no user of the host has. Pure. */

/** Uids for owners, both ends included. */
export interface UidRange {
  readonly first: number;
  readonly last: number;
}

/**
 * Stands for the uid of the job's owner where jobs run as that: in requests, until a start knows it. It
 * cannot be the name of a user.
 */
export const OWNER_UID = "%owner";

/** Below are the host's own users, nobody (65534), and numbers with a meaning of their own. */
export const MIN_UID = 65_536;

/** 4294967295 means "no uid" to the kernel. */
const MAX_UID = 4_294_967_294;

/** @returns The range that a text such as `700000-765535` says; undefined where it says none. */
export function parseUidRange(text: string): UidRange | undefined {
  const [, low, high] = /^(\d{1,10})-(\d{1,10})$/.exec(text) ?? [];
  const [first, last] = [Number(low), Number(high)];
  return first >= MIN_UID && first <= last && last <= MAX_UID ? { first, last } : undefined;
}
