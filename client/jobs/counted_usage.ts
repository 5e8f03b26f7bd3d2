/** When the usage of a job was counted: a cluster's node does so every few seconds, whenever it is asked for. Pure. */
import type { QueryResponse__Output } from "../../proto/contract.ts";

type CountedUsage = Pick<NonNullable<QueryResponse__Output["usage"]>, "asOfMs"> | null | undefined;

/**
 * Milliseconds between two counts, 0 for the same one.
 *
 * @returns undefined where both were counted when they were asked for.
 */
export function countedMsBetween(before: CountedUsage, after: CountedUsage): number | undefined {
  if (typeof before?.asOfMs !== "number" || typeof after?.asOfMs !== "number") return undefined;
  return after.asOfMs - before.asOfMs;
}
