/** The options for limits of a job, of verbs that start jobs and that change their limits. */
import { type Command, Option } from "commander";
import {
  type DiskRates,
  type Limits,
  type NamedDisk,
  parseAllowedCpus,
  parseCpuLimit,
  parseDiskIoRates,
  parseMemoryLimit,
  parseNamedDisk,
  parseOperationLimit,
  parseProcessLimit,
} from "../../common/limits.ts";
import { parsedOption } from "./options.ts";

/** The limits on a command line; Infinity, written `max`: none of the job's own, only the server's. */
export interface LimitOptions {
  /** Cores. */
  readonly cpu?: number;
  /** Bytes. */
  readonly memory?: number;
  readonly diskIo?: DiskRates;
  /** Bytes. */
  readonly memoryHigh?: number;
  /** Operations a second. */
  readonly readIops?: number;
  readonly writeIops?: number;
  readonly processes?: number;
  /** A list; empty, written `max`: none of the job's own. */
  readonly cpusAllowed?: string;
  /** None, written `max`: none of the job's own. */
  readonly disk?: readonly NamedDisk[];
}

/** Limits that are given, and those that are said to be the server's. */
export interface GivenLimits {
  readonly limits: Limits;
  readonly unlimited: readonly (keyof Limits)[];
}

/** Adds the options. */
export function defineLimitOptions(command: Command): void {
  const add = (option: Option) =>
    command.addOption(option.helpGroup("Limits, at most the server's; max: the server's alone:"));
  add(
    parsedOption("--cpu <percent>", "of one core: 50%, 200%", {
      parse: orUnlimited(parseCpuLimit),
    }),
  );
  add(
    parsedOption("--cpus-allowed <list>", "the only CPUs it may use, such as 0-3,5", {
      parse: (text) => parseAllowedCpus(text) ?? "",
    }),
  );
  add(
    parsedOption("--memory <size>", "such as 256M", { parse: orUnlimited(parseMemoryLimit) }),
  );
  add(
    parsedOption("--memory-high <size>", "above it the job is slowed down, not killed", {
      parse: orUnlimited(parseMemoryLimit),
    }),
  );
  add(
    parsedOption("--disk-io <rate>", 'such as 10MB/s, or "read=50MB/s write=10MB/s"', {
      parse: parseDiskIoRates,
    }),
  );
  add(
    parsedOption("--read-iops <n>", "reads a second, on each disk", {
      parse: orUnlimited(parseOperationLimit),
    }),
  );
  add(
    parsedOption("--write-iops <n>", "writes a second, on each disk", {
      parse: orUnlimited(parseOperationLimit),
    }),
  );
  add(
    parsedOption(
      "--disk <limits>",
      'of one disk: "/dev/sdb read=10MB/s read-iops=500"; repeatable',
      {
        parse: (text, earlier: readonly NamedDisk[] = []) =>
          text.trim() === "max" ? [] : [...earlier, parseNamedDisk(text)],
      },
    ),
  );
  add(
    parsedOption("--processes <n>", "processes and threads at once", {
      parse: orUnlimited(parseProcessLimit),
    }),
  );
}

/** The limits that the options name. */
export function toLimits(options: LimitOptions): GivenLimits {
  const { cpu, memory, memoryHigh, diskIo, readIops, writeIops, processes, cpusAllowed } = options;
  const named: [keyof Limits, number | string | readonly NamedDisk[] | undefined][] = [
    ["cpuCores", cpu],
    ["memoryBytes", memory],
    ["memoryHighBytes", memoryHigh],
    ["readBytesPerSecond", diskIo?.readBytesPerSecond],
    ["writeBytesPerSecond", diskIo?.writeBytesPerSecond],
    ["readOperationsPerSecond", readIops ?? diskIo?.readOperationsPerSecond],
    ["writeOperationsPerSecond", writeIops ?? diskIo?.writeOperationsPerSecond],
    ["processes", processes],
    ["allowedCpus", cpusAllowed],
    ["disks", options.disk],
  ];
  const isUnlimited = (value: unknown) =>
    value === Infinity || value === "" || Array.isArray(value) && value.length === 0;
  const given = named.filter(([, value]) => value !== undefined && !isUnlimited(value));
  const unlimited = named.filter(([, value]) => isUnlimited(value)).map(([name]) => name);
  return { limits: Object.fromEntries(given), unlimited };
}

/** The parser of a limit, with Infinity for none: for commander, undefined is the empty text. */
function orUnlimited(
  parse: (text: string) => number | undefined,
): (text: string) => number {
  return (text) => parse(text) ?? Infinity;
}
