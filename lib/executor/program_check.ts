/**
 * Refuses programs that the kernel refuses, before they start: the programs between launcher and command
 * have the shell read them as scripts then, or end with a status that looks like the command's own.
 */
import { resolve } from "node:path";
import { JobError, quoted } from "../errors.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";
import { HEAD_BYTES, type Machine, parseHead, runsOn } from "./program_head.ts";

/** A program of this host, which shows what its programs are like. */
const HOST_PROGRAM = "/bin/sh";

/** How many interpreters of interpreters the kernel goes through. */
const MAX_DEPTH = 4;

/** Files that are remembered as sound. */
const MAX_KNOWN = 1000;

/** What is to be executed. */
export interface ProgramRequest {
  readonly name: string;
  /** The job's PATH. */
  readonly path: string;
  /** The folder that the job is started in. */
  readonly folder: string;
}

/** Checks programs, and remembers those that are sound until they change. */
export class ProgramCheck {
  readonly #known = new Set<string>();
  #host: Promise<Machine | undefined> | undefined;

  /**
   * @returns Why the kernel would refuse to execute the program. Undefined also where that cannot be
   * told: the launcher says what else is wrong with it.
   */
  async refusal({ name, path, folder }: ProgramRequest): Promise<JobError | undefined> {
    for (const file of candidates({ name, path, folder })) {
      const info = await statOf(file);
      if (info === undefined || !isProgram(info)) continue;
      const problem = await this.#problemOf(file, info, folder);
      return problem === undefined
        ? undefined
        : new JobError("invalid", `Cannot start ${quoted(name, 200)}: ${problem}`);
    }
    return undefined;
  }

  async #problemOf(
    file: string,
    info: Deno.FileInfo,
    folder: string,
    depth = 0,
  ): Promise<string | undefined> {
    const key = [info.dev, info.ino, info.size, info.mtime?.getTime(), info.ctime?.getTime()]
      .join();
    if (this.#known.has(key)) return undefined;
    const bytes = await headOf(file);
    if (bytes === undefined) return undefined;
    const head = parseHead(bytes);
    switch (head.kind) {
      case "script": {
        if (head.isDos) {
          return "its first line ends in a carriage return, as Windows ends lines; convert it with " +
            "sed -i 's/\\r$//' FILE";
        }
        const path = resolve(folder, head.interpreter);
        const interpreter = await statOf(path);
        if (
          head.interpreter === "" || interpreter !== undefined && !isProgram(interpreter) ||
          await isMissing(path)
        ) {
          return `its first line names the interpreter ${
            quoted(head.interpreter)
          }, which is not a ` +
            "program on the server";
        }
        if (interpreter === undefined) return undefined;
        if (depth === MAX_DEPTH) return undefined;
        const problem = await this.#problemOf(path, interpreter, folder, depth + 1);
        // An interpreter may be replaced: so scripts are not remembered.
        return problem === undefined ? undefined : `its interpreter: ${problem}`;
      }
      case "machine-code": {
        const host = await (this.#host ??= hostMachine());
        if (host !== undefined && !runsOn(head.machine, host) && !await hasOtherFormats()) {
          return "it is a program for another kind of processor";
        }
        if (head.loader !== undefined && await isMissing(resolve(folder, head.loader))) {
          return `it needs the loader ${quoted(head.loader)}, which is not on the server`;
        }
        break;
      }
      case "data":
        if (!await hasOtherFormats()) return "it is neither a program for Linux nor a script";
        return undefined;
      case "text":
        break;
    }
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.add(key);
    return undefined;
  }
}

/** The files that execvp(3) would try. */
function candidates({ name, path, folder }: ProgramRequest): string[] {
  if (name.includes("/")) return [resolve(folder, name)];
  return path.split(":").map((entry) => resolve(folder, entry, name));
}

function isProgram({ isFile, mode }: Deno.FileInfo): boolean {
  return isFile && ((mode ?? 0) & 0o111) !== 0;
}

async function statOf(file: string): Promise<Deno.FileInfo | undefined> {
  try {
    return await Deno.stat(file);
  } catch {
    return undefined;
  }
}

/** Only a file that is certainly not there: others may be out of the server's reach, and not of the job's. */
async function isMissing(file: string): Promise<boolean> {
  try {
    await Deno.stat(file);
    return false;
  } catch (error) {
    return error instanceof Deno.errors.NotFound;
  }
}

async function headOf(file: string): Promise<Uint8Array | undefined> {
  try {
    using opened = await Deno.open(file);
    const buffer = new Uint8Array(HEAD_BYTES);
    const length = await opened.read(buffer);
    return buffer.subarray(0, length ?? 0);
  } catch {
    return undefined;
  }
}

async function hostMachine(): Promise<Machine | undefined> {
  const head = parseHead(await headOf(HOST_PROGRAM) ?? new Uint8Array());
  return head.kind === "machine-code" ? head.machine : undefined;
}

/** Whether the kernel was told of further formats (binfmt_misc), those of an emulator, say. */
async function hasOtherFormats(): Promise<boolean> {
  return (await runScript(scripts.formats)) !== "";
}
