/**
 * What runs in the guest when its power is cut: clients that start jobs and wait for some of them. Each
 * answer is a line on the serial line, so that the host knows what must be on record afterwards.
 */
import process from "node:process";
import type { TestClient } from "../support/client.ts";
import { startServer } from "./guest.ts";

/** The log directory that the servers of both boots use. */
export const POWER_CUT_LOG_DIR = "/var/log/job-worker/power-cut";

/** How many clients start jobs at the same time. */
export const WORKERS = 4;

/** A power cut comes long before; without one the guest reboots, and the host says so. */
const MAX_JOBS = 500;

/** What kinds of jobs there are: each client starts them in turn. */
export type JobKind = "waited" | "short" | "long";

const KINDS: readonly JobKind[] = ["waited", "long", "short"];

/** The kind of a client's job, counted from 1. */
export function kindOf(number: number): JobKind {
  return KINDS[number % KINDS.length] ?? "short";
}

/** The name of a client's job. */
export function nameOf(worker: number, number: number): string {
  return `power-cut-${worker}-${number}`;
}

/** What a job writes. */
export function outputOf(worker: number, number: number): string {
  return `job ${number} of client ${worker}\n`;
}

/** The exit status of a job that ends by itself. */
export function exitCodeOf(number: number): number {
  return number % 100;
}

async function startJobs(client: TestClient, worker: number): Promise<void> {
  for (let number = 1; number <= MAX_JOBS; number++) {
    const kind = kindOf(number);
    const end = kind === "long" ? "exec sleep 600" : `exit ${exitCodeOf(number)}`;
    const jobId = await client.startWith({
      name: "/bin/sh",
      args: ["-c", `printf %s "$1"; ${end}`, "sh", outputOf(worker, number)],
      title: nameOf(worker, number),
    });
    say(`answered ${worker} ${number}`);
    if (kind !== "waited") continue;
    await client.wait(jobId);
    say(`ended ${worker} ${number}`);
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (import.meta.main) {
  const server = await startServer({ logDir: POWER_CUT_LOG_DIR, flags: ["--max-jobs", "1000"] });
  say(`boot ${(await Deno.readTextFile("/proc/sys/kernel/random/boot_id")).trim()}`);
  const client = server.client();
  await Promise.all(Array.from({ length: WORKERS }, (_, worker) => startJobs(client, worker)));
}
