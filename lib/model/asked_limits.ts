/** The limits that a client asks for, read from the contract's. Pure. */
import { parseCpuList } from "../../common/cpu_list.ts";
import { type DiskRates, isDiskName, MAX_DISKS, type NamedDisk } from "../../common/limits.ts";
import { JobError, quoted } from "../errors.ts";
import type { CountLimits, LimitPurpose, Limits } from "../limits.ts";

/** Fields as the contract has them: one that is not asked for is null or absent. */
type Asked<Fields> = { readonly [Name in keyof Fields]?: Fields[Name] | null };

/** Limits as the contract has them. */
export interface AskedLimits extends Asked<CountLimits> {
  readonly allowedCpus?: string | null;
  readonly disks?: readonly AskedDisk[];
}

interface AskedDisk extends Asked<DiskRates> {
  readonly disk: string;
}

/**
 * Reads limits. Whether they are within the server's is not looked at.
 *
 * @returns Those that are asked for, lists in canonical form.
 * @throws {JobError} "invalid" for a text that is not a list of CPUs, or for what names no disk.
 */
export function readAskedLimits(asked: AskedLimits | null, purpose: LimitPurpose): Limits {
  const { allowedCpus, disks = [], ...counts } = asked ?? {};
  const limits: Limits = {
    ...onlyNumbers(counts),
    ...(disks.length > 0 && { disks: readDisks(disks, purpose) }),
  };
  if (typeof allowedCpus !== "string") return limits;
  try {
    return { ...limits, allowedCpus: parseCpuList(allowedCpus) };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new JobError("invalid", `Cannot ${purpose}: its allowed CPUs: ${error.message}`);
  }
}

function readDisks(disks: readonly AskedDisk[], purpose: LimitPurpose): NamedDisk[] {
  const refusal = (problem: string) => new JobError("invalid", `Cannot ${purpose}: ${problem}`);
  if (disks.length > MAX_DISKS) throw refusal(`it names more than ${MAX_DISKS} disks`);
  return disks.map(({ disk, ...rates }) => {
    if (!isDiskName(disk)) {
      throw refusal(`${quoted(disk)} names no disk: expected a path below /dev, or MAJOR:MINOR`);
    }
    const given = onlyNumbers(rates);
    if (Object.keys(given).length === 0) throw refusal(`no limit is given for the disk ${disk}`);
    return { disk, ...given };
  });
}

function onlyNumbers(fields: object): Record<string, number> {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => typeof value === "number"),
  );
}
