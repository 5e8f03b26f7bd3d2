/**
 * Registers a test, or, where this host cannot run it, an ignored one whose reason is printed.
 *
 * tools/test/main.ts counts what is ignored and fails the run where a reason is missing.
 *
 * @param reason Why the test cannot run here, or undefined where it can.
 * @param test The test as `Deno.test` takes it.
 */
export function testUnless(
  reason: string | undefined,
  test: Omit<Deno.TestDefinition, "ignore">,
): void {
  if (reason !== undefined) console.log(`SKIP ${test.name}: ${reason}`);
  Deno.test({ ...test, ignore: reason !== undefined });
}
