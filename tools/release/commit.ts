/** The commit that a release is made of. */
import { resolve } from "node:path";

const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** When it was made, and by whom. */
export interface Commit {
  /** Seconds since 1970-01-01 UTC. */
  readonly commitTime: number;
  /** `NAME <ADDRESS>` */
  readonly committer: string;
}

/**
 * Asks git for the commit that is checked out.
 *
 * @throws {Error} Where there is none: a release is of a commit, and has its time.
 */
export async function readCommit(): Promise<Commit> {
  const { success, stdout } = await new Deno.Command("git", {
    args: ["-C", ROOT, "log", "-1", "--format=%ct %cn <%ce>"],
    stdin: "null",
    stderr: "null",
  }).output().catch(() => ({ success: false, stdout: new Uint8Array() }));
  const [, time, committer] = /^(\d+) (.+)\n$/.exec(new TextDecoder().decode(stdout)) ?? [];
  if (!success || time === undefined || committer === undefined) {
    throw new Error("Cannot tell what this is a release of: make it in a clone of the repository");
  }
  return { commitTime: Number(time), committer };
}
