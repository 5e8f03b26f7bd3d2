/** What a benchmark is, and what it tells. */
import type { World } from "./world.ts";

/** One line of the table. */
export interface Row {
  /** What was measured. */
  readonly what: string;
  /** Of all the values, for instance `ms` or `MB/s`. */
  readonly unit: string;
  /** A value for each run, or for each sample of a distribution. */
  readonly ours: readonly number[];
  /** What a user would use instead, measured in turns with ours. */
  readonly alternative?: { readonly name: string; readonly values: readonly number[] };
  /** What to reach. */
  readonly target?: Target;
  /** Whether the README shows it although it is not the first row of its benchmark. */
  readonly isInSummary?: boolean;
}

/** What a row is to reach, held against the medians. */
export interface Target {
  readonly text: string;
  readonly isMet: (ours: number, alternative: number) => boolean;
}

/** One benchmark: it has a file of its own. */
export interface Benchmark {
  readonly name: string;
  /** What is measured, and how, in a sentence or two. */
  readonly measures: string;
  /** Measures, each time with a server of its own. */
  run(world: World): Promise<Row[]>;
}
