/**
 * The resource files: parsed and checked. Read anew at every start of a job.
 *
 * Pure but for {@linkcode readLimits}.
 */
import { join } from "node:path";
import { JobError } from "./errors.ts";

/** The limits of one job. An absent field is no limit. */
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

/** Names of the files in the limits folder. */
export const LIMIT_FILES = {
  cpu: "cpu_limit.txt",
  memory: "memory_limit.txt",
  diskIo: "disk_io_limit.txt",
} as const;

/** The kernel's smallest quota is 1 ms in a period of 100 ms. */
const MIN_CPU_PERCENT = 1;
/** Ten thousand cores: beyond any host, and below what the kernel's quota can hold. */
const MAX_CPU_PERCENT = 1_000_000;
/** A shell and a C library need about this much before a program's first line runs. */
const MIN_MEMORY_BYTES = 1024 ** 2;
/** 2^53 - 1: counted exactly in JavaScript, and beyond any host. */
const MAX_BYTES = Number.MAX_SAFE_INTEGER;
/** One page a second: the kernel moves nothing smaller to a disk. */
const MIN_BYTES_PER_SECOND = 4096;
/** A limit file is one short line; what is longer is not one. */
const MAX_FILE_BYTES = 4096;

const BINARY_UNITS: Record<string, number> = {
  "": 1,
  K: 1024,
  M: 1024 ** 2,
  G: 1024 ** 3,
  T: 1024 ** 4,
};

const RATE_UNITS: Record<string, number> = {
  B: 1,
  KB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KIB: 1024,
  MIB: 1024 ** 2,
  GIB: 1024 ** 3,
  TIB: 1024 ** 4,
};

/**
 * Parses `cpu_limit.txt`: a percentage of one core.
 *
 * @example `50%` is half of one core, `200%` two cores, `max` or nothing no limit.
 * @returns Cores, or undefined for no limit.
 * @throws {JobError} "precondition", with the text and what was expected.
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
 * @returns Bytes, or undefined for no limit.
 * @throws {JobError} "precondition", with the text and what was expected.
 */
export function parseMemoryLimit(text: string): number | undefined {
  const value = text.trim();
  if (isUnlimited(value)) return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*(?:([KMGT])(?:iB)?|B)?$/i.exec(value);
  const unit = BINARY_UNITS[(match?.[2] ?? "").toUpperCase()];
  if (match === null || unit === undefined) {
    throw malformed(text, 'bytes such as "256M" (K, M, G and T are 1024-based), or "max"');
  }
  const bytes = Math.floor(Number(match[1]) * unit);
  if (bytes < MIN_MEMORY_BYTES || bytes > MAX_BYTES) {
    throw malformed(text, `at least 1M and at most ${Math.floor(MAX_BYTES / 1024 ** 4)}T`);
  }
  return bytes;
}

/**
 * Parses `disk_io_limit.txt`: a rate for reading and writing on each disk (`10MB/s` decimal,
 * `10MiB/s` binary), or one for each (`read=50MB/s write=10MB/s`, either may be left out).
 *
 * @throws {JobError} "precondition", with the text and what was expected.
 */
export function parseDiskIoLimit(
  text: string,
): Pick<Limits, "readBytesPerSecond" | "writeBytesPerSecond"> {
  const value = text.trim();
  if (isUnlimited(value)) return {};
  const limits: Pick<Limits, "readBytesPerSecond" | "writeBytesPerSecond"> = {};
  if (!value.includes("=")) {
    const rate = parseRate(value, text);
    return { readBytesPerSecond: rate, writeBytesPerSecond: rate };
  }
  for (const part of value.split(/\s+/)) {
    const match = /^(read|write)=(.+)$/.exec(part);
    const field = match?.[1] === "read" ? "readBytesPerSecond" : "writeBytesPerSecond";
    if (match === null || limits[field] !== undefined) throw malformed(text, RATE_EXPECTED);
    if (!isUnlimited(match[2] ?? "")) limits[field] = parseRate(match[2] ?? "", text);
  }
  return limits;
}

const RATE_EXPECTED = 'a rate such as "10MB/s" or "10MiB/s", "read=50MB/s write=10MB/s", or "max"';

function parseRate(value: string, text: string): number {
  const match = /^(\d+(?:\.\d+)?)\s*([KMGT]?(?:i?B))\/s$/i.exec(value);
  const unit = RATE_UNITS[(match?.[2] ?? "").toUpperCase()];
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

function malformed(text: string, expected: string): JobError {
  const shown = JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
  return new JobError("precondition", `${shown} is no limit: expected ${expected}`);
}

/**
 * Reads and checks the resource files of a folder.
 *
 * @param folder The limits folder.
 * @throws {JobError} "precondition", with the file's name, its text and what was expected. A missing
 * file is an error too: a limit that somebody believes in must not vanish with its file.
 */
export async function readLimits(folder: string): Promise<Limits> {
  const cpu = await readLimit(folder, LIMIT_FILES.cpu, parseCpuLimit);
  const memory = await readLimit(folder, LIMIT_FILES.memory, parseMemoryLimit);
  const diskIo = await readLimit(folder, LIMIT_FILES.diskIo, parseDiskIoLimit);
  return {
    ...(cpu === undefined ? {} : { cpuCores: cpu }),
    ...(memory === undefined ? {} : { memoryBytes: memory }),
    ...diskIo,
  };
}

async function readLimit<T>(folder: string, name: string, parse: (text: string) => T): Promise<T> {
  try {
    return parse(await readShortFile(join(folder, name)));
  } catch (error) {
    throw new JobError(
      "precondition",
      `Cannot start the job: limit file ${name}${problemOf(error)}`,
      error instanceof JobError ? undefined : { cause: error },
    );
  }
}

function problemOf(error: unknown): string {
  if (error instanceof JobError) return `: ${error.message}`;
  const problem = error instanceof Deno.errors.NotFound ? "is missing" : "cannot be read";
  return ` ${problem} on the server; "max" in it means no limit`;
}

/** Reads a file of bounded length. A longer one is refused: what follows may say something else. */
async function readShortFile(path: string): Promise<string> {
  using file = await Deno.open(path);
  const buffer = new Uint8Array(MAX_FILE_BYTES);
  let length = 0;
  while (length < buffer.length) {
    const read = await file.read(buffer.subarray(length));
    if (read === null) break;
    length += read;
  }
  const text = new TextDecoder().decode(buffer.subarray(0, length));
  if (length === buffer.length) {
    throw malformed(text, `text no longer than ${MAX_FILE_BYTES - 1} bytes`);
  }
  return text;
}
