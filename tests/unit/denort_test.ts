import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { join } from "node:path";
import {
  DENO_VERSION,
  DenortError,
  elfLength,
  extractRuntime,
  findRuntime,
  PINNED,
  type RuntimePin,
  type RuntimeSources,
} from "../../tools/build/denort.ts";
import { targetOf } from "../../tools/build/targets.ts";

const SECTION_OFFSET = 3_000_000;
const SECTION_BYTES = 64;
const SECTIONS = 5;
const ELF_BYTES = SECTION_OFFSET + SECTION_BYTES * SECTIONS;

/** An ELF file as its own header tells it, with a compiled program's payload behind. */
function fakeProgram(): Uint8Array {
  const bytes = new Uint8Array(ELF_BYTES + 1000).map((_, index) => index % 251);
  const view = new DataView(bytes.buffer);
  bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
  view.setUint16(18, 62, true);
  view.setBigUint64(0x28, BigInt(SECTION_OFFSET), true);
  view.setUint16(0x3a, SECTION_BYTES, true);
  view.setUint16(0x3c, SECTIONS, true);
  return bytes;
}

function pinOf(runtime: Uint8Array): RuntimePin {
  return {
    bytes: runtime.byteLength,
    sha256: createHash("sha256").update(runtime).digest("hex"),
  };
}

const PROGRAM = fakeProgram();
const RUNTIME = PROGRAM.subarray(0, ELF_BYTES);
const PIN = pinOf(RUNTIME);
const HOST = "x86_64-unknown-linux-gnu";
const OTHER = "aarch64-unknown-linux-gnu";
const CACHED = `denort-${PIN.sha256.slice(0, 16)}`;

/** A folder, and sources that have nothing but a package; `fetched` counts how often it was asked. */
async function withSources(
  change: Partial<RuntimeSources>,
  body: (sources: RuntimeSources, folder: string, fetched: () => number) => Promise<void>,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "job-worker-denort-" });
  let count = 0;
  const sources: RuntimeSources = {
    version: DENO_VERSION,
    target: targetOf(HOST),
    cacheDir: join(folder, "build"),
    pin: PIN,
    denoProvides: () => Promise.resolve(false),
    fetchProgram: async (into) => {
      count++;
      await Deno.writeFile(join(into, "program"), PROGRAM);
      return join(into, "program");
    },
    report: () => {},
    ...change,
  };
  try {
    await body(sources, folder, () => count);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function namesIn(folder: string): Promise<string[]> {
  const names = [];
  for await (const entry of Deno.readDir(folder)) names.push(entry.name);
  return names.sort();
}

Deno.test("PINNED: is the runtime of Deno 2.7.14", () => {
  assert.equal(DENO_VERSION, "2.7.14");
  assert.equal(PINNED.bytes, 97_760_192);
  assert.equal(PINNED.sha256, "44fa11ae44592891a07ecc3967cdb091ae316a947d60929415d26dedbb8f55b7");
});

Deno.test("elfLength: is where the section headers end", () => {
  assert.equal(elfLength(PROGRAM.subarray(0, 64)), ELF_BYTES);
});

const HEADERS: readonly (readonly [what: string, header: Uint8Array])[] = [
  ["an empty file", new Uint8Array()],
  ["a header cut short", PROGRAM.subarray(0, 63)],
  ["a script", new TextEncoder().encode("#!/bin/sh\n".repeat(10))],
  ["a 32-bit program", PROGRAM.slice(0, 64).fill(1, 4, 5)],
  ["a big-endian program", PROGRAM.slice(0, 64).fill(2, 5, 6)],
];
for (const [what, header] of HEADERS) {
  Deno.test(`elfLength: refuses ${what}`, () => {
    assert.throws(() => elfLength(header), DenortError);
  });
}

Deno.test("findRuntime: takes the ELF part out of the package, once", async () => {
  await withSources({}, async (sources, folder, fetched) => {
    const first = await findRuntime(sources);
    assert.deepEqual(first, { kind: "file", target: HOST, path: join(folder, "build", CACHED) });
    assert.deepEqual(await Deno.readFile(join(folder, "build", CACHED)), RUNTIME.slice());
    assert.deepEqual(await namesIn(join(folder, "build")), [CACHED]);
    assert.deepEqual(await findRuntime(sources), first);
    assert.equal(fetched(), 1);
  });
});

Deno.test("findRuntime: a kept runtime that was changed is fetched again", async () => {
  await withSources({}, async (sources, folder, fetched) => {
    await findRuntime(sources);
    using file = await Deno.open(join(folder, "build", CACHED), { write: true });
    await file.seek(1_234_567, Deno.SeekMode.Start);
    await file.write(new Uint8Array(1));
    await findRuntime(sources);
    assert.equal(fetched(), 2);
    assert.deepEqual(await Deno.readFile(join(folder, "build", CACHED)), RUNTIME.slice());
  });
});

Deno.test("findRuntime: a kept runtime that was cut short is fetched again", async () => {
  await withSources({}, async (sources, folder, fetched) => {
    await findRuntime(sources);
    await Deno.truncate(join(folder, "build", CACHED), 100);
    await findRuntime(sources);
    assert.equal(fetched(), 2);
  });
});

Deno.test("findRuntime: DENORT_BIN goes before everything", async () => {
  await withSources({}, async (sources, folder, fetched) => {
    const path = join(folder, "mine");
    await Deno.writeFile(path, PROGRAM);
    assert.deepEqual(await findRuntime({ ...sources, given: path, version: "9.9.9" }), {
      kind: "file",
      target: HOST,
      path: await Deno.realPath(path),
    });
    assert.equal(fetched(), 0);
  });
});

Deno.test("findRuntime: DENORT_BIN for another system is refused, and what is no program", async () => {
  await withSources({}, async (sources, folder) => {
    const given = join(folder, "mine");
    await Deno.writeFile(given, PROGRAM);
    await assert.rejects(
      findRuntime({ ...sources, given, target: targetOf(OTHER) }),
      new DenortError(
        `Cannot build for ${OTHER} with DENORT_BIN=${given}: ` +
          "it is a program for another system (ELF, x86-64)",
      ),
    );
    await Deno.writeTextFile(given, "#!/bin/sh\n".repeat(100));
    await assert.rejects(findRuntime({ ...sources, given }), /it is not a program of a system/);
  });
});

for (const [what, name] of [["a missing file", "missing"], ["a folder", "."]] as const) {
  Deno.test(`findRuntime: DENORT_BIN that is ${what} is refused, not passed over`, async () => {
    await withSources({}, async (sources, folder, fetched) => {
      const given = join(folder, name);
      await assert.rejects(
        findRuntime({ ...sources, given }),
        new DenortError(`Cannot build for ${HOST} with DENORT_BIN=${given}: there is no such file`),
      );
      assert.equal(fetched(), 0);
    });
  });
}

Deno.test("findRuntime: what Deno provides goes before the package", async () => {
  const denoProvides = () => Promise.resolve(true);
  await withSources({ denoProvides }, async (sources, _folder, fetched) => {
    for (const target of [HOST, OTHER]) {
      const found = await findRuntime({ ...sources, target: targetOf(target) });
      assert.deepEqual(found, { kind: "deno", target });
    }
    assert.equal(fetched(), 0);
  });
});

Deno.test("findRuntime: another version of Deno is refused with the one to run", async () => {
  await withSources({ version: "2.9.4" }, async (sources, _folder, fetched) => {
    await assert.rejects(findRuntime(sources), /2\.9\.4.*npx -y deno@2\.7\.14/);
    assert.equal(fetched(), 0);
  });
});

Deno.test("findRuntime: another target never gets this one's kept runtime, but what to set", async () => {
  await withSources({}, async (sources, _folder, fetched) => {
    await findRuntime(sources);
    await assert.rejects(
      findRuntime({ ...sources, target: targetOf(OTHER) }),
      /aarch64.*set DENORT_BIN to a denort 2\.7\.14 for aarch64-unknown-linux-gnu/,
    );
    assert.equal(fetched(), 1);
  });
});

const REFUSED: readonly (readonly [what: string, pin: RuntimePin, why: RegExp])[] = [
  ["a wrong digest", { ...PIN, sha256: "0".repeat(64) }, /SHA-256.*set DENORT_BIN/],
  ["a wrong length", { ...PIN, bytes: PIN.bytes + 1 }, /length is.*set DENORT_BIN/],
];
for (const [what, pin, why] of REFUSED) {
  Deno.test(`findRuntime: ${what} stops the build and leaves nothing`, async () => {
    await withSources({ pin }, async (sources, folder) => {
      await assert.rejects(findRuntime(sources), (error: Error) => {
        assert.ok(error instanceof DenortError);
        assert.match(error.message, why);
        return true;
      });
      assert.deepEqual(await namesIn(join(folder, "build")), []);
    });
  });
}

Deno.test("findRuntime: a package that cannot be fetched says so and leaves nothing", async () => {
  const fetchProgram = () => Promise.reject(new DenortError("there is no npm on this host"));
  await withSources({ fetchProgram }, async (sources, folder) => {
    await assert.rejects(findRuntime(sources), /there is no npm on this host; set DENORT_BIN/);
    assert.deepEqual(await namesIn(join(folder, "build")), []);
  });
});

Deno.test("extractRuntime: a program that ends before its sections do is refused", async () => {
  await withSources({}, async (_sources, folder) => {
    const program = join(folder, "short");
    await Deno.writeFile(program, PROGRAM.subarray(0, ELF_BYTES - 1));
    await assert.rejects(extractRuntime(program, join(folder, "out"), PIN), DenortError);
    assert.deepEqual(await namesIn(folder), ["short"]);
  });
});
