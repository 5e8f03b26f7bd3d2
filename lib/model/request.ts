/** What a Start asks for, as jobs understand it. Pure. */
import { Buffer } from "node:buffer";
import { JobError } from "../errors.ts";
import type { Command } from "./ending.ts";
import type { JobSecrets, JobSettings } from "./settings.ts";
import type { JobRecord } from "./record.ts";
import type { Limits } from "../limits.ts";

/** A job that is to be started. */
export interface JobRequest {
  command: Command;
  settings: JobSettings;
  secrets: JobSecrets;
  /** Limits for this job, none above what the server's files say. */
  limits: Limits;
}

/** Linux's bound for one argument with the NUL byte at its end (MAX_ARG_STRLEN). */
const MAX_ARGUMENT_BYTES = 128 * 1024;

/** All arguments together; Linux takes at least this much (execve(2): a quarter of the stack). */
const MAX_COMMAND_BYTES = 1024 ** 2;

/**
 * Checks a command as far as that can be done without looking at the host.
 *
 * @throws {JobError} "invalid".
 */
export function checkCommand({ name, args }: Command): void {
  if (name === "") throw new JobError("invalid", "Cannot start a job: the program's name is empty");
  if ([name, ...args].some((text) => text.includes("\0"))) {
    throw new JobError("invalid", "Cannot start a job: an argument contains a NUL byte");
  }
  const sizes = [name, ...args].map((text) => Buffer.byteLength(text) + 1);
  if (sizes.some((bytes) => bytes > MAX_ARGUMENT_BYTES)) {
    throw new JobError(
      "invalid",
      "Cannot start a job: an argument is above 128 KiB; hand long data over in a file",
    );
  }
  if (sizes.reduce((total, bytes) => total + bytes) > MAX_COMMAND_BYTES) {
    throw new JobError(
      "invalid",
      "Cannot start a job: its arguments are above 1 MiB; hand long data over in a file",
    );
  }
}

/** @throws {JobError} "invalid" for a key that is too long. */
export function checkIdempotencyKey(key: string): void {
  if (key.length <= 128) return;
  throw new JobError("invalid", "Cannot start a job: the idempotency key is above 128 characters");
}

/**
 * Checks that a repeated Start asks for what the first one did.
 *
 * @returns The id of the first one's job.
 * @throws {JobError} "precondition" when its idempotency key was used for something else.
 */
export function sameRequest({ id, command, settings }: JobRecord, asked: JobRequest): string {
  const isSame = JSON.stringify([command.name, command.args]) ===
      JSON.stringify([asked.command.name, asked.command.args]) &&
    (settings === undefined || JSON.stringify(settings) === JSON.stringify(asked.settings));
  if (isSame) return id;
  throw new JobError(
    "precondition",
    "Cannot start the job: its idempotency key was used for another command, or with other options",
  );
}
