/** What the first bytes of a program's file say of it: whether this kernel can execute it. Pure. */

/** How many bytes are looked at: the names of interpreter and loader are in them, of usual files. */
export const HEAD_BYTES = 1024;

/** What a file is, by its first bytes. */
export type ProgramHead =
  /** A program in machine code; `loader` is another file that it needs. */
  | { readonly kind: "machine-code"; readonly machine: Machine; readonly loader?: string }
  /**
   * A text with `#!`; `isDos`: the interpreter's name ends in a carriage return. `envArgument`: what
   * follows, where the interpreter is env(1).
   */
  | {
    readonly kind: "script";
    readonly interpreter: string;
    readonly isDos: boolean;
    readonly envArgument?: string;
  }
  /** A text: shells, and programs that start others, run it by /bin/sh. */
  | { readonly kind: "text" }
  /** The kernel refuses it, and it is no text either. */
  | { readonly kind: "data" };

/** For which processor a program is (elf(5)). */
export interface Machine {
  /** 1: 32 bits, 2: 64 bits. */
  readonly bits: number;
  /** 1: the least byte first, 2: last. */
  readonly order: number;
  readonly processor: number;
}

/** Numbers of elf(5). */
const EXECUTABLE_TYPE = 2;
const SHARED_TYPE = 3;
const LOADER_SEGMENT = 3;

/** 32-bit processors whose programs these 64-bit ones run too, if the kernel is built for it. */
const RUNS_TOO: Readonly<Record<number, number>> = {
  62: 3, // x86-64: i386
  183: 40, // AArch64: ARM
};

/** Reads the first bytes of a file. */
export function parseHead(head: Uint8Array): ProgramHead {
  const text = new TextDecoder("latin1").decode(head);
  if (text.startsWith("\x7fELF")) return parseElf(head);
  const [line = ""] = text.split("\n", 1);
  // The first line decides, as in bash: programs that unpack themselves have a script before their data.
  if (!text.startsWith("#!")) return { kind: line.includes("\0") ? "data" : "text" };
  const [, interpreter = "", argument = ""] =
    /^[ \t]*([^ \t\0]*)[ \t\0]*(.*?)[ \t]*$/s.exec(line.slice(2)) ?? [];
  const isEnv = /(?:^|\/)env$/.test(interpreter);
  const isDos = interpreter.endsWith("\r") || (isEnv && argument.endsWith("\r"));
  return {
    kind: "script",
    interpreter: decode(interpreter).replace(/\r$/, ""),
    isDos,
    ...(isEnv && { envArgument: decode(argument) }),
  };
}

/** Reads characters that stand for bytes as UTF-8. */
function decode(latin1: string): string {
  return new TextDecoder().decode(Uint8Array.from(latin1, (byte) => byte.charCodeAt(0)));
}

/** Whether a processor runs the programs of another. */
export function runsOn(machine: Machine, host: Machine): boolean {
  if (machine.order !== host.order) return false;
  return machine.processor === host.processor ||
    (machine.bits === 1 && RUNS_TOO[host.processor] === machine.processor);
}

function parseElf(head: Uint8Array): ProgramHead {
  const [bits = 0, order = 0] = head.subarray(4);
  if (head.length < 64 || (bits !== 1 && bits !== 2)) return { kind: "data" };
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  const isLittle = order === 1;
  const short = (offset: number) => view.getUint16(offset, isLittle);
  // Numbers above 2^32 are beyond the bytes that are looked at; their lower half is not used then.
  const word = (offset: number) =>
    bits === 1 ? view.getUint32(offset, isLittle) : Number(view.getBigUint64(offset, isLittle));
  const type = short(16);
  if (type !== EXECUTABLE_TYPE && type !== SHARED_TYPE) return { kind: "data" };
  const machine = { bits, order, processor: short(18) };
  const [at, size, count] = bits === 1
    ? [word(28), short(42), short(44)]
    : [word(32), short(54), short(56)];
  for (
    let index = 0;
    index < count && at + (index + 1) * size <= head.length && size > 0;
    index++
  ) {
    const segment = at + index * size;
    if (view.getUint32(segment, isLittle) !== LOADER_SEGMENT) continue;
    const [from, length] = bits === 1
      ? [word(segment + 4), word(segment + 16)]
      : [word(segment + 8), word(segment + 32)];
    if (from + length > head.length) break;
    const loader = new TextDecoder().decode(head.subarray(from, from + length)).replace(
      /\0.*$/s,
      "",
    );
    return { kind: "machine-code", machine, loader };
  }
  return { kind: "machine-code", machine };
}
