/**
 * Refuses programs that the kernel refuses, before they start: the programs between launcher and command
 * have the shell read them as scripts then, or end with a status that looks like the command's own.
 */
import { resolve } from "node:path";
import { JobError, quoted } from "../errors.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";
import { programOfEnv } from "./env_line.ts";
import { HEAD_BYTES, type Machine, parseHead, type ProgramHead, runsOn } from "./program_head.ts";

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
  /** Whether the job is root's. If not, what root sees is not the whole truth, and not the job's to know. */
  readonly isRoot: boolean;
}

/** Why the kernel, or env(1), would refuse to execute a program. */
export interface Finding {
  /** The file that was looked at. */
  readonly file: string;
  /** It holds where this name is none of a program in the PATH of the job's user; undefined: always. */
  readonly unless?: string;
  readonly error: JobError;
}

type Problem = Pick<Finding, "unless"> & { readonly text: string };

/** Checks programs, and remembers those that are sound until they change. */
export class ProgramCheck {
  readonly #known = new Set<string>();
  #host: Promise<Machine | undefined> | undefined;

  /**
   * Looks as root. For a job of another user, the launcher looks as that user whether the finding holds.
   *
   * @returns Why the program would not be executed. Undefined also where that cannot be told: the
   * launcher says what else is wrong with it.
   */
  async find(request: ProgramRequest): Promise<Finding | undefined> {
    for (const file of candidates(request)) {
      const info = await statOf(file);
      if (info === undefined || !isProgram(info)) continue;
      const problem = await this.#problemOf(file, info, request);
      if (problem === undefined) return undefined;
      const { text, ...unless } = problem;
      const message = `Cannot start ${quoted(request.name, 200)}: ${text}`;
      return { file, ...unless, error: new JobError("invalid", message) };
    }
    return undefined;
  }

  async #problemOf(
    file: string,
    info: Deno.FileInfo,
    request: ProgramRequest,
    depth = 0,
  ): Promise<Problem | undefined> {
    const key = [info.dev, info.ino, info.size, info.mtime?.getTime(), info.ctime?.getTime()]
      .join();
    if (this.#known.has(key)) return undefined;
    const bytes = await headOf(file);
    if (bytes === undefined) return undefined;
    const head = parseHead(bytes);
    switch (head.kind) {
      case "script":
        // An interpreter may be replaced: so scripts are not remembered.
        return await this.#problemOfScript(head, request, depth);
      case "machine-code": {
        const host = await (this.#host ??= hostMachine());
        if (host !== undefined && !runsOn(head.machine, host) && !await hasOtherFormats()) {
          return { text: "it is a program for another kind of processor" };
        }
        if (head.loader !== undefined && await isMissing(resolve(request.folder, head.loader))) {
          return { text: `it needs the loader ${quoted(head.loader)}, which is not on the server` };
        }
        break;
      }
      case "data":
        if (await hasOtherFormats()) return undefined;
        return { text: "it is neither a program for Linux nor a script" };
      case "text":
        break;
    }
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.add(key);
    return undefined;
  }

  async #problemOfScript(
    { interpreter, isDos, envArgument }: Extract<ProgramHead, { kind: "script" }>,
    request: ProgramRequest,
    depth: number,
  ): Promise<Problem | undefined> {
    if (isDos) {
      return {
        text: "its first line ends in a carriage return, as Windows ends lines; convert it with " +
          "sed -i 's/\\r$//' FILE",
      };
    }
    const path = resolve(request.folder, interpreter);
    const info = await statOf(path);
    if (interpreter === "" || info !== undefined && !isProgram(info) || await isMissing(path)) {
      return {
        text: `its first line names the interpreter ${quoted(interpreter)}, which is not a ` +
          "program on the server",
      };
    }
    if (info === undefined || depth === MAX_DEPTH) return undefined;
    const problem = await this.#problemOf(path, info, request, depth + 1);
    if (problem !== undefined) return { ...problem, text: `its interpreter: ${problem.text}` };
    return await problemOfEnv(envArgument ?? "", request);
  }
}

async function problemOfEnv(
  argument: string,
  { isRoot, ...request }: ProgramRequest,
): Promise<Problem | undefined> {
  const name = programOfEnv(argument);
  if (name === undefined) return undefined;
  const hint = name.includes(" ") ? "; arguments behind it take env -S" : "";
  const text =
    `its first line has env look for ${quoted(name)}, which is no program in the job's PATH on ` +
    `the server, or not for the job's user${hint}`;
  if (!isRoot) return { text, unless: name };
  for (const file of candidates({ ...request, name })) {
    const info = await statOf(file);
    if (info === undefined ? !await isMissing(file) : isProgram(info)) return undefined;
  }
  return { text };
}

/** The files that execvp(3) would try. */
function candidates({ name, path, folder }: Omit<ProgramRequest, "isRoot">): string[] {
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
