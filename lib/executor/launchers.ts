/**
 * All launchers. One whose job was short takes the next job: to start a shell costs more than all
 * that it does for a job, since the runtime forks the whole server for it.
 */
import { scripts } from "../shim/scripts.ts";
import { quoteForShell } from "../shim/shell.ts";
import { Launcher } from "./launcher.ts";
import { Turns } from "../../common/turns.ts";

/** Launchers without a job that are kept, each with some 110 KiB of its own. */
const MAX_IDLE = 64;

/** The longest command, in bytes, that goes through a launcher's input; a longer one is its arguments. */
const MAX_INPUT_COMMAND_BYTES = 64 * 1024;

/** What process lists show of a launcher. */
const LABEL = "job-worker-launcher";

/** Times that tests shorten. */
export interface LauncherTimes {
  /** A launcher whose job runs for longer is released: it keeps no pipe, and exits with its job. */
  releaseAfterMs: number;
  /** A launcher that gets no job for this long exits. */
  idleTimeoutMs: number;
  /** A launch that takes longer waits for something else (a dead file server, say): others go on. */
  maxTurnMs: number;
}

const DEFAULT_TIMES: LauncherTimes = {
  releaseAfterMs: 2000,
  idleTimeoutMs: 10_000,
  maxTurnMs: 500,
};

/** What all launchers have in common. */
export interface LaunchersOptions {
  /** The control group that launchers enter. */
  readonly group: string;
  /** What every job has in its environment. */
  readonly environment: Readonly<Record<string, string>>;
  /** Launches under way at once; the others wait for their turn. */
  readonly maxLaunching: number;
  /** What a launcher runs. */
  readonly script?: string;
  readonly times?: LauncherTimes;
}

/** What a launcher is asked for. */
export interface LauncherRequest {
  /** Whose job it is. */
  readonly owner: string;
  /** The arguments of `launch` before the command, see lib/shim/launch.sh. */
  readonly words: readonly string[];
  /** The program's name and its arguments. */
  readonly command: readonly string[];
  /** What the job's environment has beyond the launchers'. */
  readonly environment: Readonly<Record<string, string>>;
  /** The environment of this job's launcher alone, which then takes no other job. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** What a launcher has reported of a job. */
export interface Launched {
  /** See {@linkcode parseLaunchReport}. */
  readonly report: string;
  /** Settles with 0 when the launcher has reported the job's end, or is gone: with its exit status. */
  readonly done: Promise<number>;
}

/** All launchers' processes. */
export class Launchers {
  readonly #group: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #script: string;
  readonly #times: LauncherTimes;
  readonly #turns: Turns;
  /** Launchers without a job, each with the timer that ends it. */
  readonly #idle = new Map<Launcher, ReturnType<typeof setTimeout>>();

  constructor(
    { group, environment, maxLaunching, script = scripts.launch, times = DEFAULT_TIMES }:
      LaunchersOptions,
  ) {
    this.#group = group;
    this.#environment = environment;
    this.#script = script;
    this.#times = times;
    this.#turns = new Turns(maxLaunching, times.maxTurnMs);
  }

  /**
   * Has a launcher start a job.
   *
   * @throws When there is no room for a process, or the command is too long for Linux.
   */
  async launch(request: LauncherRequest): Promise<Launched> {
    using _turn = await this.#turns.take(request.owner);
    const isPlain = Object.keys(request.secrets).length === 0 &&
      sizeOf(request.command) <= MAX_INPUT_COMMAND_BYTES;
    const launcher = isPlain ? this.#take() : this.#spawn(request.command, {
      ...this.#environment,
      ...request.secrets,
    });
    const report = await launcher.launch(isPlain ? plainScript(request) : ownScript(request));
    if (!isPlain) launcher.closeInput();
    return { report, done: this.#whenDone(launcher, isPlain) };
  }

  /** Ends the launchers that have no job, and waits until they are gone. */
  async close(): Promise<void> {
    const idle = [...this.#idle.keys()];
    for (const launcher of idle) this.#dismiss(launcher);
    await Promise.all(idle.map((launcher) => launcher.gone));
  }

  #take(): Launcher {
    const [launcher] = this.#idle.keys();
    if (launcher === undefined) return this.#spawn([], this.#environment);
    clearTimeout(this.#idle.get(launcher));
    this.#idle.delete(launcher);
    return launcher;
  }

  #spawn(command: readonly string[], environment: Readonly<Record<string, string>>): Launcher {
    const launcher = new Launcher(this.#script, [LABEL, this.#group, ...command], environment);
    void launcher.gone.then(() => this.#dismiss(launcher));
    return launcher;
  }

  async #whenDone(launcher: Launcher, isReusable: boolean): Promise<number> {
    const timer = setTimeout(() => launcher.release(), this.#times.releaseAfterMs);
    const hasEnded = await launcher.hasEnded();
    clearTimeout(timer);
    if (!hasEnded) {
      launcher.release();
      return await launcher.gone;
    }
    const isKept = isReusable && !launcher.isGone && this.#idle.size < MAX_IDLE;
    if (isKept) this.#keep(launcher);
    else launcher.release();
    return 0;
  }

  #keep(launcher: Launcher): void {
    const timer = setTimeout(() => this.#dismiss(launcher), this.#times.idleTimeoutMs);
    this.#idle.set(launcher, timer);
  }

  #dismiss(launcher: Launcher): void {
    const timer = this.#idle.get(launcher);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#idle.delete(launcher);
    launcher.release();
  }
}

/** The command's bytes as Linux counts them: a NUL byte and a pointer for each argument. */
function sizeOf(command: readonly string[]): number {
  return command.reduce((total, text) => total + new TextEncoder().encode(text).length + 9, 0);
}

function plainScript({ environment, words, command }: LauncherRequest): string {
  const all = [...words, ...command].map(quoteForShell);
  return `${exports(environment)}launch ${all.join(" ")}\n`;
}

/** The launcher has the secrets and the command since it was spawned. */
function ownScript({ environment, words }: LauncherRequest): string {
  return `${exports(environment)}launch ${words.map(quoteForShell).join(" ")} "$@"\n`;
}

/**
 * Variables for the job alone: what a process has had in its environment since it was spawned, /proc tells
 * until it ends, and the launcher would be taken for a process of the job.
 */
function exports(environment: Readonly<Record<string, string>>): string {
  return Object.entries(environment).map(([name, value]) =>
    `export ${name}=${quoteForShell(value)}\n`
  ).join("");
}
