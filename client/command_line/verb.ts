import type { Command } from "commander";
import type { VerbCall } from "./servers.ts";

/** Which jobs a verb can do something with. */
export type JobKind = "all" | "running" | "ended";

/** One verb of the command line. */
export interface Verb {
  readonly name: string;
  /** Other names for it. */
  readonly aliases?: readonly string[];
  /** Which jobs its arguments `id` name, for completion; absent: it has none. */
  readonly jobs?: JobKind;
  /** The exit status of all failures of a verb that otherwise exits with the job's exit code. */
  readonly failureStatus?: number;
  /** Whether it calls several servers where several contexts are named. */
  readonly asksSeveral?: true;
  /** Adds the verb's arguments, options and help. */
  define(command: Command): void;
  /**
   * Checks the command line before any file is read or connection made.
   *
   * @throws {ClientError} It is not valid.
   */
  check?(command: Command): void;
  /**
   * Executes the verb.
   *
   * @param call The servers and the terminal.
   * @param command The command of `define`, with the arguments and options of this call.
   * @returns The exit status.
   * @throws {ClientError} It could not be done.
   */
  run(call: VerbCall, command: Command): Promise<number>;
}
