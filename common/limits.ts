/** The limits of a job, and how users write them: in the server's limit files and on command lines. */
import { binaryBytesOf, parseCount } from "./quantities.ts";
import { MIB, RATE_UNITS_BYTES, TIB } from "./units.ts";

/** The limits of one job. A field that is absent means unlimited. */
export interface Limits {
  /** 0.5 is half of one core; 2 is two cores. */
  cpuCores?: number;
  memoryBytes?: number;
  /** On each disk. */
  readBytesPerSecond?: number;
  /** On each disk. */
  writeBytesPerSecond?: number;
  processes?: number;
}

/** The kernel's smallest quota is 1 ms in a period of 100 ms. */
export const MIN_CPU_PERCENT = 1;
/** Ten thousand cores: beyond any host, and below what the kernel's quota can hold. */
const MAX_CPU_PERCENT = 1_000_000;
/** A shell and a C library need about this much before a program's first line runs. */
export const MIN_MEMORY_BYTES = MIB;
/** 2^53 - 1: counted exactly in JavaScript, and beyond any host. */
export const MAX_BYTES = Number.MAX_SAFE_INTEGER;
/** One page a second: the kernel moves nothing smaller to a disk. */
export const MIN_BYTES_PER_SECOND = 4096;

/**
 * Parses `cpu_limit.txt`: a percentage of one core.
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

/**
 * Parses `memory_limit.txt`: bytes with a unit of 1024 (K, M, G, T; `256M`, `256MiB`).
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

/**
 * Parses `disk_io_limit.txt`: a rate for reading and writing on each disk (`10MB/s` decimal,
 * `10MiB/s` binary), or one for each (`read=50MB/s write=10MB/s`, either may be left out).
 *
 * @throws {RangeError} With the text and what was expected.
 */
export function parseDiskIoLimit(text: string): DiskRates {
  return Object.fromEntries(
    Object.entries(parseDiskIoRates(text)).filter(([, rate]) => rate !== Infinity),
  );
}

/** A rate for reading and one for writing; one that is not named is absent. */
export type DiskRates = Pick<Limits, "readBytesPerSecond" | "writeBytesPerSecond">;

/** The same with Infinity for one that is named and unlimited. */
export function parseDiskIoRates(text: string): DiskRates {
  const value = text.trim();
  if (isUnlimited(value)) return { readBytesPerSecond: Infinity, writeBytesPerSecond: Infinity };
  const limits: DiskRates = {};
  if (!value.includes("=")) {
    const rate = parseRate(value, text);
    return { readBytesPerSecond: rate, writeBytesPerSecond: rate };
  }
  for (const part of value.split(/\s+/)) {
    const match = /^(read|write)=(.+)$/.exec(part);
    const field = match?.[1] === "read" ? "readBytesPerSecond" : "writeBytesPerSecond";
    if (match === null || limits[field] !== undefined) throw malformed(text, RATE_EXPECTED);
    limits[field] = isUnlimited(match[2] ?? "") ? Infinity : parseRate(match[2] ?? "", text);
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

/** The error for a text that is not a valid limit. */
export function malformed(text: string, expected: string): RangeError {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  return new RangeError(`${shown} is not a valid limit: expected ${expected}`);
}
