/** Runs Slurm's commands by /bin/sh (lib/shim/engine.sh), each with a time bound, and few at once. */
import { scripts } from "../../shim/scripts.ts";
import { answerOfScript } from "../../shim/shell.ts";
import { Turns } from "../../../common/turns.ts";

/** What a command has printed, on both of its streams, and its exit status. */
export interface CommandAnswer {
  /** {@linkcode KILLED}: its time was over; it may have done its work all the same. */
  readonly status: number;
  readonly text: string;
}

/** Slurm's commands that are used here. */
export type EngineCommand = "sbatch" | "squeue" | "scancel" | "scontrol" | "id" | "getent";

/** How a command is run. */
export interface CommandOptions {
  /** What it reads from its standard input. */
  readonly input?: string;
  /** Whom it is for: those have their turns one after the other. */
  readonly who?: string;
}

/**
 * Runs a command of the engine.
 *
 * @throws When no process can be made for it.
 */
export type RunCommand = (
  command: EngineCommand,
  args: readonly string[],
  options?: CommandOptions,
) => Promise<CommandAnswer>;

/** A hung controller holds each command for the site's MessageTimeout, or a few of them. */
const MAX_SECONDS: Record<EngineCommand, number> = {
  sbatch: 20,
  // The answer of a busy controller with many jobs takes long, and nobody waits for it.
  squeue: 30,
  scancel: 20,
  scontrol: 20,
  // A directory of users (LDAP) may be away.
  id: 10,
  getent: 10,
};

/** The status of a command whose time was over. */
export const KILLED = 137;

/**
 * Said by sbatch where the controller takes no job now. It would then try again for two minutes, in vain while
 * the queue is full, and keep others from their turn: who has submitted knows better when to come again.
 */
export const WILL_RETRY = "sleeping and retrying";

/** Commands of one kind at once: while the controller hangs, more would only be more processes. */
const MAX_AT_ONCE = 4;

/** After its own bound, a shell that has not ended is stuck itself. */
const SHELL_SECONDS = 5;

/**
 * Makes what runs the commands.
 *
 * @param configurationFile Slurm's own; empty: its default.
 */
export function commandRunner(configurationFile: string): RunCommand {
  const turns = new Map<EngineCommand, Turns>();
  return async (command, args, { input, who = "" } = {}) => {
    const timeoutMs = (MAX_SECONDS[command] + SHELL_SECONDS) * 1000;
    const line = turns.get(command) ?? new Turns(MAX_AT_ONCE, timeoutMs);
    turns.set(command, line);
    using _turn = await line.take(who);
    const words = [String(MAX_SECONDS[command]), "UTC0", configurationFile, command, ...args];
    return await answerOfScript(scripts.engine, words, {
      timeoutMs,
      ...(input !== undefined && { input }),
      isEnough: (text) => text.includes(WILL_RETRY),
    });
  };
}

/** One line of a command's own words, for messages and the log. */
export function wordsOf({ status, text }: CommandAnswer): string {
  const lines = text.split("\n").map((line) =>
    line.replace(/^(?:sbatch|squeue|scancel|scontrol): (?:error: )?/, "").replace(/\p{Cc}/gu, " ")
      .trim()
  ).filter((line) => line !== "");
  if (status === KILLED) return "it does not answer";
  const words = [...new Set(lines)].join("; ") || `status ${status}`;
  return words.length > MAX_WORDS ? `${words.slice(0, MAX_WORDS)}…` : words;
}

const MAX_WORDS = 300;
