/** The limits of a job, and how users write them: in the server's limit files and on command lines. */
import { parseCpuList } from "./cpu_list.ts";
import { malformed } from "./malformed_limit.ts";
import { binaryBytesOf, countWithin, parseCount } from "./quantities.ts";
import { MIB, RATE_UNITS_BYTES, TIB } from "./units.ts";

/** The limits of one job. A field that is absent means unlimited. */
export interface Limits extends CountLimits {
  /** A list of CPUs in canonical form, such as `0-3,5` (common/cpu_list.ts). */
  allowedCpus?: string;
  /** None: absent. */
  disks?: NamedDisk[];
}

/** Limits of one disk, in place of those for each disk. */
export interface NamedDisk extends DiskRates {
  /** As it was named: a path below /dev, or its number, as MAJOR:MINOR. */
  disk: string;
  /** Its number on the host that the job runs on, once it is looked up. */
  number?: string;
}

/** Limits that are numbers: a lower one allows less. */
export interface CountLimits {
  /** 0.5 is half of one core; 2 is two cores. */
  cpuCores?: number;
  memoryBytes?: number;
  /** On each disk. */
  readBytesPerSecond?: number;
  /** On each disk. */
  writeBytesPerSecond?: number;
  processes?: number;
  /** Above it the kernel slows the job down and takes memory back; it kills nothing. */
  memoryHighBytes?: number;
  /** On each disk. */
  readOperationsPerSecond?: number;
  /** On each disk. */
  writeOperationsPerSecond?: number;
}

/** The kernel's smallest quota is 1 ms in a period of 100 ms. */
export const MIN_CPU_PERCENT = 1;
/** Ten thousand cores: beyond any host, and below what the kernel's quota can hold. */
const MAX_CPU_PERCENT = 1_000_000;
/** A shell and a C library need about this much before a program's first line runs. */
export const MIN_MEMORY_BYTES = MIB;
/** 2^53 - 1: counted exactly in JavaScript, and beyond any host. */
export const MAX_BYTES = Number.MAX_SAFE_INTEGER;
/** The kernel counts operations in 32 bits. */
export const MAX_OPERATIONS = 2 ** 32 - 1;
/** One page a second: the kernel moves nothing smaller to a disk. */
export const MIN_BYTES_PER_SECOND = 4096;

/**
 * Parses a limit of CPU time: a percentage of one core.
 *
 * @example `50%` is half of one core, `200%` two cores, `max` or an empty text unlimited.
 * @returns Cores, or undefined for unlimited.
 * @throws {RangeError} With the text and what was expected.
 */
export function parseCpuLimit(text: string): number | undefined {
  const value = text.trim();
  if (isUnlimited(value)) return undefined;
  const expected = 'a percentage of one core such as "50%", "200%" for two cores, or "max"';
  const digits = /^(\d+(?:\.\d+)?)\s*%$/.exec(value)?.[1];
  if (digits === undefined) throw malformed(text, expected);
  const percent = Number(digits);
  if (percent < MIN_CPU_PERCENT || percent > MAX_CPU_PERCENT) {
    throw malformed(text, `between ${MIN_CPU_PERCENT}% and ${MAX_CPU_PERCENT}%`);
  }
  return percent / 100;
}

/** The limit of CPU time, and the CPUs that may be used. */
export type CpuLimits = Pick<Limits, "cpuCores" | "allowedCpus">;

/**
 * Parses `cpu_limit.txt`: a limit of time, `cpus=` with the CPUs that may be used, or both (`200% cpus=0-3,5`).
 *
 * @throws {RangeError} With the text and what was expected.
 */
export function parseCpuLimits(text: string): CpuLimits {
  const [, time = "", cpus = ""] = /^([^=]*?)(?:(?:^|\s)cpus=(\S*))?$/.exec(text.trim()) ??
    ["", text];
  const [cpuCores, allowedCpus] = [parseCpuLimit(time), parseAllowedCpus(cpus)];
  return {
    ...(cpuCores === undefined ? {} : { cpuCores }),
    ...(allowedCpus === undefined ? {} : { allowedCpus }),
  };
}

/**
 * Parses the CPUs that a job may use: a list such as `0-3,5`, or `max`.
 *
 * @returns The list in canonical form; undefined for all.
 * @throws {RangeError} The text is neither.
 */
export function parseAllowedCpus(text: string): string | undefined {
  return isUnlimited(text.trim()) ? undefined : parseCpuList(text);
}

/**
 * Parses a limit of memory: bytes with a unit of 1024 (K, M, G, T; `256M`, `256MiB`).
 *
 * @returns Bytes, or undefined for unlimited.
 * @throws {RangeError} With the text and what was expected.
 */
export function parseMemoryLimit(text: string): number | undefined {
  const value = text.trim();
  if (isUnlimited(value)) return undefined;
  const exactBytes = binaryBytesOf(value);
  if (exactBytes === undefined) {
    throw malformed(text, 'bytes such as "256M" (K, M, G and T are 1024-based), or "max"');
  }
  const bytes = Math.floor(exactBytes);
  if (bytes < MIN_MEMORY_BYTES || bytes > MAX_BYTES) {
    throw malformed(text, `at least 1M and at most ${Math.floor(MAX_BYTES / TIB)}T`);
  }
  return bytes;
}

/** The limit of memory, and the bound above which it is reclaimed. */
export type MemoryLimits = Pick<Limits, "memoryBytes" | "memoryHighBytes">;

/**
 * Parses `memory_limit.txt`: a limit, `high=` with the bound above which memory is reclaimed, or both
 * (`1G high=768M`).
 *
 * @throws {RangeError} With the text and what was expected.
 */
export function parseMemoryLimits(text: string): MemoryLimits {
  const [, limit = "", high = ""] = /^([^=]*?)(?:(?:^|\s)high=(\S*))?$/.exec(text.trim()) ??
    ["", text];
  const [memoryBytes, memoryHighBytes] = [parseMemoryLimit(limit), parseMemoryLimit(high)];
  return {
    ...(memoryBytes === undefined ? {} : { memoryBytes }),
    ...(memoryHighBytes === undefined ? {} : { memoryHighBytes }),
  };
}

/**
 * Parses `disk_io_limit.txt`: a rate for reading and writing on each disk (`10MB/s` decimal,
 * `10MiB/s` binary), or one for each (`read=50MB/s write=10MB/s`, either may be left out), and operations
 * a second (`read-iops=1000 write-iops=500`).
 *
 * @throws {RangeError} With the text and what was expected.
 */
export function parseDiskIoLimit(text: string): DiskRates {
  return Object.fromEntries(
    Object.entries(parseDiskIoRates(text)).filter(([, rate]) => rate !== Infinity),
  );
}

/** Rates of bytes and of operations, for reading and for writing; one that is not named is absent. */
export type DiskRates = Pick<
  Limits,
  | "readBytesPerSecond"
  | "writeBytesPerSecond"
  | "readOperationsPerSecond"
  | "writeOperationsPerSecond"
>;

/** How each is written in front of its value. */
const RATE_FIELDS: ReadonlyMap<string, keyof DiskRates> = new Map([
  ["read", "readBytesPerSecond"],
  ["write", "writeBytesPerSecond"],
  ["read-iops", "readOperationsPerSecond"],
  ["write-iops", "writeOperationsPerSecond"],
]);

/** All of them. */
export const RATE_NAMES: readonly (keyof DiskRates)[] = [...RATE_FIELDS.values()];

/** Disks that one job may name. */
export const MAX_DISKS = 16;

const DISK = /^(?:\/dev\/[^\s\0]{1,250}|\d{1,4}:\d{1,7})$/;

/** Whether a text may name a disk. */
export function isDiskName(text: string): boolean {
  return DISK.test(text) && !text.split("/").includes("..");
}

/**
 * Parses limits of one disk: its name, and rates as in `disk_io_limit.txt` (`/dev/sdb read=10MB/s read-iops=100`).
 *
 * @throws {RangeError} With the text and what was expected.
 */
export function parseNamedDisk(text: string): NamedDisk {
  const [disk = "", ...rest] = text.trim().split(/\s+/);
  const rates = isDiskName(disk) ? parseDiskIoLimit(rest.join(" ")) : {};
  if (Object.keys(rates).length > 0) return { disk, ...rates };
  throw malformed(
    text,
    'a disk and rates, such as "/dev/sdb 10MB/s" or "8:16 read=10MB/s write-iops=500"',
  );
}

/** The same with Infinity for one that is named and unlimited. */
export function parseDiskIoRates(text: string): DiskRates {
  const value = text.trim();
  if (isUnlimited(value)) return Object.fromEntries(RATE_NAMES.map((name) => [name, Infinity]));
  const limits: DiskRates = {};
  if (!value.includes("=")) {
    const rate = parseRate(value, text);
    return { readBytesPerSecond: rate, writeBytesPerSecond: rate };
  }
  for (const part of value.split(/\s+/)) {
    const [name = "", value = ""] = part.split(/=(.+)/);
    const field = RATE_FIELDS.get(name);
    if (field === undefined || value === "" || limits[field] !== undefined) {
      throw malformed(text, RATE_EXPECTED);
    }
    limits[field] = isUnlimited(value)
      ? Infinity
      : name.endsWith("-iops")
      ? parseOperations(value, text)
      : parseRate(value, text);
  }
  return limits;
}

/**
 * Parses a limit of processes and threads: a number, or `max`.
 *
 * @returns Undefined for unlimited.
 * @throws {RangeError} The text is neither.
 */
export function parseProcessLimit(text: string): number | undefined {
  return isUnlimited(text.trim()) ? undefined : parseCount(text);
}

/**
 * Parses a limit of operations a second: a number from 1 on, or `max`.
 *
 * @returns Undefined for unlimited.
 * @throws {RangeError} The text is neither.
 */
export function parseOperationLimit(text: string): number | undefined {
  return isUnlimited(text.trim()) ? undefined : parseOperations(text.trim(), text);
}

function parseOperations(value: string, text: string): number {
  const count = countWithin(value, 1, MAX_OPERATIONS);
  if (count === undefined) throw malformed(text, "operations a second, a whole number from 1 on");
  return count;
}

const RATE_EXPECTED = 'a rate such as "10MB/s" or "10MiB/s", "read=50MB/s write=10MB/s", or "max"';

function parseRate(value: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?(?:i?B))\/s$/i.exec(value);
  const unit = RATE_UNITS_BYTES[(match?.[2] ?? "").toUpperCase()];
  if (match === null || unit === undefined) throw malformed(text, RATE_EXPECTED);
  const rate = Math.floor(Number(match[1]) * unit);
  if (rate < MIN_BYTES_PER_SECOND || rate > MAX_BYTES) {
    throw malformed(text, `at least ${MIN_BYTES_PER_SECOND}B/s and below 9000TB/s`);
  }
  return rate;
}

function isUnlimited(value: string): boolean {
  return value === "" || value === "max";
}
