/** Floods of calls, what they cost the server's host, and what others feel of them. */
import { strict as assert } from "node:assert";
import { type TestClient } from "./client.ts";
import type { FloodCall, FloodOptions, FloodResult } from "./flood_worker.ts";
import type { TestServer } from "./server.ts";
import { inTime } from "./wait.ts";

/** Between two looks at the server's children. */
const LOOK_INTERVAL_MS = 5;

/** Clock ticks a second in /proc/PID/stat: the kernel's constant for programs (USER_HZ). */
const TICKS_PER_SECOND = 100;

/** Many calls of one client, until they are over or given up. */
export class Flood implements Disposable {
  readonly #worker: Worker;
  readonly #result = Promise.withResolvers<FloodResult>();
  isOver = false;
  /** Half-sent requests that the server has ended. */
  refusedCount = 0;

  private constructor(worker: Worker) {
    this.#worker = worker;
  }

  /** Makes calls, so many at once on one connection. Settles when all of them are made. */
  static async begin(
    server: TestServer,
    { who, call, count }: { who: string; call: FloodCall; count: number },
  ): Promise<Flood> {
    const read = (name: string) => Deno.readTextFileSync(server.pki.file(name));
    const identity = { ca: read("ca.crt"), cert: read(`${who}.crt`), key: read(`${who}.key`) };
    const worker = new Worker(new URL("./flood_worker.ts", import.meta.url), { type: "module" });
    const flood = new Flood(worker);
    const begun = Promise.withResolvers<void>();
    worker.onmessage = ({ data }: MessageEvent<"begun" | "refused" | FloodResult>) => {
      if (data === "begun") return begun.resolve();
      if (data === "refused") return void flood.refusedCount++;
      flood.isOver = true;
      flood.#result.resolve(data);
    };
    worker.onerror = (event) => begun.reject(new Error(event.message));
    const options: FloodOptions = { address: server.address, identity, call, count };
    worker.postMessage(options);
    await inTime("the flood to begin", begun.promise);
    return flood;
  }

  /** Waits until all calls are over. */
  ended(): Promise<FloodResult> {
    return inTime("the flood to end", this.#result.promise);
  }

  /** Gives all calls up that are open. */
  giveUp(): Promise<FloodResult> {
    this.#worker.postMessage("end");
    return inTime("the flood to go", this.#result.promise);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Asserts that all went well. */
export function assertAnswered({ answered, failed, failure }: FloodResult, count: number): void {
  assert.deepEqual({ answered, failed, failure }, {
    answered: count,
    failed: 0,
    failure: undefined,
  });
}

/** The most children that a process has had, as far as it was looked at, until the signal. */
export async function peakChildren(pid: number, signal: AbortSignal): Promise<number> {
  let peak = 0;
  while (!signal.aborted) {
    peak = Math.max(peak, await countChildren(pid));
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
  return peak;
}

/** Children of all threads of a process (proc(5): /proc/PID/task/TID/children). */
export async function countChildren(pid: number): Promise<number> {
  let count = 0;
  for await (const { name } of Deno.readDir(`/proc/${pid}/task`)) {
    const text = await Deno.readTextFile(`/proc/${pid}/task/${name}/children`).catch(() => "");
    count += text.split(" ").filter((child) => child !== "").length;
  }
  return count;
}

/** Latencies of calls one after the other, in milliseconds: sorted. */
export async function latenciesMs(
  client: TestClient,
  jobID: string,
  isOver: () => boolean,
): Promise<number[]> {
  const latencies: number[] = [];
  do {
    const beganMs = performance.now();
    await inTime("an honest answer", client.query(jobID));
    latencies.push(performance.now() - beganMs);
  } while (!isOver());
  return latencies.sort((one, two) => one - two);
}

/** The value in the middle of sorted ones. */
export function median(sorted: readonly number[]): number {
  return sorted[Math.floor(sorted.length / 2)] ?? NaN;
}

/** Processor time of a process so far, in milliseconds (proc(5): utime and stime). */
export async function processorMs(pid: number): Promise<number> {
  const stat = await Deno.readTextFile(`/proc/${pid}/stat`);
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND * 1000;
}
