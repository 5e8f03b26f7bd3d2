/** Gates: commands of Deno that pass or fail as a whole. */
import { runDeno } from "./deno.ts";
import type { Report } from "./report.ts";

/** Runs a gate, prints what it said, and counts it as one test. */
export async function runGate(
  report: Report,
  name: string,
  args: readonly string[],
): Promise<void> {
  const { output, succeeded, ms } = await runDeno(args);
  console.log(`\n== ${name}: deno ${args.join(" ")}`);
  if (output !== "") console.log(output.trimEnd());
  report.settle(name, succeeded);
  report.took({ name, ms });
}
