import { type Command, Option } from "commander";
import type { JobSpec } from "../jobs/job_spec.ts";
import { startJob, toStartRequest, UnknownOutcomeError } from "../jobs/start.ts";
import {
  defineStartOptions,
  readJobSpec,
  type StartOptions,
} from "../command_line/start_options.ts";
import { defineGrace } from "./stop.ts";
import { ClientError, GrpcStatus, RefusedCallError } from "../errors.ts";
import { slipOf } from "../command_line/slips.ts";
import { ExitStatus } from "../exit_status.ts";
import { hasSeparateStderr } from "../jobs/separate_stderr.ts";
import type { Session, SessionContext } from "../connection/session.ts";
import type { Verb } from "../command_line/verb.ts";

/** `start CMD [ARGS...]`: starts a job and prints its id. */
export const startVerb: Verb = {
  name: "start",

  define(command) {
    command.summary("start a job and print its id");
    command.description("Starts a command on the server as a job and prints the job's id.");
    defineProgram(command);
    command.addOption(new Option("-q, --quiet", "print the id alone"));
    command.addHelpText(
      "after",
      `
Options go before the program; everything after the program's name is passed to
the program.

Examples:
  worker-client start ls -la --color=never /
  worker-client start --server worker1:50051 sh -c 'make && make test'
  worker-client start --name backup --timeout 2h -u backup /opt/backup.sh
  worker-client start -e LANG=de_DE.UTF-8 -C /srv/app --memory 512M ./report
  pg_dump shop | worker-client run --stdin - --private-tmp --no-network wc -c
  worker-client start --idempotency-key nightly-2026-05-04 /opt/backup.sh

When the answer to a start is lost the start is sent again with the same
idempotency key, so that the job runs once. With --idempotency-key a script that
is run again does not start its job twice.`,
    );
  },

  async run({ servers, terminal }, command) {
    const session = await servers.one();
    const jobID = await startProgram({ session, terminal }, command);
    const { quiet } = command.opts<{ quiet?: true }>();
    terminal.write(new TextEncoder().encode(quiet ? `${jobID}\n` : `Job ID: ${jobID} Started\n`));
    return ExitStatus.ok;
  },
};

/** Adds the arguments and options that `start` and `run` share. */
export function defineProgram(command: Command): void {
  command.argument("<program>", "a path, or a name that the server looks up in its PATH");
  command.argument("[args...]", "its arguments, passed on byte for byte");
  command.passThroughOptions();
  defineStartOptions(command);
  defineGrace(command);
}

/**
 * Starts the program that the command line names.
 *
 * @returns The job's id.
 * @throws {ClientError} It was not started, or the outcome is unknown; then the message says how to find out.
 */
export async function startProgram(
  { session, terminal }: SessionContext,
  command: Command,
): Promise<string> {
  const options = { idempotencyKey: crypto.randomUUID(), ...command.opts<StartOptions>() };
  const jobID = await sendStart(session, command.args, await readJobSpec(options, terminal));
  if (options.separateStderr && await hasSeparateStderr(session, jobID) === false) {
    terminal.note(
      "standard error is not kept apart: the server is older than this client, and has both in the output",
    );
  }
  return jobID;
}

/**
 * Starts a job.
 *
 * @param words The program and its arguments.
 * @returns The job's id.
 * @throws {ClientError} As {@linkcode startProgram}.
 */
export async function sendStart(
  session: Session,
  words: readonly string[],
  spec: JobSpec,
): Promise<string> {
  const { idempotencyKey } = spec;
  try {
    return await startJob(session, { ...toStartRequest(words, spec), idempotencyKey });
  } catch (error) {
    if (error instanceof RefusedCallError && error.code === GrpcStatus.invalidArgument) {
      const hint = /no such program/.test(error.message) ? slipOf(words) : undefined;
      if (hint === undefined) throw error;
      throw new ClientError(`${withoutStop(error.message)}. ${hint}`, error.exitStatus);
    }
    if (!(error instanceof UnknownOutcomeError)) throw error;
    throw new ClientError(
      `${
        withoutStop(error.message)
      }: repeat the start with --idempotency-key ${idempotencyKey} to find it or start it.`,
      error.exitStatus,
    );
  }
}

function withoutStop(message: string): string {
  return message.replace(/\.$/, "");
}
