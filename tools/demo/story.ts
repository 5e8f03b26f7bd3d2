/** What the demo prints: explanations, commands, and what these print. */
import { join, resolve } from "node:path";
import { endBy, ending } from "./ending.ts";
import { DemoError } from "./host.ts";

/** The repository. */
export const ROOT = resolve(import.meta.dirname ?? ".", "../..");

/** Where the demo's binaries are. */
export const BIN_DIR = join(ROOT, "build", "demo-bin");

/** The programs that are built for the demo; others are those of the host. */
const OUR_PROGRAMS = ["worker-server", "worker-client", "worker-certs"];

/** How long a command may take to print what the story needs. */
const AWAIT_DEADLINE_MS = 60_000;

/** How often it is run meanwhile. */
const AWAIT_INTERVAL_MS = 200;

/** A command that has ended. */
interface Ran {
  readonly code: number;
  readonly output: string;
}

/** Tells, and runs commands. */
export class Story {
  readonly #folder: string;
  readonly #environment: Record<string, string> = {};

  /** @param folder The working directory of the commands. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** A sentence of explanation. */
  tell(text: string): void {
    print(`\n${emphasize(text)}`);
  }

  /** Shows a command that is not run as it stands. */
  show(command: string): void {
    print(`$ ${command}`);
  }

  /** Sets a variable for the commands that follow, as a shell would. */
  export(name: string, value: string): void {
    this.show(`export ${name}=${value}`);
    this.#environment[name] = value;
  }

  /** Runs a command, prints what it prints as it comes, and returns that. */
  async run(program: string, ...args: string[]): Promise<string> {
    this.show(lineOf(program, args));
    const { code, output } = await this.#run(program, args, print);
    if (code !== 0) throw new DemoError(`${program} failed with exit status ${code}`);
    return output;
  }

  /** Runs a command that is to be refused. */
  async runRefused(program: string, ...args: string[]): Promise<void> {
    this.show(lineOf(program, args));
    const { code } = await this.#run(program, args, print);
    if (code === 0) throw new DemoError(`${program} was to be refused, and was not`);
    print(`(exit status ${code})`);
  }

  /** Runs a command until it prints what is expected, and shows the last time alone. */
  async runUntil(expected: RegExp, program: string, ...args: string[]): Promise<void> {
    const deadlineMs = performance.now() + AWAIT_DEADLINE_MS;
    for (;;) {
      const { code, output } = await this.#run(program, args, () => {});
      if (code === 0 && expected.test(output)) {
        this.show(lineOf(program, args));
        return print(output.trimEnd());
      }
      if (performance.now() > deadlineMs) {
        throw new DemoError(`${lineOf(program, args)} does not print what it should: ${output}`);
      }
      await new Promise((resolve) => setTimeout(resolve, AWAIT_INTERVAL_MS));
    }
  }

  /** Starts a job and returns its id. */
  async start(...command: string[]): Promise<string> {
    const answer = await this.run("worker-client", "start", ...command);
    const id = /^Job ID: (\S+) Started$/m.exec(answer)?.[1];
    if (id === undefined) throw new DemoError(`worker-client start answered "${answer.trim()}"`);
    return id;
  }

  async #run(
    program: string,
    args: readonly string[],
    onOutput: (bytes: Uint8Array) => void,
  ): Promise<Ran> {
    ending.throwIfAborted();
    const child = new Deno.Command(
      OUR_PROGRAMS.includes(program) ? join(BIN_DIR, program) : program,
      {
        args: [...args],
        cwd: this.#folder,
        env: this.#environment,
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
        signal: ending,
      },
    ).spawn();
    // Errors are a part of the story: they stand where they were said, wherever it is printed.
    const [output] = await Promise.all([
      passOn(child.stdout, onOutput),
      passOn(child.stderr, onOutput),
    ]);
    const { code } = await child.status;
    ending.throwIfAborted();
    return { code, output };
  }
}

/** Prints at once, so that what commands print stays in order; a reader that left ends the demo. */
export function print(output: string | Uint8Array): void {
  let rest = typeof output === "string" ? new TextEncoder().encode(`${output}\n`) : output;
  try {
    while (rest.byteLength > 0) rest = rest.subarray(Deno.stdout.writeSync(rest));
  } catch (error) {
    if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    endBy("SIGPIPE");
  }
}

/** Makes a text stand out, on a terminal. */
export function emphasize(text: string): string {
  const isPlain = !Deno.stdout.isTerminal() || Deno.env.get("NO_COLOR");
  return isPlain ? text : `\x1b[1m${text}\x1b[0m`;
}

/** Passes on what a command prints, as it comes, and returns it. */
async function passOn(
  stream: ReadableStream<Uint8Array>,
  onOutput: (bytes: Uint8Array) => void,
): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    onOutput(chunk);
    text += decoder.decode(chunk, { stream: true });
  }
  return text;
}

function lineOf(program: string, args: readonly string[]): string {
  return [program, ...args.map(quote)].join(" ");
}

/** An argument as one would type it into a shell. */
function quote(argument: string): string {
  return /^[\w@%+=:,./-]+$/.test(argument) ? argument : `'${argument.replaceAll("'", "'\\''")}'`;
}
