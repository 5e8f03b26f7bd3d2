import type { JobLimits__Output } from "../../proto/contract.ts";
import { binaryBytes } from "./quantities.ts";

/** The limits of a job as users read them, and how. */
const SHOWN = {
  cpuCores: ["CPU", (cores: number) => `${Number((cores * 100).toFixed(2))}%`],
  memoryBytes: ["memory", binaryBytes],
  readBytesPerSecond: ["disk read", (bytes: number) => `${binaryBytes(bytes)}/s`],
  writeBytesPerSecond: ["disk write", (bytes: number) => `${binaryBytes(bytes)}/s`],
  processes: ["processes", String],
  memoryHighBytes: ["high memory", binaryBytes],
  readOperationsPerSecond: ["disk reads", (count: number) => `${count}/s`],
  writeOperationsPerSecond: ["disk writes", (count: number) => `${count}/s`],
  allowedCpus: ["allowed CPUs", (list: string) => list],
} as const satisfies Record<
  keyof JobLimits__Output,
  readonly [string, (value: never) => string]
>;

/**
 * The limits of a job in one line, each that has changed with what it was.
 *
 * @example `CPU 50%, memory 1 GiB (was 512 MiB)`
 */
export function describeLimits(
  now: JobLimits__Output | null,
  before: JobLimits__Output | null,
): string {
  const shown = Object.entries(SHOWN).flatMap(([field, [label, format]]) => {
    const name = field as keyof JobLimits__Output;
    const [value, old] = [now?.[name] ?? undefined, before?.[name] ?? undefined];
    if (value === undefined && old === undefined) return [];
    const text = (limit: number | string | undefined) =>
      limit === undefined ? "none" : format(limit as never);
    return [`${label} ${text(value)}${value === old ? "" : ` (was ${text(old)})`}`];
  });
  return shown.length === 0 ? "no limits" : shown.join(", ");
}
