/** What a job leaves on the host: looked for in the kernel's own lists, past the server. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { findGroups } from "../../tools/test/leftovers.ts";
import type { TestClient } from "./client.ts";
import type { TestServer } from "./server.ts";
import { inTime } from "./wait.ts";

/** Waits until a job has ended, and checks that nothing of it is left but its record and output. */
export async function endOf(client: TestClient, jobId: string): Promise<QueryResponse__Output> {
  const status = await inTime("the job to end", client.wait(jobId));
  await assertGone(jobId);
  return status;
}

/** Asserts that no process and no control group of a job is left. */
export async function assertGone(jobId: string): Promise<void> {
  assert.deepEqual(await processesOf(jobId), [], "processes of the job are left");
  assert.deepEqual(await groupsOf(jobId), [], "control groups of the job are left");
}

/** A job's control groups, one for each hierarchy. */
export function groupsOf(jobId: string): Promise<string[]> {
  return findGroups(new RegExp(`^${jobId}$`));
}

/** The processes of a job, wherever they hide: each inherits the job's id. */
export async function processesOf(jobId: string): Promise<number[]> {
  const found: number[] = [];
  for await (const { name } of Deno.readDir("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    // A process may end while it is being looked at.
    const environment = await Deno.readTextFile(`/proc/${name}/environ`).catch(() => "");
    if (environment.split("\0").includes(`JOB_ID=${jobId}`)) found.push(Number(name));
  }
  return found;
}

/** The ids of all jobs that have a folder below the server's log directory. */
export async function jobFolders(server: TestServer): Promise<string[]> {
  const names = await Array.fromAsync(Deno.readDir(join(server.logDir, "jobs")));
  return names.map(({ name }) => name).sort();
}

/** Asserts that a refused start left no folder and no control group behind. */
export async function assertNothingStarted(server: TestServer): Promise<void> {
  assert.deepEqual(await jobFolders(server), [], "folders of jobs are left");
  const parents = await findGroups(new RegExp(`^${server.cgroupParent}$`));
  assert(parents.length > 0, "the server has no control groups");
  for (const parent of parents) {
    const left = await findGroups(/^(?!launchers$)/, parent);
    assert.deepEqual(left, [], "control groups of jobs are left");
  }
}

/** Why a test that needs perl cannot run: no shell survives a fork that fails, so it makes no bomb. */
export async function lacksPerl(): Promise<string | undefined> {
  const found = await Deno.stat("/usr/bin/perl").catch(() => undefined);
  return found === undefined ? "perl is not installed" : undefined;
}
