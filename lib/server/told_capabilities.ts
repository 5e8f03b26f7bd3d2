/** What clients are told of what the executor can do. Pure. */
import type { Capabilities, LimitName } from "../executor.ts";
import { titleOf } from "../limits.ts";

/** The part of the answer to Info that the executor decides. */
export interface ToldCapabilities {
  readonly engine: string;
  readonly partitions: readonly string[];
  /** Limits that a start may not ask for, each with the reason. */
  readonly limitsNotHeld: readonly string[];
  /** Whether a job may be sent its input while it runs. */
  readonly openStdin: boolean;
}

/** @returns What Info tells. */
export function toldOf({ engine, partitions, limits, openStdin }: Capabilities): ToldCapabilities {
  const limitsNotHeld = Object.entries(limits).flatMap(([name, support]) =>
    typeof support === "object" ? [`${titleOf(name as LimitName)}: ${support.refused}`] : []
  );
  return { engine, partitions, limitsNotHeld, openStdin };
}
