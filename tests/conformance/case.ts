/** A case of the conformance suite, and what several of them have in common. */
import { strict as assert } from "node:assert";
import { JobError, messageOf } from "../../lib/errors.ts";
import type { Capabilities } from "../../lib/executor.ts";
import { Job, type Site, type Wanted } from "./site.ts";

/** One thing that an executor holds. */
export interface Case {
  readonly name: string;
  /** @returns What the executor lacks for it, as in "has no queue"; undefined: nothing. */
  readonly lacks?: (capabilities: Capabilities) => string | undefined;
  readonly holds: (site: Site) => Promise<void>;
}

/** A start that cannot be is refused at once, or ends as a job that never ran, in the same words. */
export async function assertRefused(
  site: Site,
  command: readonly string[],
  { message, ...wanted }: Wanted & { readonly message: RegExp },
): Promise<void> {
  let reason: string;
  try {
    const job = await Job.submit(site, command, wanted);
    const ending = await job.ended();
    assert(ending.kind === "never-ran", JSON.stringify(ending));
    reason = ending.reason;
  } catch (error) {
    if (!(error instanceof JobError)) throw error;
    assert(!site.executor.capabilities.queues || error.kind !== "internal", error.message);
    reason = messageOf(error);
  }
  assert.match(reason, message);
}
