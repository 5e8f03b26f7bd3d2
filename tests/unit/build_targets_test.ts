/** The systems that binaries are made for. */
import { strict as assert } from "node:assert";
import { type FileKind, fileKindOf, targetOf, TARGETS } from "../../tools/build/targets.ts";

/** A header of 256 bytes with some of them set. */
function header(...parts: readonly (readonly [offset: number, bytes: readonly number[]])[]) {
  const bytes = new Uint8Array(256);
  for (const [offset, part] of parts) bytes.set(part, offset);
  return bytes;
}

const ELF = [0x7f, 0x45, 0x4c, 0x46, 2, 1];
const MACHO = [0xcf, 0xfa, 0xed, 0xfe];
const PE = [0x50, 0x45, 0, 0];
const MZ = [0x4d, 0x5a];

const HEADERS: readonly (readonly [what: string, head: Uint8Array, kind: FileKind | undefined])[] =
  [
    ["ELF, 62", header([0, ELF], [18, [62]]), { format: "ELF", processor: "x86-64" }],
    ["ELF, 183", header([0, ELF], [18, [183]]), { format: "ELF", processor: "arm64" }],
    ["ELF of another processor", header([0, ELF], [18, [8]]), undefined],
    ["ELF of 32 bits", header([0, ELF], [4, [1]], [18, [62]]), undefined],
    ["Mach-O, x86-64", header([0, MACHO], [4, [7, 0, 0, 1]]), {
      format: "Mach-O",
      processor: "x86-64",
    }],
    ["Mach-O, arm64", header([0, MACHO], [4, [12, 0, 0, 1]]), {
      format: "Mach-O",
      processor: "arm64",
    }],
    ["Mach-O of 32 bits", header([0, MACHO], [4, [7]]), undefined],
    ["PE", header([0, MZ], [60, [128]], [128, PE], [132, [0x64, 0x86]]), {
      format: "PE",
      processor: "x86-64",
    }],
    ["a program of DOS", header([0, MZ], [60, [128]]), undefined],
    [
      "PE whose header would lie behind the file",
      header([0, MZ], [60, [255, 255, 255, 255]]),
      undefined,
    ],
    ["a script", new TextEncoder().encode("#!/bin/sh\n".repeat(20)), undefined],
    ["an empty file", new Uint8Array(), undefined],
  ];
for (const [what, head, kind] of HEADERS) {
  Deno.test(`fileKindOf: ${what}`, () => assert.deepEqual(fileKindOf(head), kind));
}

Deno.test("targetOf: an unknown one is refused with those that there are", () => {
  for (const { triple } of TARGETS) assert.equal(targetOf(triple).triple, triple);
  assert.throws(
    () => targetOf("aarch64-linux"),
    /^Error: Cannot build for "aarch64-linux": choose one of x86_64-unknown-linux-gnu, aarch64-/,
  );
});

Deno.test("TARGETS: jobs run on Linux alone, and Windows wants a suffix", () => {
  for (const { triple, binaries, suffix } of TARGETS) {
    assert.equal(binaries.includes("worker-server"), triple.includes("linux"), triple);
    assert(binaries.includes("worker-client"), triple);
    assert.equal(suffix, triple.includes("windows") ? ".exe" : "");
  }
});
