import { strict as assert } from "node:assert";
import { join } from "node:path";
import { ProgramCheck } from "../../lib/executor/program_check.ts";
import { parseHead, runsOn } from "../../lib/executor/program_head.ts";
import { scripts } from "../../lib/shim/scripts.ts";
import { runScript } from "../../lib/shim/shell.ts";

/** A processor that hosts of tests do not have (Alpha). */
const OTHER_PROCESSOR = 0x9026;

/** The host's own shell, changed. */
function shellWith(change: (head: Uint8Array) => void): Uint8Array {
  const bytes = Deno.readFileSync("/bin/sh");
  change(bytes);
  return bytes;
}

function loaderOf(bytes: Uint8Array): string {
  const head = parseHead(bytes.subarray(0, 1024));
  assert(head.kind === "machine-code" && head.loader !== undefined);
  return head.loader;
}

/** What is found about a program in a folder that is in PATH, beside other files. */
async function findingOf(
  bytes: Uint8Array | string,
  { mode = 0o755, name = "program", isRoot = true } = {},
) {
  const folder = await Deno.makeTempDir();
  try {
    const file = join(folder, "program");
    if (typeof bytes === "string") await Deno.writeTextFile(file, bytes, { mode });
    else await Deno.writeFile(file, bytes, { mode });
    await Deno.writeTextFile(join(folder, "no-program"), "");
    await Deno.writeTextFile(join(folder, "broken"), "#!/no/such/thing\n", { mode: 0o755 });
    const path = `/no/such:${folder}:/usr/bin:/bin`;
    const finding = await new ProgramCheck().find({ name, path, folder, isRoot });
    assert(finding === undefined || finding.error.kind === "invalid");
    assert(finding === undefined || finding.file === file);
    return finding;
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function refusalOf(...args: Parameters<typeof findingOf>): Promise<string | undefined> {
  return (await findingOf(...args))?.error.message;
}

/** A registered emulator may execute anything, and then nothing is refused. */
const hasEmulator = await runScript(scripts.formats) !== "";

Deno.test("ProgramCheck: what the kernel executes, and texts that shells run, are not refused", async () => {
  const sound: (Uint8Array | string)[] = [
    Deno.readFileSync("/bin/sh"),
    "#!/bin/sh\nexit 0\n",
    "#! /bin/sh -e\n",
    "#!/usr/bin/env sh\n",
    "#!/usr/bin/env  program \t\n",
    "#!/usr/bin/env -S A=1 sh -e\n",
    // What env is to do there cannot be told, or it says itself what is wrong.
    "#!/usr/bin/env -S PATH=/x no-such\n",
    "#!/usr/bin/env -S -i no-such\n",
    '#!/usr/bin/env -S "no-such"\n',
    "#!/usr/bin/env -i no-such\n",
    "#!/usr/bin/env\n",
    "#!/bin/sh\n\0 data behind the first line",
    "#!./program\n",
    "echo a text without an interpreter\n",
    "",
  ];
  for (const bytes of sound) {
    assert.equal(await refusalOf(bytes), undefined, String(bytes).slice(0, 40));
  }
  assert.equal(await refusalOf("#!/no/such/thing\n", { mode: 0o644 }), undefined, "the launcher's");
  assert.equal(await refusalOf("", { name: "missing" }), undefined, "the launcher's");
});

Deno.test("ProgramCheck: an interpreter that is not there, or not a program, is named", async () => {
  const names = /first line names the interpreter "\/no\/such\/thing", which is not a program/;
  for (const name of ["program", "./program"]) {
    assert.match(await refusalOf("#!/no/such/thing -x\nexit\n", { name }) ?? "", names);
  }
  for (const line of ["#!", "#!  \n", "#!./no-program\n", "#!/\n"]) {
    assert.match(await refusalOf(line) ?? "", /names the interpreter/, line);
  }
  assert.match(await refusalOf("#!./broken\n") ?? "", /its interpreter: its first line names/);
});

Deno.test("ProgramCheck: a program that env looks for in vain is named", async () => {
  const names = (name: string) =>
    new RegExp(`has env look for "${name}", which is no program in the job's PATH`);
  for (const line of ["no-such", "no-plain", "./no-program", "/usr"]) {
    assert.match(await refusalOf(`#!/usr/bin/env ${line}\n`) ?? "", names(line), line);
  }
  for (const line of ["-S no-such -u", "-Sno-such", "-vS A=1 B= no-such", "-S  no-such"]) {
    assert.match(await refusalOf(`#!/usr/bin/env ${line}\n`) ?? "", names("no-such"), line);
  }
  assert.match(await refusalOf("#!/usr/bin/env sh -e\n") ?? "", /"sh -e".*take env -S$/);
});

Deno.test("ProgramCheck: for another user than root the launcher is told what to look for", async () => {
  for (const name of ["sh", "no-such"]) {
    const finding = await findingOf(`#!/usr/bin/env ${name}\n`, { isRoot: false });
    assert.equal(finding?.unless, name);
  }
  const broken = await findingOf("#!/no/such\n", { isRoot: false });
  assert(broken !== undefined && broken.unless === undefined);
  assert.equal(await findingOf("#!/bin/sh\n", { isRoot: false }), undefined);
});

Deno.test("ProgramCheck: a script with Windows line ends says so", async () => {
  for (
    const line of [
      "#!/bin/sh\r\n",
      "#!/bin/sh\r",
      "#!/usr/bin/env sh\r\n",
      "#!/usr/bin/env -S sh -e\r\n",
    ]
  ) {
    assert.match(await refusalOf(line) ?? "", /carriage return, as Windows/, JSON.stringify(line));
  }
});

Deno.test({
  name: "ProgramCheck: what would be read by the shell as a script is refused",
  ignore: hasEmulator,
  fn: async () => {
    const foreign = shellWith((head) =>
      new DataView(head.buffer).setUint16(18, OTHER_PROCESSOR, true)
    );
    assert.match(await refusalOf(foreign) ?? "", /another kind of processor/);
    const bigEndian = shellWith((head) => head[5] = 2);
    assert.match(await refusalOf(bigEndian) ?? "", /./);
    const data: (Uint8Array | string)[] = [
      shellWith((head) => head[16] = 1), // an object file
      Deno.readFileSync("/bin/sh").subarray(0, 40),
      "\x7fELF",
      "text\0\n",
      new Uint8Array([0x1f, 0x8b, 8, 0, 0]),
    ];
    for (const bytes of data) {
      assert.match(await refusalOf(bytes) ?? "", /neither a program for Linux nor a script/);
    }
  },
});

Deno.test("ProgramCheck: a loader that is not there is named", async () => {
  const loader = loaderOf(Deno.readFileSync("/bin/sh"));
  const other = shellWith((head) => {
    const at = new TextDecoder("latin1").decode(head).indexOf(loader);
    head[at + 1] = "X".charCodeAt(0);
  });
  assert.match(
    await refusalOf(other) ?? "",
    /needs the loader "\/X.*", which is not on the server/,
  );
});

Deno.test("ProgramCheck: a sound file that is changed is looked at again", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const check = new ProgramCheck();
    const file = join(folder, "program");
    const refusal = async () =>
      (await check.find({ name: file, path: "", folder, isRoot: true }))?.error;
    await Deno.writeFile(file, Deno.readFileSync("/bin/sh"), { mode: 0o755 });
    assert.equal(await refusal(), undefined);
    assert.equal(await refusal(), undefined);
    await Deno.writeTextFile(file, "#!/no/such/thing\n");
    assert.match((await refusal())?.message ?? "", /\/no\/such\/thing/);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("runsOn: 32-bit programs run on the 64-bit processor of their kind, and the other way not", () => {
  const [x86, i386] = [{ bits: 2, order: 1, processor: 62 }, { bits: 1, order: 1, processor: 3 }];
  const arm64 = { bits: 2, order: 1, processor: 183 };
  assert(runsOn(x86, x86) && runsOn(i386, x86));
  assert(!runsOn(x86, i386) && !runsOn(arm64, x86) && !runsOn(i386, arm64));
});
