/**
 * What a job is given that waits on this host: its environment and its input, in a file of its folder that
 * the server alone can read, until the job begins or ends. They may hold secrets.
 */
import { Buffer } from "node:buffer";
import { join } from "node:path";
import * as v from "valibot";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";
import type { JobSecrets } from "../model/settings.ts";

const FILE = "held";

const CONTENT = v.object({ environment: v.record(v.string(), v.string()), input: v.string() });

/**
 * Writes the file, and brings it to the disk.
 *
 * @param folder The job's folder.
 * @throws When the disk is full or fails.
 */
export async function keepSecrets(folder: string, secrets: JobSecrets): Promise<void> {
  const { environment, input } = secrets;
  const text = JSON.stringify({ environment, input: Buffer.from(input).toString("base64") });
  using file = await Deno.open(join(folder, FILE), { write: true, createNew: true, mode: 0o600 });
  const bytes = new TextEncoder().encode(text);
  for (let offset = 0; offset < bytes.length;) {
    offset += await file.write(bytes.subarray(offset));
  }
  await file.sync();
  // The name is the folder's.
  using directory = await Deno.open(folder);
  await directory.sync();
}

/** @throws When the file is missing or damaged. */
export async function keptSecrets(folder: string): Promise<JobSecrets> {
  const { environment, input } = v.parse(
    CONTENT,
    JSON.parse(await Deno.readTextFile(join(folder, FILE))),
  );
  return { environment, input: new Uint8Array(Buffer.from(input, "base64")) };
}

/** Whether there is the file. */
export async function hasSecretsKept(folder: string): Promise<boolean> {
  try {
    await Deno.stat(join(folder, FILE));
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Removes the file; one that is gone is no error. Never rejects: what fails is logged. */
export async function dropSecrets(folder: string): Promise<void> {
  try {
    await Deno.remove(join(folder, FILE));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return;
    log.error("cannot remove what a job was given that waited for its turn", {
      error: messageOf(error),
    });
  }
}
