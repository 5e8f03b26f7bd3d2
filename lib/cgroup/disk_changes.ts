import { type Limits, RATE_NAMES } from "../../common/limits.ts";

/** Whether limits of disks are among those that change: then those of named disks are written again. */
export function changesDisks(names: ReadonlySet<keyof Limits>): boolean {
  return names.has("disks") || RATE_NAMES.some((name) => names.has(name));
}
