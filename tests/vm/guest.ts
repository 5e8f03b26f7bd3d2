/** What the tests within the guest share: servers with the binaries as released, and the kernel's files. */
import { join } from "node:path";
import { DEFAULT_LOG_DIR } from "../../tools/log_directory.ts";
import type { StartRequest } from "../../proto/contract.ts";
import type { TestClient } from "../support/client.ts";
import { type ServerOptions, TestServer } from "../support/server.ts";
import { inTime } from "../support/wait.ts";

/** The pure cgroup v2 tree. */
export const CGROUP_ROOT = "/sys/fs/cgroup";

/** A test that takes longer hangs: it fails, so that those after it still run. */
const TEST_DEADLINE_MS = 180_000;

/**
 * Registers a test.
 *
 * grpc-js tries to reach a server that has ended for a moment longer, and on a slow machine that
 * outlives the test; so what is left open at its end is not looked at.
 */
export function guestTest(name: string, fn: () => Promise<void>): void {
  const inDeadline = () => inTime("the test to end", fn(), TEST_DEADLINE_MS);
  Deno.test({ name, fn: inDeadline, sanitizeOps: false, sanitizeResources: false });
}

/** Starts a server with a log directory of its own below the one that is built in. */
export function startServer(options: ServerOptions = {}): Promise<TestServer> {
  const logDir = join(DEFAULT_LOG_DIR, `test-${crypto.randomUUID()}`);
  return TestServer.start({ logDir, ...options });
}

let shared: Promise<TestServer> | undefined;

/**
 * A server for all tests that need no flags of their own: to start one takes an emulated machine
 * several seconds. It runs until the guest goes down.
 *
 * @param limits What the limit files say from now on; `max` where nothing is given.
 */
export async function sharedServer(limits: ServerOptions["limits"] = {}): Promise<TestServer> {
  const server = await (shared ??= startServer());
  // A test that ends it amid something may have failed before it ran again.
  if (!server.isRunning) await server.launch();
  await server.setLimits(limits);
  return server;
}

/** A path that no test has used. */
export function newPath(server: TestServer): string {
  return join(server.folder, crypto.randomUUID());
}

/** The text of a file of a job's control group, without the last line's end. */
export async function groupFile(server: TestServer, jobId: string, name: string): Promise<string> {
  const text = await Deno.readTextFile(join(CGROUP_ROOT, server.cgroupParent, jobId, name));
  return text.trimEnd();
}

/** The `MAJ:MIN` number of a block device. */
export async function deviceNumber(name: string): Promise<string> {
  return (await Deno.readTextFile(`/sys/class/block/${name}/dev`)).trim();
}

/** Runs a job to its end, and returns its status, its output and how many seconds it took. */
export async function runJob(client: TestClient, script: string, request: StartRequest = {}) {
  const jobId = await client.script(script, request);
  const status = await client.wait(jobId);
  const seconds = (status.endedAtMs - status.startedAtMs) / 1000;
  return { status, text: await client.text(jobId), seconds };
}
