/** The limit files, read at every start of a job, and the limits that a job may request within them. */
import { join } from "node:path";
import { commonCpus, isWithinCpus } from "../common/cpu_list.ts";
import { malformed } from "../common/malformed_limit.ts";
import {
  type CountLimits,
  type DiskRates,
  type Limits,
  MAX_BYTES,
  MAX_OPERATIONS,
  MIN_BYTES_PER_SECOND,
  MIN_CPU_PERCENT,
  MIN_MEMORY_BYTES,
  parseCpuLimits,
  parseDiskIoLimit,
  parseMemoryLimits,
  RATE_NAMES,
} from "../common/limits.ts";
import { writtenBytes, writtenRate } from "../common/written.ts";
import { JobError } from "./errors.ts";

export type { CountLimits, Limits };

/** Names of the files in the limits folder. */
export const LIMIT_FILES = {
  cpu: "cpu_limit.txt",
  memory: "memory_limit.txt",
  diskIo: "disk_io_limit.txt",
} as const;

/** A limit file is one short line; a longer file is refused. */
const MAX_FILE_BYTES = 4096;

/** What limits are read and checked for, as messages say it. */
export type LimitPurpose = "start the job" | "update the job";

/**
 * Reads and checks the limit files of a folder.
 *
 * @param folder The limits folder.
 * @throws {JobError} "precondition", with the file's name, its text and what was expected. A missing
 * file is an error too: a limit must not vanish with its file.
 */
export function readLimits(folder: string, purpose: LimitPurpose = "start the job"): Limits {
  const read = <T>(name: string, parse: (text: string) => T) =>
    readLimit(folder, { name, parse, purpose });
  const cpu = read(LIMIT_FILES.cpu, parseCpuLimits);
  const memory = read(LIMIT_FILES.memory, parseMemoryLimits);
  const diskIo = read(LIMIT_FILES.diskIo, parseDiskIoLimit);
  return {
    ...cpu,
    ...memory,
    ...diskIo,
  };
}

/**
 * Combines the server's limits with those that a job requests, which may only be lower.
 *
 * @param allowed The server's limits.
 * @param asked The job's own; lists in canonical form.
 * @throws {JobError} "precondition" for a limit above the server's, "invalid" for one that is not valid.
 */
export function narrowLimits(
  allowed: Limits,
  asked: Limits,
  purpose: LimitPurpose = "start the job",
): Limits {
  const limits = { ...allowed };
  for (const name of COUNT_NAMES) {
    const value = asked[name];
    if (value === undefined) continue;
    requireWithin(name, value, { bound: allowed[name], purpose });
    limits[name] = value;
  }
  for (const disk of asked.disks ?? []) {
    for (const name of RATE_NAMES) {
      const value = disk[name];
      if (value !== undefined) requireWithin(name, value, { bound: allowed[name], purpose });
    }
  }
  const allowedCpus = narrowCpus(allowed.allowedCpus, asked.allowedCpus, purpose);
  return {
    ...limits,
    ...(allowedCpus === undefined ? {} : { allowedCpus }),
    ...(asked.disks === undefined ? {} : { disks: asked.disks }),
  };
}

function requireWithin(
  name: keyof CountLimits,
  value: number,
  { bound, purpose }: { readonly bound: number | undefined; readonly purpose: LimitPurpose },
): void {
  const { least, most = MAX_BYTES, text, written = String } = KINDS[name];
  if (!(value >= least && value <= most)) {
    const expected = value > most ? `at most ${written(most)}` : `at least ${written(least)}`;
    throw new JobError(
      "invalid",
      `Cannot ${purpose}: ${written(value)} is not a valid ${text} limit: expected ${expected}`,
    );
  }
  if (bound !== undefined && value > bound) {
    throw new JobError(
      "precondition",
      `Cannot ${purpose}: its ${text} limit of ${written(value)} is above the server's of ` +
        written(bound),
    );
  }
}

function narrowCpus(
  allowed: string | undefined,
  asked: string | undefined,
  purpose: LimitPurpose,
): string | undefined {
  if (asked === undefined) return allowed;
  if (allowed === undefined || isWithinCpus(asked, allowed)) return asked;
  throw new JobError(
    "precondition",
    `Cannot ${purpose}: its allowed CPUs ${asked} are not all among the server's, ${allowed}`,
  );
}

/**
 * The lower of two limits of each kind.
 *
 * @param one Decides where a job that holds both could use no CPU at all.
 */
export function lowerLimits(one: Limits, other: Limits): Limits {
  const limits = { ...one };
  for (const name of COUNT_NAMES) {
    const value = other[name];
    if (value !== undefined) limits[name] = Math.min(value, one[name] ?? Infinity);
  }
  if (other.disks !== undefined) {
    limits.disks = other.disks.map((disk) => ({ ...disk, ...lowerRates(disk, one) }));
  }
  const [cpus, otherCpus] = [one.allowedCpus, other.allowedCpus];
  if (otherCpus === undefined) return limits;
  // A job has to run somewhere: where the two have nothing in common, the first decides.
  if (cpus === undefined) return { ...limits, allowedCpus: otherCpus };
  return { ...limits, allowedCpus: commonCpus(cpus, otherCpus) || cpus };
}

function lowerRates(rates: DiskRates, bounds: DiskRates): DiskRates {
  const lower: DiskRates = {};
  for (const name of RATE_NAMES) {
    const rate = rates[name];
    if (rate !== undefined) lower[name] = Math.min(rate, bounds[name] ?? Infinity);
  }
  return lower;
}

/** What a limit is called, between what it has to be, and how it is written. */
interface LimitKind {
  readonly text: string;
  readonly least: number;
  readonly most?: number;
  readonly written?: (value: number) => string;
}

const MEMORY = { least: MIN_MEMORY_BYTES, written: writtenBytes };
const RATE = { least: MIN_BYTES_PER_SECOND, written: writtenRate };
const OPERATIONS = { least: 1, most: MAX_OPERATIONS };

const KINDS: Readonly<Record<keyof CountLimits, LimitKind>> = {
  cpuCores: { text: "CPU", least: MIN_CPU_PERCENT / 100, written: writtenCores },
  memoryBytes: { text: "memory", ...MEMORY },
  readBytesPerSecond: { text: "reading", ...RATE },
  writeBytesPerSecond: { text: "writing", ...RATE },
  processes: { text: "process", least: 1 },
  memoryHighBytes: { text: "high memory", ...MEMORY },
  readOperationsPerSecond: { text: "read operations", ...OPERATIONS },
  writeOperationsPerSecond: { text: "write operations", ...OPERATIONS },
};

/** A percentage of one core, without what binary fractions add to it. */
function writtenCores(cores: number): string {
  return `${Number((cores * 100).toPrecision(12))}%`;
}

/** What a limit is called in messages. */
export function titleOf(name: keyof Limits): string {
  if (name === "disks") return "limits of a named disk";
  return name === "allowedCpus" ? "allowed CPUs" : KINDS[name].text;
}

const COUNT_NAMES = Object.keys(KINDS) as (keyof CountLimits)[];

/** Every limit that a job can have. */
export const LIMIT_NAMES: readonly (keyof Limits)[] = [...COUNT_NAMES, "allowedCpus", "disks"];

function readLimit<T>(
  folder: string,
  { name, parse, purpose }: {
    readonly name: string;
    readonly parse: (text: string) => T;
    readonly purpose: LimitPurpose;
  },
): T {
  try {
    return parse(readShortFile(join(folder, name)));
  } catch (error) {
    throw new JobError(
      "precondition",
      `Cannot ${purpose}: limit file ${name}${problemOf(error)}`,
      error instanceof RangeError ? undefined : { cause: error },
    );
  }
}

function problemOf(error: unknown): string {
  if (error instanceof RangeError) return `: ${error.message}`;
  const problem = error instanceof Deno.errors.NotFound ? "is missing" : "cannot be read";
  return ` ${problem} on the server; "max" in it means no limit`;
}

/** Reads a file of bounded length. A longer one is refused, since its end may change its meaning. */
function readShortFile(path: string): string {
  // Reading anything else (a pipe, say) might block the server.
  if (!Deno.statSync(path).isFile) throw new Error("not a regular file");
  using file = Deno.openSync(path);
  const buffer = new Uint8Array(MAX_FILE_BYTES);
  let length = 0;
  while (length < buffer.length) {
    const read = file.readSync(buffer.subarray(length));
    if (read === null) break;
    length += read;
  }
  const text = new TextDecoder().decode(buffer.subarray(0, length));
  if (length === buffer.length) {
    throw malformed(text, `text no longer than ${MAX_FILE_BYTES - 1} bytes`);
  }
  return text;
}
