import type { Command } from "commander";
import type { VerbCall } from "./servers.ts";

/** One verb of the command line. */
export interface Verb {
  readonly name: string;
  /** Another name for it. */
  readonly alias?: string;
  /** The exit status of all failures of the verb itself, where it passes on the job's own. */
  readonly failureStatus?: number;
  /** Whether it asks several servers where several contexts are named. */
  readonly asksSeveral?: true;
  /** Adds the verb's arguments, options and help. */
  define(command: Command): void;
  /**
   * Looks at a command line before anything is dialed or read.
   *
   * @throws {ClientError} It makes no sense.
   */
  check?(command: Command): void;
  /**
   * Does it.
   *
   * @param call The servers and the terminal.
   * @param command What `define` was given, with the arguments and options of this call.
   * @returns The exit status.
   * @throws {ClientError} It could not be done.
   */
  run(call: VerbCall, command: Command): Promise<number>;
}
