/** What an Update asks for, and which limits a job then has. Pure. */
import { JobError, quoted } from "../errors.ts";
import { LIMIT_NAMES, type Limits, lowerLimits, narrowLimits } from "../limits.ts";
import type { ComingLimits } from "./record.ts";

/** A limit, by its name here. */
type LimitName = keyof Limits;

/** A change of a job's limits. */
export interface LimitChange {
  /** Those that change. */
  readonly limits: Readonly<Limits>;
  /** Those that become the server's again. */
  readonly reset: ReadonlySet<LimitName>;
  /** Whether the server's limits of now are applied to all that the job has. */
  readonly fromFiles: boolean;
}

/** What an Update asks for, as the contract has it. */
export interface AskedChange {
  readonly limits: Readonly<Limits>;
  /** Names of the contract, such as `memory_bytes`. */
  readonly reset: readonly string[];
  readonly fromFiles: boolean;
}

/** The limits by the contract's names. */
const BY_FIELD: ReadonlyMap<string, LimitName> = new Map(
  LIMIT_NAMES.map((name) => [fieldOf(name), name]),
);

/**
 * Checks what a client asks for.
 *
 * @throws {JobError} "invalid".
 */
export function readLimitChange({ limits, reset, fromFiles }: AskedChange): LimitChange {
  const names = new Set(reset.map((field) => {
    const name = BY_FIELD.get(field);
    if (name !== undefined) return name;
    throw refusal(
      `${quoted(field)} is not the name of a limit: expected one of ${
        [...BY_FIELD.keys()].join(", ")
      }`,
    );
  }));
  const twice = [...names].find((name) => limits[name] !== undefined);
  if (twice !== undefined) throw refusal(`${fieldOf(twice)} is both given and reset`);
  if (Object.keys(limits).length === 0 && names.size === 0 && !fromFiles) {
    throw refusal("nothing is to change; give a limit, or apply the server's files");
  }
  return { limits, reset: names, fromFiles };
}

/** Whether a change gives a job limits of its own, or takes such away. */
export function changesOwnLimits({ limits, reset }: LimitChange): boolean {
  return reset.size > 0 || Object.keys(limits).length > 0;
}

/** The change in one line, such as `memory_bytes=1048576 cpu_cores=server from_files`. */
export function describeChange({ limits, reset, fromFiles }: LimitChange): string {
  return [
    ...LIMIT_NAMES.filter((name) => limits[name] !== undefined)
      .map((name) => `${fieldOf(name)}=${textOf(limits, name)}`),
    ...[...reset].map((name) => `${fieldOf(name)}=server`),
    ...(fromFiles ? ["from_files"] : []),
  ].join(" ");
}

/**
 * The limits that a job is to have.
 *
 * @param has What it has now, and what of that is its own.
 * @param allowed The server's limits of now.
 * @returns The limits, and the names of those that are to be set.
 * @throws {JobError} "precondition" for a limit above the server's, "invalid" for one that is not valid.
 */
export function changeLimits(
  change: LimitChange,
  has: ComingLimits,
  allowed: Limits,
): ComingLimits & { readonly names: ReadonlySet<LimitName> } {
  const { limits, reset, fromFiles } = change;
  const narrowed = narrowLimits(allowed, limits, "update the job");
  const ownLimits = without({ ...has.ownLimits, ...limits }, reset);
  if (fromFiles) {
    return { limits: lowerLimits(allowed, ownLimits), ownLimits, names: new Set(LIMIT_NAMES) };
  }
  const names = new Set([...LIMIT_NAMES.filter((name) => limits[name] !== undefined), ...reset]);
  const unchanged = without(has.limits, names);
  const changed = Object.fromEntries(
    [...names].map((name) => [name, narrowed[name]]).filter(([, value]) => value !== undefined),
  );
  return { limits: { ...unchanged, ...changed }, ownLimits, names };
}

function without(limits: Limits, names: ReadonlySet<LimitName>): Limits {
  return Object.fromEntries(
    Object.entries(limits).filter(([name]) => !names.has(name as LimitName)),
  );
}

function textOf(limits: Limits, name: LimitName): string {
  if (name !== "disks") return String(limits[name]);
  return (limits.disks ?? []).map(({ disk }) => disk).join(",");
}

/** `memoryBytes` is `memory_bytes` in the contract. */
function fieldOf(name: LimitName): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function refusal(problem: string): JobError {
  return new JobError("invalid", `Cannot update the job: ${problem}`);
}
