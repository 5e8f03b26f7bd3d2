/** Commands of Deno that the tests consist of. */
import { resolve } from "node:path";
import process from "node:process";

/** The root of the repository. */
export const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** What became of a command. */
export interface Finished {
  /** Standard output, and standard error behind or amid it. */
  readonly output: string;
  readonly succeeded: boolean;
  /** Whether it was ended because it took too long. */
  readonly timedOut: boolean;
  readonly ms: number;
}

/** How a command is run. */
export interface CommandOptions {
  /** Where it runs; in the root of the repository unless given. */
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** A command that takes longer hangs: it is ended and has failed. */
  readonly timeoutMs?: number;
  /** Whether it gives way to all that runs beside it. */
  readonly isPatient?: boolean;
  /** Ends it early. */
  readonly signal?: AbortSignal;
  /** Whether the output is shown as it comes; unless it is, the caller prints it. */
  readonly isShown?: boolean;
  /** Told of each part of the output as it comes. */
  readonly onOutput?: (text: string) => void;
}

/** sched(7), SCHED_IDLE: runs when nothing else would. Many processes of the lowest nice(1) add up. */
const IDLE = "chrt --idle 0 ";

/** Runs `deno ARGS` to its end. */
export async function runDeno(
  args: readonly string[],
  { cwd = ROOT, env = {}, timeoutMs, isPatient = false, signal, isShown = false, onOutput }:
    CommandOptions = {},
): Promise<Finished> {
  const beganMs = performance.now();
  const limit = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
  const ends = [limit, signal].filter((one) => one !== undefined);
  // One pipe for both keeps the order in which a command wrote.
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", `exec ${isPatient ? IDLE : ""}"$0" "$@" 2>&1`, Deno.execPath(), ...args],
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
    ...(ends.length === 0 ? {} : { signal: AbortSignal.any(ends) }),
  }).spawn();
  const decoder = new TextDecoder();
  let output = "";
  for await (const chunk of child.stdout) {
    if (isShown) process.stdout.write(chunk);
    const text = decoder.decode(chunk, { stream: true });
    onOutput?.(text);
    output += text;
  }
  const { success } = await child.status;
  const timedOut = limit?.aborted ?? false;
  if (timedOut) output += `\nended after ${timeoutMs} ms: deno ${args.join(" ")}\n`;
  return { output, succeeded: success, timedOut, ms: performance.now() - beganMs };
}
