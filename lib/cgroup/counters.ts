/** Parses the counters of control groups. */
import type { CounterName, Usage } from "./types.ts";

/**
 * Parses counters. Unknown lines are ignored, since new kernels add some.
 *
 * @param counters The counter files' texts by name.
 */
export function parseUsage(counters: ReadonlyMap<CounterName, string>): Usage {
  const usage: Usage = {};
  for (const [name, text] of counters) Object.assign(usage, parseCounter(name, text));
  // A root job may have written into its launch record: no number must come of it that records refuse.
  return Object.fromEntries(
    Object.entries(usage).filter(([, count]) => Number.isSafeInteger(count)),
  );
}

/** How many of the job's processes the OOM killer killed. Never guessed from exit status 137. */
export function parseOomKills(counters: ReadonlyMap<CounterName, string>): number {
  const text = counters.get("memory.events") ?? counters.get("memory.oom_control") ?? "";
  return keyedNumber(text, "oom_kill") ?? 0;
}

function parseCounter(name: CounterName, text: string): Usage {
  switch (name) {
    case "cpu.stat":
      return parseCpuStat(text);
    case "cpuacct.usage": // nanoseconds
      return number("cpuUsec", text, 1e-3);
    case "memory.current":
    case "memory.usage_in_bytes":
      return number("memoryBytes", text);
    case "memory.peak":
    case "memory.max_usage_in_bytes":
      return number("memoryPeakBytes", text);
    case "pids.current":
      return number("processes", text);
    case "io.stat":
      return {
        readBytes: sum(text, /\brbytes=(\d+)/g),
        writtenBytes: sum(text, /\bwbytes=(\d+)/g),
      };
    case "blkio.throttle.io_service_bytes_recursive":
      return { readBytes: sum(text, /\bRead (\d+)/g), writtenBytes: sum(text, /\bWrite (\d+)/g) };
    default:
      return {};
  }
}

/** cpu.stat counts in microseconds on v2 and throttling in nanoseconds (throttled_time) on v1. */
function parseCpuStat(text: string): Usage {
  const used = keyedNumber(text, "usage_usec");
  const throttledNsec = keyedNumber(text, "throttled_time");
  const throttled = keyedNumber(text, "throttled_usec") ??
    (throttledNsec === undefined ? undefined : Math.floor(throttledNsec / 1000));
  return {
    ...(used === undefined ? {} : { cpuUsec: used }),
    ...(throttled === undefined ? {} : { cpuThrottledUsec: throttled }),
  };
}

function number(field: keyof Usage, text: string, factor = 1): Usage {
  return /^\d+\s*$/.test(text) ? { [field]: Math.floor(Number(text) * factor) } : {};
}

function keyedNumber(text: string, key: string): number | undefined {
  const digits = new RegExp(`^${key} (\\d+)$`, "m").exec(text)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

function sum(text: string, pattern: RegExp): number {
  let total = 0;
  for (const match of text.matchAll(pattern)) total += Number(match[1]);
  return total;
}
