/**
 * What sbatch is given of a job that it has not taken yet: kept in the job's folder, so that a later server, too, can
 * hand the job over. It is there for no job that Slurm has taken at once.
 */
import { join } from "node:path";
import { replaceFile } from "../../regular_file.ts";
import { readNodeFile } from "./node_file.ts";

/** Arguments of sbatch, and the batch script. */
export interface KeptSubmission {
  readonly args: readonly string[];
  readonly script: string;
}

const FILE = "submission";

/** A command has 1 MiB at most, of which quotes make some times as much. */
const MAX_BYTES = 16 * 1024 ** 2;

/** Keeps it, for the server alone. */
export async function keepSubmission(folder: string, kept: KeptSubmission): Promise<void> {
  await replaceFile(join(folder, FILE), JSON.stringify(kept), { mode: 0o600 });
}

/**
 * Reads what is kept.
 *
 * @returns undefined: nothing is, or nothing that can be handed over.
 * @throws When the file system fails.
 */
export async function keptSubmission(folder: string): Promise<KeptSubmission | undefined> {
  const file = await readNodeFile(join(folder, FILE), { maxBytes: MAX_BYTES });
  return file && parseKeptSubmission(file.text);
}

/** Whether a job waits to be handed over. */
export async function isSubmissionKept(folder: string): Promise<boolean> {
  try {
    return (await Deno.lstat(join(folder, FILE))).isFile;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes it. */
export async function forgetSubmission(folder: string): Promise<void> {
  try {
    await Deno.remove(join(folder, FILE));
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** Parses it; undefined for what was not written by a server. */
export function parseKeptSubmission(text: string): KeptSubmission | undefined {
  let kept: Partial<Record<keyof KeptSubmission, unknown>> | null;
  try {
    kept = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { args, script } = kept ?? {};
  if (!Array.isArray(args) || typeof script !== "string") return undefined;
  return args.every((arg) => typeof arg === "string") ? { args, script } : undefined;
}
