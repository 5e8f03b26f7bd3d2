/** Disks that starts and updates name. */
import { JobError } from "../errors.ts";
import type { Executor } from "../executor.ts";
import type { LimitPurpose, Limits } from "../limits.ts";

/**
 * Looks up the disks that limits name.
 *
 * @returns The limits with the disks' numbers.
 * @throws {JobError} "invalid" for one that is no whole disk, and for two names of one disk.
 */
export async function withDiskNumbers(
  limits: Readonly<Limits>,
  executor: Pick<Executor, "numbersOf">,
  purpose: LimitPurpose,
): Promise<Readonly<Limits>> {
  const { disks } = limits;
  if (disks === undefined) return limits;
  const numbers = await executor.numbersOf(disks.map(({ disk }) => disk), purpose);
  const twice = disks.find((_, index) => numbers.indexOf(numbers[index] ?? "") !== index);
  if (twice !== undefined) {
    throw new JobError("invalid", `Cannot ${purpose}: it names the disk ${twice.disk} twice`);
  }
  return {
    ...limits,
    disks: disks.map((disk, index) => {
      const number = numbers[index];
      return number === undefined ? disk : { ...disk, number };
    }),
  };
}
