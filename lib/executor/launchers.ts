/**
 * The launchers' processes: shells that run lib/shim/launch.sh. One whose job was short takes the
 * next job, since to start a shell costs more than all that it does: the runtime forks the whole
 * server for it.
 */
import { scripts } from "../shim/scripts.ts";
import { listeningShell, quoteForShell } from "../shim/shell.ts";

/**
 * A launcher whose job runs for longer is let go: there is no pipe to it any more, and it ends with
 * its job.
 */
const RELEASE_AFTER_MS = 2000;

/** Launchers without a job that are kept, each with some 110 KiB of its own. */
const MAX_IDLE = 64;

/** A launcher that finds no job within that ends. */
const IDLE_TIMEOUT_MS = 10_000;

/** A launch that takes longer waits for something else (a dead file server), and holds up no other. */
const TURN_MS = 500;

/** What a launcher is handed over by its input; the rest of the bound on arguments is Linux's. */
const MAX_INPUT_COMMAND_BYTES = 64 * 1024;

/** The longest line of a refusal is a path and a value; what is longer is not from the launcher. */
const MAX_REPORT_BYTES = 16 * 1024;

/**
 * Most of what it says fits in it. A read that waits has its buffer all the while, and the runtime's
 * own would be 64 KiB for each launcher.
 */
const READ_BYTES = 1024;

/** What process lists show of a launcher. */
const LABEL = "job-worker-launcher";

const encoder = new TextEncoder();

/** What a launcher is asked for. */
export interface LauncherRequest {
  /** What `launch` takes before the command, see lib/shim/launch.sh. */
  readonly words: readonly string[];
  /** The program's name and its arguments. */
  readonly command: readonly string[];
  /** What the job's environment has beyond the launchers'. */
  readonly environment: Readonly<Record<string, string>>;
  /** What the launcher of this job alone has in its environment, which then takes no other job. */
  readonly secrets: Readonly<Record<string, string>>;
}

/** What a launcher has said of a job. */
export interface Launched {
  /** See {@linkcode parseLaunchReport}. */
  readonly report: string;
  /** Settles when the launcher has done with the job, or is gone. */
  readonly done: Promise<void>;
}

/** All launchers' processes. */
export class Launchers {
  readonly #group: string;
  readonly #environment: Readonly<Record<string, string>>;
  readonly #maxLaunching: number;
  readonly #idle = new Map<Launcher, ReturnType<typeof setTimeout>>();
  readonly #queue: (() => void)[] = [];
  #launching = 0;

  /**
   * @param group The control group that launchers go to.
   * @param environment What every job has in its environment.
   * @param maxLaunching Launches under way at once; the others wait for their turn.
   */
  constructor(
    group: string,
    environment: Readonly<Record<string, string>>,
    maxLaunching: number,
  ) {
    this.#group = group;
    this.#environment = environment;
    this.#maxLaunching = maxLaunching;
  }

  /**
   * Has a launcher start a job.
   *
   * @throws When there is no room for a process, or the command is too long for Linux.
   */
  async launch(request: LauncherRequest): Promise<Launched> {
    using _turn = await this.#turn();
    const isPlain = Object.keys(request.secrets).length === 0 &&
      sizeOf(request.command) <= MAX_INPUT_COMMAND_BYTES;
    const launcher = isPlain ? this.#take() : this.#spawn(request.command, {
      ...this.#environment,
      ...request.environment,
      ...request.secrets,
    });
    const report = await launcher.launch(isPlain ? plainScript(request) : ownScript(request));
    if (!isPlain) launcher.closeInput();
    return { report, done: this.#whenDone(launcher, isPlain) };
  }

  /** Ends the launchers that have no job, and waits until they have gone. */
  async close(): Promise<void> {
    const idle = [...this.#idle.keys()];
    for (const launcher of idle) this.#dismiss(launcher);
    await Promise.all(idle.map((launcher) => launcher.gone));
  }

  /** Waits, in the order of asking, until not too many launches are under way. */
  async #turn(): Promise<Disposable> {
    if (this.#launching >= this.#maxLaunching) {
      await new Promise<void>((resolve) => this.#queue.push(resolve));
    } else {
      this.#launching++;
    }
    let isOver = false;
    const end = () => {
      if (isOver) return;
      isOver = true;
      // Whoever waits takes the place over.
      const next = this.#queue.shift();
      if (next === undefined) this.#launching--;
      else next();
    };
    const timer = setTimeout(end, TURN_MS);
    return {
      [Symbol.dispose]: () => {
        clearTimeout(timer);
        end();
      },
    };
  }

  #take(): Launcher {
    const [launcher] = this.#idle.keys();
    if (launcher === undefined) return this.#spawn([], this.#environment);
    clearTimeout(this.#idle.get(launcher));
    this.#idle.delete(launcher);
    return launcher;
  }

  #spawn(command: readonly string[], environment: Readonly<Record<string, string>>): Launcher {
    return new Launcher([LABEL, this.#group, ...command], environment);
  }

  async #whenDone(launcher: Launcher, isReusable: boolean): Promise<void> {
    const timer = setTimeout(() => launcher.release(), RELEASE_AFTER_MS);
    const hasEnded = await launcher.hasEnded();
    clearTimeout(timer);
    if (!hasEnded) await launcher.gone;
    else if (isReusable && this.#idle.size < MAX_IDLE) this.#keep(launcher);
    else launcher.release();
  }

  #keep(launcher: Launcher): void {
    this.#idle.set(launcher, setTimeout(() => this.#dismiss(launcher), IDLE_TIMEOUT_MS));
    launcher.gone.then(() => this.#dismiss(launcher));
  }

  #dismiss(launcher: Launcher): void {
    const timer = this.#idle.get(launcher);
    if (timer === undefined) return;
    clearTimeout(timer);
    this.#idle.delete(launcher);
    launcher.release();
  }
}

/** One launcher's process. */
class Launcher {
  /** Settles when the process has ended. */
  readonly gone: Promise<unknown>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #output: ReadableStreamBYOBReader;
  readonly #decoder = new TextDecoder();
  #isNew = true;
  /** What it has said of its present job. */
  #said = "";

  /** @throws When there is no room for a process, or the arguments are too long for Linux. */
  constructor(args: readonly string[], environment: Readonly<Record<string, string>>) {
    const child = listeningShell(args, environment).spawn();
    this.gone = child.status;
    this.#input = child.stdin.getWriter();
    this.#output = child.stdout.getReader({ mode: "byob" });
  }

  /**
   * Has it launch a job.
   *
   * @returns What it says until the job has started, or will not.
   */
  async launch(script: string): Promise<string> {
    const text = this.#isNew ? scripts.launch + script : script;
    this.#isNew = false;
    this.#said = "";
    // A launcher that is gone cannot take it, and what it does not say then is told as its failure.
    this.#input.write(encoder.encode(text)).catch(() => {});
    await this.#readUntil(/^(?:started .*|ended)\n/m);
    return this.#said;
  }

  /** Waits until it has said that its job has ended; false: it is gone, or was let go. */
  async hasEnded(): Promise<boolean> {
    return await this.#readUntil(/^ended\n/m);
  }

  /** Says that no other job will come. */
  closeInput(): void {
    this.#input.close().catch(() => {}); // It is gone, or closed already.
  }

  /** Lets go of it: it ends when its job has ended. */
  release(): void {
    this.closeInput();
    this.#output.cancel().catch(() => {});
  }

  async #readUntil(word: RegExp): Promise<boolean> {
    while (!word.test(this.#said)) {
      const { done, value } = await this.#output.read(new Uint8Array(READ_BYTES));
      if (done || this.#said.length > MAX_REPORT_BYTES) return false;
      this.#said += this.#decoder.decode(value, { stream: true });
    }
    return true;
  }
}

/** The command's bytes as Linux counts them: a NUL byte and a pointer for each argument. */
function sizeOf(command: readonly string[]): number {
  return command.reduce((total, text) => total + encoder.encode(text).length + 9, 0);
}

function plainScript({ environment, words, command }: LauncherRequest): string {
  const variables = Object.entries(environment).map(([name, value]) =>
    `export ${name}=${quoteForShell(value)}\n`
  );
  return `${variables.join("")}launch ${[...words, ...command].map(quoteForShell).join(" ")}\n`;
}

/** Environment and command were handed over when the launcher was started. */
function ownScript({ words }: LauncherRequest): string {
  return `launch ${words.map(quoteForShell).join(" ")} "$@"\n`;
}
