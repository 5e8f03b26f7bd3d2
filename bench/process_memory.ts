/** How much memory a process has when it has come to rest. */
import { residentBytes } from "../tests/support/process_memory.ts";

/** Memory that changes by less than this is taken for unchanged. */
const STEADY_BYTES = 1e6;

/** For so long: the runtime frees what is left over some eight seconds after it has become quiet. */
const STEADY_MS = 10_000;

/** What has not come to rest by then is measured as it is. */
const LONGEST_MS = 40_000;

const LOOK_MS = 250;

/** The resident memory of a process in bytes, when it has not changed for some time. */
export async function settledBytes(pid: number): Promise<number> {
  const beginMs = performance.now();
  let steady = { bytes: await residentBytes(pid), sinceMs: beginMs };
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    const [bytes, nowMs] = [await residentBytes(pid), performance.now()];
    if (Math.abs(bytes - steady.bytes) > STEADY_BYTES) steady = { bytes, sinceMs: nowMs };
    if (nowMs - steady.sinceMs > STEADY_MS || nowMs - beginMs > LONGEST_MS) return bytes;
  }
}
