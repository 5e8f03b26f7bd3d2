/** Small changes that break the code, each of which unit tests must notice: `deno task mutate`. */

/** One change of one line or expression, and the tests that must go red by it. */
export interface Mutation {
  /** What is broken, in a few words. */
  readonly name: string;
  /** The file that is changed, from the root of the repository. */
  readonly file: string;
  /** What is replaced; it must occur exactly once in the file. */
  readonly from: string;
  readonly to: string;
  /** Files below tests/unit of which at least one must fail, without `_test.ts`. */
  readonly tests: readonly string[];
}
