/** Runs the conformance suite: each case is a test, and what the executor cannot do is named. */
import { testUnless } from "../support/skip.ts";
import { CASES } from "./cases.ts";
import type { Site } from "./site.ts";

/**
 * Registers the suite.
 *
 * @param name What is on trial, for the tests' names.
 * @param site What it is tried on; it is disposed of after the last case.
 */
export function registerSuite(name: string, site: Site): void {
  for (const { name: what, lacks, holds } of CASES) {
    const lacking = lacks?.(site.executor.capabilities);
    testUnless(lacking === undefined ? undefined : `${name} ${lacking}`, {
      name: `conformance: ${name} ${what}`,
      // An executor keeps processes and timers for the next job.
      sanitizeOps: false,
      sanitizeResources: false,
      fn: () => holds(site),
    });
  }
  Deno.test.afterAll(async () => await site[Symbol.asyncDispose]());
}
