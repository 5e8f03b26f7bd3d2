/** Compares counts of system calls with what they were. */
import type { Counted } from "./system_calls.ts";

/** How often each call is made for one operation; what is not named is not made. */
export type CallBounds = Readonly<Record<string, number>>;

/** A call may be made so much more often. */
const MAX_GROWTH = 0.1;

/** Calls for each operation by which the server's own timers may be wrongly estimated. */
const NOISE = 0.25;

/** So rarely made that it is not part of the operation. */
const MIN_SHOWN = 0.2;

/**
 * Calls for one operation.
 *
 * @param idle Counted while nothing was asked for: what the server's timers do is taken off.
 */
export function perOperation(counted: Counted, operations: number, idle: Counted): CallBounds {
  const each = [...counted.calls].map(([name, count]): [string, number] => {
    const ofTimers = (idle.calls.get(name) ?? 0) / idle.seconds * counted.seconds;
    return [name, (count - ofTimers) / operations];
  });
  return Object.fromEntries(
    each.filter(([, count]) => count >= MIN_SHOWN)
      .sort(([, one], [, other]) => other - one)
      .map(([name, count]) => [name, Number(count.toFixed(1))]),
  );
}

/** A sentence for each call that has grown by more than a tenth. */
export function grown(counts: CallBounds, bounds: CallBounds): string[] {
  return Object.entries(counts)
    .filter(([name, count]) => count > (bounds[name] ?? 0) * (1 + MAX_GROWTH) + NOISE)
    .map(([name, count]) => `${name}: ${count} instead of ${bounds[name] ?? 0}`);
}
