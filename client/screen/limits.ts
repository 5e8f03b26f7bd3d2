import type { DiskLimit__Output, JobLimits__Output } from "../../proto/contract.ts";
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
  disks: ["named disks", describeDisks],
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
    const [value, old] = [now, before].map((limits) => {
      const limit = limits?.[name] ?? undefined;
      return limit === undefined || Array.isArray(limit) && limit.length === 0
        ? undefined
        : format(limit as never);
    });
    if (value === undefined && old === undefined) return [];
    return [`${label} ${value ?? "none"}${value === old ? "" : ` (was ${old ?? "none"})`}`];
  });
  return shown.length === 0 ? "no limits" : shown.join(", ");
}

/** Limits of named disks, such as `/dev/sdb read 10 MiB/s, writes 500/s`, with `; ` between disks. */
export function describeDisks(disks: readonly DiskLimit__Output[]): string {
  return disks.map(({ disk, ...limits }) => {
    const rates = ([
      ["read", limits.readBytesPerSecond, "B"],
      ["write", limits.writeBytesPerSecond, "B"],
      ["reads", limits.readOperationsPerSecond, ""],
      ["writes", limits.writeOperationsPerSecond, ""],
    ] as const).flatMap(([label, value, unit]) =>
      value === undefined || value === null
        ? []
        : [`${label} ${unit === "B" ? binaryBytes(value) : value}/s`]
    );
    return `${disk} ${rates.join(", ")}`;
  }).join("; ");
}
