/** What a Start asks for, checked. Pure. */
import { Buffer } from "node:buffer";
import { isDeepStrictEqual } from "node:util";
import { JobError } from "../errors.ts";
import type { Command } from "./ending.ts";
import type { JobSecrets, JobSettings } from "./settings.ts";
import type { JobRecord } from "./record.ts";
import type { Limits } from "../limits.ts";

/** A job that is to be started. */
export interface JobRequest {
  readonly command: Command;
  readonly settings: JobSettings;
  readonly secrets: JobSecrets;
  /** Its user is known to be in the group of `settings`, on the host that it runs on. */
  readonly isOfItsGroup?: true;
  /** The limits that the client asks for; none may be above the server's. */
  readonly limits: Readonly<Limits>;
}

/** Linux's bound for one argument with the NUL byte at its end, in bytes (MAX_ARG_STRLEN). */
const MAX_ARGUMENT_BYTES = 128 * 1024;

/** All arguments together, in bytes; Linux takes at least this (execve(2): a quarter of the stack). */
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

/** More than any client makes (a UUID has 36), and short enough for an index of the database. */
const MAX_KEY_CHARACTERS = 128;

/** @throws {JobError} "invalid" for a key that is too long. */
export function checkIdempotencyKey(key: string): void {
  if (key.length <= MAX_KEY_CHARACTERS) return;
  throw new JobError(
    "invalid",
    `Cannot start a job: the idempotency key is above ${MAX_KEY_CHARACTERS} characters`,
  );
}

/**
 * Checks that a repeated Start asks for what the first one did. What an earlier server did not record
 * is not compared.
 *
 * @param earlier The record of the first one's job.
 * @throws {JobError} "precondition" when its idempotency key was used for something else.
 */
export function requireSameRequest(earlier: JobRecord, asked: JobRequest): void {
  const { command, settings = asked.settings, askedLimits = asked.limits } = earlier;
  if (
    isDeepStrictEqual(
      [command.name, command.args, settings, askedLimits],
      [asked.command.name, asked.command.args, asked.settings, asked.limits],
    )
  ) return;
  throw new JobError(
    "precondition",
    "Cannot start the job: its idempotency key was used for another command, or with other options",
  );
}
