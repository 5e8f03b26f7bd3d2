/** Changes the limits of running jobs. */
import type { QueryResponse__Output, UpdateRequest } from "../../proto/contract.ts";
import type { CallOptions, Session } from "../connection/session.ts";
import { checkKnowsFields } from "./start_fields.ts";
import type { JobLimits } from "../../proto/contract.ts";

/** A limit, by its name in the client. */
export type LimitName = keyof JobLimits;

/** What of a job's limits is to change. */
export interface LimitChange {
  readonly limits?: JobLimits;
  /** These become the server's again. */
  readonly reset?: readonly LimitName[];
  /** Whether the server's files of now are applied to all of its limits. */
  readonly fromFiles?: boolean;
}

/**
 * Changes the limits of a job: all that is asked for, or nothing.
 *
 * @returns The job, with the limits that hold now.
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function updateJob(
  session: Session,
  jobID: string,
  { limits = {}, reset = [], fromFiles = false }: LimitChange,
  options: Pick<CallOptions, "signal"> = {},
): Promise<QueryResponse__Output> {
  const { allowedCpus, disks } = limits;
  // Servers that can update know the others.
  const later = { ...(allowedCpus != null && { allowedCpus }), ...(disks && { disks }) };
  await checkKnowsFields(session, { limits: later }, { ...options, verb: "update" });
  const request: UpdateRequest = {
    jobID,
    limits: { ...limits },
    reset: reset.map(fieldOf),
    fromFiles,
  };
  return await session.call("Update", request, options);
}

/** The contract's name of a limit: `memory_bytes`. */
function fieldOf(name: LimitName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}
