/** The limits that a client asks for, read from the contract's. Pure. */
import { parseCpuList } from "../../common/cpu_list.ts";
import { JobError } from "../errors.ts";
import type { LimitPurpose, Limits } from "../limits.ts";

/** Limits as the contract has them: one that is not asked for is null or absent. */
export type AskedLimits = { readonly [Name in keyof Limits]?: Limits[Name] | null };

/**
 * Reads limits. Whether they are within the server's is not looked at.
 *
 * @returns Those that are asked for, lists in canonical form.
 * @throws {JobError} "invalid" for a text that is not a list of CPUs.
 */
export function readAskedLimits(asked: AskedLimits | null, purpose: LimitPurpose): Limits {
  const { allowedCpus, ...counts } = asked ?? {};
  const limits: Limits = Object.fromEntries(
    Object.entries(counts).filter(([, value]) => typeof value === "number"),
  );
  if (typeof allowedCpus !== "string") return limits;
  try {
    return { ...limits, allowedCpus: parseCpuList(allowedCpus) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new JobError("invalid", `Cannot ${purpose}: its allowed CPUs: ${error.message}`);
  }
}
