/** What a server is seen to use while it is under load. */
import type { TestServer } from "../tests/support/server.ts";

/** The server at one moment. */
export interface Sample {
  /** Seconds since the soak's beginning. */
  readonly atSeconds: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly threads: number;
  /** What a whole `worker-client query` took, the median since the sample before. */
  readonly queryMs: number;
}

/**
 * Looks at the server.
 *
 * @param queriesMs What queries took since the last sample.
 * @returns Undefined while a fresh process is taking over, and where no query has ended.
 */
export async function takeSample(
  server: TestServer,
  { atSeconds, queriesMs }: { atSeconds: number; queriesMs: readonly number[] },
): Promise<Sample | undefined> {
  const queryMs = queriesMs.toSorted((a, b) => a - b)[Math.floor(queriesMs.length / 2)];
  if (queryMs === undefined || !server.isRunning) return undefined;
  try {
    const { descriptors, residentBytes } = await server.resources();
    let threads = 0;
    for await (const _ of Deno.readDir(`/proc/${server.pid}/task`)) threads++;
    return { atSeconds, residentBytes, descriptors, threads, queryMs };
  } catch {
    // It ended while it was looked at; the next sample is of its successor.
    return undefined;
  }
}
