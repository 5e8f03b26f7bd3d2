import type { Command } from "commander";
import type { VerbContext } from "./context.ts";

/** One verb of the command line. */
export interface Verb {
  readonly name: string;
  /** Another name for it. */
  readonly alias?: string;
  /** The exit status of all failures of the verb itself, where it passes on the job's own. */
  readonly failureStatus?: number;
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
   * @param context The session and the terminal.
   * @param command What `define` was given, with the arguments and options of this call.
   * @returns The exit status.
   * @throws {ClientError} It could not be done.
   */
  run(context: VerbContext, command: Command): Promise<number>;
}
