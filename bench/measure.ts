/** How it is measured. */
import { type Options, runChild } from "./child.ts";

/** Values of both sides, a value for each run. */
export interface Pair {
  readonly ours: number[];
  readonly theirs: number[];
}

/**
 * Measures two things in turns (A B A B), so that whatever else the machine does hits both alike;
 * the first turn of each warms up and does not count.
 */
export async function alternate(
  runs: number,
  { ours, theirs }: { ours: () => Promise<number>; theirs: () => Promise<number> },
): Promise<Pair> {
  const pair: Pair = { ours: [], theirs: [] };
  await ours();
  await theirs();
  for (let turn = 0; turn < runs; turn++) {
    pair.ours.push(await ours());
    pair.theirs.push(await theirs());
  }
  return pair;
}

/** The same with one side only. */
export async function repeat(runs: number, measure: () => Promise<number>): Promise<number[]> {
  const values: number[] = [];
  await measure();
  for (let turn = 0; turn < runs; turn++) values.push(await measure());
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
