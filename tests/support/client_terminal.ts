/** A terminal for the client's tests: it keeps what is written, and lets the test interrupt. */
import { main } from "../../client/program.ts";
import type { Terminal } from "../../client/terminal.ts";

/** What stands in the place of the process's terminal. */
export class FakeTerminal implements Terminal {
  readonly notes: string[] = [];
  readonly #chunks: Uint8Array[] = [];
  readonly #environment: Readonly<Record<string, string>>;
  readonly #listeners = new Set<() => void>();
  /** How many bytes were written to standard output. */
  outputBytes = 0;
  /** Called before each write; what it throws, the write throws. */
  onWrite: (bytes: Uint8Array) => void = () => {};

  /** @param environment All the variables there are. */
  constructor(environment: Readonly<Record<string, string>> = {}) {
    this.#environment = environment;
  }

  /** All that was written to standard output. */
  get output(): Uint8Array {
    const whole = new Uint8Array(this.outputBytes);
    let offset = 0;
    for (const chunk of this.#chunks) {
      whole.set(chunk, offset);
      offset += chunk.length;
    }
    return whole;
  }

  /** The same as text. */
  get text(): string {
    return new TextDecoder().decode(this.output);
  }

  write(bytes: Uint8Array): void {
    this.onWrite(bytes);
    this.#chunks.push(bytes.slice());
    this.outputBytes += bytes.length;
  }

  /** All that was written to standard error besides the notes. */
  errors = "";

  writeError(bytes: Uint8Array): void {
    this.errors += new TextDecoder().decode(bytes);
  }

  isAttended = false;
  isUnicode = true;
  hasColours = false;
  columns: number | undefined = undefined;
  readonly rows: number | undefined = undefined;

  onKey(): () => void {
    return () => {};
  }

  onResize(): () => void {
    return () => {};
  }

  read(file: string): Promise<Uint8Array> {
    return Deno.readFile(file);
  }

  isTyped = false;
  /** What is asked, and what is answered. */
  readonly questions: string[] = [];
  answer = "";

  ask(question: string): Promise<string> {
    this.questions.push(question);
    return Promise.resolve(this.answer);
  }
  isToFile = false;
  /** Each line of progress that was shown. */
  readonly progress: string[] = [];

  isFile(): Promise<boolean> {
    return Promise.resolve(this.isToFile);
  }

  isPiped = false;

  async *input(): AsyncGenerator<Uint8Array> {
    yield* await Promise.resolve(this.inputPieces);
  }

  /** What standard input has. */
  inputPieces: Uint8Array[] = [];

  isFed(): Promise<boolean> {
    return Promise.resolve(this.isPiped);
  }

  showProgress(text: string): void {
    this.progress.push(text);
  }

  note(text: string): void {
    this.notes.push(text);
  }

  environment(name: string): string | undefined {
    return this.#environment[name] || undefined;
  }

  onInterrupt(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  dropWritePermission(): void {
    // The tests' own process goes on to write.
  }

  /** How many listen for an interrupt. */
  get listenerCount(): number {
    return this.#listeners.size;
  }

  /** Does what Ctrl-C does. */
  interrupt(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Runs a command line of the client in this process. */
export async function runClient(
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Promise<{ status: number; text: string; notes: string[] }> {
  const terminal = new FakeTerminal(environment);
  const status = await main(args, terminal);
  return { status, text: terminal.text, notes: terminal.notes };
}
