/** How it is measured. */
import { type Options, runChild } from "./child.ts";

/**
 * Measures things in turns (A B A B), so that whatever else the machine does hits all alike; the
 * first turn of each warms up and does not count.
 *
 * @returns The values of each, one for each run.
 */
export async function alternate<Side extends string>(
  runs: number,
  sides: Readonly<Record<Side, () => Promise<number>>>,
): Promise<Record<Side, number[]>> {
  const names = Object.keys(sides) as Side[];
  const values = {} as Record<Side, number[]>;
  for (const side of names) {
    values[side] = [];
    await sides[side]();
  }
  for (let turn = 0; turn < runs; turn++) {
    for (const side of names) values[side].push(await sides[side]());
  }
  return values;
}

/** How long something takes, in milliseconds. */
export async function elapsedMs(action: () => Promise<unknown>): Promise<number> {
  const begin = performance.now();
  await action();
  return performance.now() - begin;
}

/** How long a whole process takes from its start to its end, in milliseconds; it must succeed. */
export function processMs(program: string, args: readonly string[], options?: Options) {
  return elapsedMs(() => runChild(program, args, options));
}

/** The time now with fractions of a millisecond, on the clock that other programs have too. */
export function wallClockMs(): number {
  return performance.timeOrigin + performance.now();
}

/** Does a thing so many times, some of it at a time; what each came to, in any order. */
export async function inFlight<T>(
  { count, atOnce }: { count: number; atOnce: number },
  action: (index: number) => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  let next = 0;
  const work = async () => {
    while (next < count) results.push(await action(next++));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return results;
}
