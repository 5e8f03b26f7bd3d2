/** Processes that tests may signal and kill: each sleeps until it is ended. */
import { join } from "node:path";
import { until } from "./wait.ts";
import { inTime } from "./wait.ts";

/** How long a signal may take to end a process. */
const SIGNAL_DEADLINE_MS = 2000;

/** A process that does nothing. Disposing of it kills it. */
export class IdleProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  /** The status once it has ended. */
  ended: Deno.CommandStatus | undefined;

  constructor(program = "/bin/sleep") {
    this.#child = new Deno.Command(program, { args: ["1000"], stdin: "null" }).spawn();
    void this.#child.status.then((status) => this.ended = status);
  }

  /** Runs a copy of sleep(1) under another file name: that is what the kernel calls the process. */
  static async named(name: string, folder: string): Promise<IdleProcess> {
    const program = join(folder, name);
    await Deno.copyFile("/bin/sleep", program);
    return new IdleProcess(program);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Waits, not for ever, for the signal that ends it. */
  async signal(): Promise<Deno.Signal | null> {
    return (await inTime("the signal", this.#child.status, SIGNAL_DEADLINE_MS)).signal;
  }

  /** Field 22 of its /proc/PID/stat, once it runs its program (until then it has its parent's name). */
  async startTime(): Promise<string> {
    const stat = await until("the process to run its program", async () => {
      const text = await readKernelFile(`/proc/${this.pid}/stat`);
      return text.includes("deno") ? undefined : text;
    });
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[22 - 3] ?? "";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.ended === undefined) this.#child.kill("SIGKILL");
    await this.#child.status;
  }
}

/** Reads a file of /proc through cat(1): the permissions of unit tests do not cover these files. */
export async function readKernelFile(path: string): Promise<string> {
  const { stdout } = await new Deno.Command("cat", { args: [path], stderr: "null" }).output();
  return new TextDecoder().decode(stdout);
}
