/** Certificates for tests. */
import { join } from "node:path";
import { runProgram } from "../tools/run_program.ts";

/**
 * Makes a CA with a server, a writer (alice) and a reader (bob).
 *
 * @param binDir Where `worker-certs` is.
 * @param folder Where the certificates go.
 */
export async function makePki(binDir: string, folder: string): Promise<void> {
  await runCerts(binDir, ["init", "--dir", folder]);
  const issue = (name: string, ...rest: string[]) =>
    runCerts(binDir, ["issue", "--dir", folder, "--name", name, ...rest]);
  await Promise.all([
    issue("server", "--server", "--san", "localhost,127.0.0.1"),
    issue("alice", "--role", "writer", "--bundle"),
    issue("bob", "--role", "reader", "--bundle"),
  ]);
}

/** Runs `worker-certs`. @throws When it fails, with what it said. */
export function runCerts(binDir: string, args: readonly string[]): Promise<void> {
  return runProgram(join(binDir, "worker-certs"), args);
}
