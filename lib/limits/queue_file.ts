/** The operator's file of queues: which there are, and how many jobs of each run at once. */
import { join } from "node:path";
import { versionOf } from "../../common/file_version.ts";
import { messageOf } from "../errors.ts";
import { log } from "../log.ts";

/** Its name in the limits folder. */
export const QUEUES_FILE = "queues.txt";

/** Enough for {@linkcode MAX_QUEUES} lines with comments. */
const MAX_FILE_BYTES = 64 * 1024;

/** More queues than anybody has names for; each decision looks at all of them. */
const MAX_QUEUES = 100;

/** More jobs than a host runs. */
const MAX_PARALLELISM = 100_000;

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** How many jobs of each queue run at once, by its name; 0: none begins. */
export type Queues = ReadonlyMap<string, number>;

/** Whether a queue may have this name. */
export function isQueueName(text: string): boolean {
  return NAME.test(text);
}

/**
 * Reads the file's text: `NAME PARALLELISM` on each line; `#` begins a comment.
 *
 * @throws {RangeError} With the number of the line, its text and what was expected.
 */
export function parseQueues(text: string): Queues {
  const queues = new Map<string, number>();
  for (const [index, line] of text.split("\n").entries()) {
    const words = line.replace(/#.*/, "").trim();
    if (words === "") continue;
    const problem = (expected: string) =>
      new RangeError(`line ${index + 1} ${JSON.stringify(line.trim().slice(0, 80))}: ${expected}`);
    const [name = "", number = "", ...rest] = words.split(/\s+/);
    if (!isQueueName(name)) {
      throw problem('expected a name of up to 64 letters, digits, ".", "_" and "-"');
    }
    if (!/^\d{1,6}$/.test(number) || Number(number) > MAX_PARALLELISM || rest.length > 0) {
      throw problem(
        `expected NAME PARALLELISM, how many jobs of the queue run at once: 0 to ${MAX_PARALLELISM}`,
      );
    }
    if (queues.has(name)) throw problem("the queue has a line already");
    if (queues.size === MAX_QUEUES) throw problem(`there are more than ${MAX_QUEUES} queues`);
    queues.set(name, Number(number));
  }
  return queues;
}

/**
 * Reads the file of a limits folder; one that is missing has no queues.
 *
 * @throws {Error} With the file's name, and what is wrong in it.
 */
export async function readQueues(folder: string): Promise<Queues> {
  try {
    return parseQueues(await readText(folder));
  } catch (error) {
    throw new Error(`${QUEUES_FILE}: ${messageOf(error)}`, { cause: error });
  }
}

/** The queues in force: those of the file as it was when it was last valid. */
export class QueueFile {
  readonly #folder: string;
  #queues: Queues = new Map();
  #problem: string | undefined;
  /** The text that was read last, undefined where that is not in force, and the version of the file. */
  #text: string | undefined = "";
  #version: string | undefined;
  /** Ends when that version is in force, or refused. */
  #reading: Promise<void> = Promise.resolve();

  /** @param folder The limits folder. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The queues. Reads the file again where it has changed; an invalid one changes nothing, and is logged. */
  async current(): Promise<Queues> {
    const version = await versionOf(join(this.#folder, QUEUES_FILE)).catch(messageOf);
    if (version !== this.#version) {
      this.#version = version;
      this.#reading = this.#read();
    }
    await this.#reading;
    return this.#queues;
  }

  /** Why the file is not in force as it is now; undefined: it is. */
  get problem(): string | undefined {
    return this.#problem;
  }

  async #read(): Promise<void> {
    try {
      const text = await readText(this.#folder);
      if (text === this.#text) return;
      this.#text = text;
      this.#queues = parseQueues(text);
      this.#problem = undefined;
      log.info("the queues have changed", {
        queues: [...this.#queues].map(([name, number]) => `${name} ${number}`).join(", "),
      });
    } catch (error) {
      this.#text = undefined;
      const problem = `${QUEUES_FILE}: ${messageOf(error)}`;
      if (problem === this.#problem) return;
      this.#problem = problem;
      log.error("the file of queues is not valid; keeping the previous queues", { error: problem });
    }
  }
}

/**
 * @returns The file's text; empty where it is missing.
 * @throws {RangeError} For a file that is too long: its end may change its meaning.
 */
async function readText(folder: string): Promise<string> {
  const path = join(folder, QUEUES_FILE);
  try {
    // Reading anything else (a pipe, say) might never end.
    if (!(await Deno.stat(path)).isFile) throw new RangeError("it is not a regular file");
    using file = await Deno.open(path);
    const buffer = new Uint8Array(MAX_FILE_BYTES);
    let length = 0;
    while (length < buffer.length) {
      const read = await file.read(buffer.subarray(length));
      if (read === null) return new TextDecoder().decode(buffer.subarray(0, length));
      length += read;
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return "";
    throw error;
  }
  throw new RangeError(`it is longer than ${MAX_FILE_BYTES - 1} bytes`);
}
