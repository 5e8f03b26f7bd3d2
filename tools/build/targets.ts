/** The systems that binaries are made for: what each gets, and what a program of its own looks like. */
import type { BinaryName } from "./permissions.ts";

/** What the header of an executable file says. */
export interface FileKind {
  readonly format: "ELF" | "Mach-O" | "PE";
  readonly processor: "x86-64" | "arm64";
}

/** A system, by the name that Deno and Rust have for it. */
export interface BuildTarget {
  readonly triple: string;
  readonly kind: FileKind;
  /** What the names of programs end in. */
  readonly suffix: "" | ".exe";
  /** Jobs run on Linux alone; the others are for where people sit. */
  readonly binaries: readonly BinaryName[];
}

const ALL: readonly BinaryName[] = ["worker-server", "worker-client", "worker-certs"];
const OF_USERS: readonly BinaryName[] = ["worker-client", "worker-certs"];

/** Every system that Deno has a runtime for. */
export const TARGETS: readonly BuildTarget[] = [
  {
    triple: "x86_64-unknown-linux-gnu",
    kind: { format: "ELF", processor: "x86-64" },
    suffix: "",
    binaries: ALL,
  },
  {
    triple: "aarch64-unknown-linux-gnu",
    kind: { format: "ELF", processor: "arm64" },
    suffix: "",
    binaries: ALL,
  },
  {
    triple: "x86_64-apple-darwin",
    kind: { format: "Mach-O", processor: "x86-64" },
    suffix: "",
    binaries: OF_USERS,
  },
  {
    triple: "aarch64-apple-darwin",
    kind: { format: "Mach-O", processor: "arm64" },
    suffix: "",
    binaries: OF_USERS,
  },
  {
    triple: "x86_64-pc-windows-msvc",
    kind: { format: "PE", processor: "x86-64" },
    suffix: ".exe",
    binaries: OF_USERS,
  },
];

/**
 * The system of a name.
 *
 * @throws {Error} There is no such one; the message lists those that there are.
 */
export function targetOf(triple: string): BuildTarget {
  const target = TARGETS.find((known) => known.triple === triple);
  if (target !== undefined) return target;
  const names = TARGETS.map((known) => known.triple).join(", ");
  throw new Error(`Cannot build for "${triple}": choose one of ${names}`);
}

/** How many bytes of a file {@linkcode fileKindOf} needs. */
export const HEADER_BYTES = 4096;

const ELF_MACHINES: ReadonlyMap<number, FileKind["processor"]> = new Map([
  [62, "x86-64"],
  [183, "arm64"],
]);
const MACHO_PROCESSORS: ReadonlyMap<number, FileKind["processor"]> = new Map([
  [0x01000007, "x86-64"],
  [0x0100000c, "arm64"],
]);
const PE_MACHINES: ReadonlyMap<number, FileKind["processor"]> = new Map([
  [0x8664, "x86-64"],
  [0xaa64, "arm64"],
]);

/**
 * What kind of executable a file is, by its header: elf(5), Apple's mach-o/loader.h, Microsoft's "PE
 * Format".
 *
 * @param head The first {@linkcode HEADER_BYTES} of the file, or all of a shorter one.
 * @returns Undefined where it is none for a 64-bit system that we know.
 */
export function fileKindOf(head: Uint8Array): FileKind | undefined {
  const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
  if (view.byteLength < 64) return undefined;
  if (view.getUint32(0) === 0x7f454c46) {
    const is64BitLittleEndian = view.getUint8(4) === 2 && view.getUint8(5) === 1;
    return kindOf(
      "ELF",
      is64BitLittleEndian ? ELF_MACHINES.get(view.getUint16(18, true)) : undefined,
    );
  }
  if (view.getUint32(0, true) === 0xfeedfacf) {
    return kindOf("Mach-O", MACHO_PROCESSORS.get(view.getUint32(4, true)));
  }
  // "MZ", and at 60 where the header of the newer format begins: "PE", two zeros, the machine.
  if (view.getUint16(0) !== 0x4d5a) return undefined;
  const start = view.getUint32(60, true);
  if (start + 6 > view.byteLength || view.getUint32(start) !== 0x50450000) return undefined;
  return kindOf("PE", PE_MACHINES.get(view.getUint16(start + 4, true)));
}

function kindOf(
  format: FileKind["format"],
  processor: FileKind["processor"] | undefined,
): FileKind | undefined {
  return processor === undefined ? undefined : { format, processor };
}
