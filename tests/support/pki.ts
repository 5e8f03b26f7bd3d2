/** Certificates for tests. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { runProgram } from "../../tools/run_program.ts";
import { BIN_DIR } from "./binaries.ts";
import { keyArguments, sharedCaArguments } from "./key_pool.ts";

/**
 * A folder of certificates to take copies of: to make four keys takes seconds, in an emulated machine
 * minutes.
 */
const GIVEN_PKI = Deno.env.get("JOB_WORKER_TEST_PKI");

/**
 * Makes a CA with a server, a writer (alice) and a reader (bob).
 *
 * @param binDir Where `worker-certs` is.
 * @param folder Where the certificates go.
 */
export async function makePki(binDir: string, folder: string): Promise<void> {
  await runCerts(binDir, ["init", "--dir", folder, ...sharedCaArguments()]);
  const issue = (name: string, ...rest: string[]) =>
    runCerts(binDir, ["issue", "--dir", folder, "--name", name, ...rest]);
  await Promise.all([
    issue("server", "--server", "--san", "localhost,127.0.0.1"),
    issue("alice", "--role", "writer", "--bundle"),
    issue("bob", "--role", "reader", "--bundle"),
  ]);
}

/**
 * Runs `worker-certs`, with a key of this run's where it would make one (tests/support/key_pool.ts).
 *
 * @throws When it fails, with what it said.
 */
export async function runCerts(binDir: string, args: readonly string[]): Promise<void> {
  await runProgram(join(binDir, "worker-certs"), [...args, ...keyArguments(args)]);
}

/** Certificates of one CA: alice is a writer, bob a reader. Each test process has its own folder. */
export interface Pki {
  folder: string;
  /** The path of a file such as `ca.crt` or `alice.pem`. */
  file(name: string): string;
  /** Issues another client certificate. */
  issue(name: string, role: string): Promise<void>;
}

let pki: Promise<Pki> | undefined;

/** The CA of this test process, with a server, alice (writer) and bob (reader). */
export function testPki(): Promise<Pki> {
  pki ??= preparePki();
  return pki;
}

async function preparePki(): Promise<Pki> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-pki-" });
  globalThis.addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));
  if (GIVEN_PKI === undefined) await makePki(BIN_DIR, folder);
  else await cp(GIVEN_PKI, folder, { recursive: true });
  return {
    folder,
    file: (name) => join(folder, name),
    issue: (name, role) =>
      runCerts(BIN_DIR, ["issue", "--dir", folder, "--name", name, "--role", role, "--bundle"]),
  };
}
