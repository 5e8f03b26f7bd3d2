import type { VerbContext } from "../context.ts";
import { ExitStatus } from "../exit_status.ts";
import { parsedOption } from "../options.ts";
import { parseDurationMs } from "../../common/quantities.ts";
import type { Verb } from "../verb.ts";
import type { Command } from "commander";

/** What a user may choose about a Stop. */
export interface StopOptions {
  /** Milliseconds between SIGTERM and SIGKILL. */
  readonly grace?: number;
}

/** The field of the request is a uint32. */
const LONGEST_GRACE_MS = 2 ** 32 - 1;

/** `stop ID`: stops a job and says nothing. */
export const stopVerb: Verb = {
  name: "stop",

  define(command) {
    command.summary("stop a job");
    command.description(
      "Stops a job: SIGTERM to all its processes, SIGKILL to those left after the grace period. " +
        "Returns when all are gone.",
    );
    command.argument("<id>", "the job's id");
    defineGrace(command);
    command.addHelpText(
      "after",
      `
Examples:
  worker-client stop a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stop --grace 1m a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219
  worker-client stop --grace 0 a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219    # SIGKILL at once`,
    );
  },

  async run({ session }, command) {
    const [jobID = ""] = command.args;
    await stopJob(session, jobID, command.opts<StopOptions>());
    return ExitStatus.ok;
  },
};

/** Adds the option `--grace`. */
export function defineGrace(command: Command): void {
  command.addOption(parsedOption(
    "--grace <duration>",
    "time between SIGTERM and SIGKILL: 500ms, 10s, 2m (default: the server's, 10s)",
    { parse: parseGraceMs },
  ));
}

function parseGraceMs(text: string): number {
  const graceMs = parseDurationMs(text);
  if (graceMs > LONGEST_GRACE_MS) throw new RangeError("Expected at most 49 days.");
  return graceMs;
}

/**
 * Stops a job and waits until all its processes are gone.
 *
 * @throws {ClientError} As the server says.
 */
export async function stopJob(
  session: VerbContext["session"],
  jobID: string,
  { grace }: StopOptions,
): Promise<void> {
  const request = { jobID, ...(grace !== undefined && { gracePeriodMs: grace }) };
  await session.call("Stop", request, { pulseOf: jobID });
}
