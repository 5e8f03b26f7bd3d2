import assert from "node:assert/strict";
import { join } from "node:path";
import { CertsError } from "../../certs/errors.ts";
import { refuseExisting } from "../../certs/existing.ts";
import {
  CERTIFICATE_MODE,
  existingOf,
  type FileToWrite,
  KEY_MODE,
  makeFolder,
  readBytes,
  writeTogether,
} from "../../certs/files.ts";

/** A folder for one test, removed after it. */
function testFolder(): Disposable & { path: string; of: (name: string) => string } {
  const path = Deno.makeTempDirSync({ prefix: "certs-files-" });
  return {
    path,
    of: (name) => join(path, name),
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

function failure(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof CertsError && error.kind === "failure", String(error));
    assert.match(error.message, message);
    assert.doesNotMatch(error.message, /\n|os error/);
    return true;
  };
}

function pair(folder: { of: (name: string) => string }): [FileToWrite, FileToWrite] {
  return [
    { path: folder.of("a.key"), content: "new key\n", mode: KEY_MODE },
    { path: folder.of("a.crt"), content: "new crt\n", mode: CERTIFICATE_MODE },
  ];
}

/** Every name in a folder, hidden ones too: nothing half-made may be left. */
function names(folder: { path: string }): string[] {
  return [...Deno.readDirSync(folder.path)].map(({ name }) => name).sort();
}

function modeOf(path: string): number {
  return (Deno.statSync(path).mode ?? 0) & 0o777;
}

Deno.test("writeTogether: writes all files with their modes and leaves nothing else", async () => {
  using folder = testFolder();
  const files = pair(folder);
  await writeTogether(files, { overwrite: false });
  for (const { path, content, mode } of files) {
    assert.equal(Deno.readTextFileSync(path), content);
    assert.equal(modeOf(path), mode & ~Deno.umask());
  }
  assert.deepEqual(names(folder), ["a.crt", "a.key"]);
});

Deno.test("writeTogether: keeps a key to its owner under the most open umask", async () => {
  using folder = testFolder();
  const umask = Deno.umask(0);
  try {
    await writeTogether(pair(folder), { overwrite: false });
  } finally {
    Deno.umask(umask);
  }
  assert.equal(modeOf(folder.of("a.key")), 0o600);
  assert.equal(modeOf(folder.of("a.crt")), 0o644);
});

for (const existing of ["a.key", "a.crt"]) {
  Deno.test(`writeTogether: writes nothing when ${existing} is there`, async () => {
    using folder = testFolder();
    Deno.writeTextFileSync(folder.of(existing), "old");
    await assert.rejects(
      writeTogether(pair(folder), { overwrite: false }),
      failure(new RegExp(`cannot write .*${existing}: it exists, use --force`)),
    );
    assert.deepEqual(names(folder), [existing]);
    assert.equal(Deno.readTextFileSync(folder.of(existing)), "old");
  });
}

Deno.test("writeTogether: writes through no link", async () => {
  using folder = testFolder();
  using other = testFolder();
  Deno.symlinkSync(other.of("target"), folder.of("a.key"));
  await assert.rejects(writeTogether(pair(folder), { overwrite: false }), failure(/exists/));
  await writeTogether(pair(folder), { overwrite: true });
  assert.equal(Deno.lstatSync(folder.of("a.key")).isSymlink, false);
  assert.deepEqual(names(other), []);
});

Deno.test("writeTogether: replaces what is there, its mode too, when told to", async () => {
  using folder = testFolder();
  Deno.writeTextFileSync(folder.of("a.key"), "old", { mode: 0o644 });
  await writeTogether(pair(folder), { overwrite: true });
  assert.equal(Deno.readTextFileSync(folder.of("a.key")), "new key\n");
  assert.equal(modeOf(folder.of("a.key")), 0o600);
  assert.deepEqual(names(folder), ["a.crt", "a.key"]);
});

Deno.test("writeTogether: gives the old file back when the other cannot be replaced", async () => {
  using folder = testFolder();
  Deno.writeTextFileSync(folder.of("a.key"), "old", { mode: 0o600 });
  Deno.mkdirSync(folder.of("a.crt"));
  await assert.rejects(
    writeTogether(pair(folder), { overwrite: true }),
    failure(/cannot replace .*a\.crt: it is a folder/),
  );
  assert.equal(Deno.readTextFileSync(folder.of("a.key")), "old");
  assert.deepEqual(names(folder), ["a.crt", "a.key"]);
});

Deno.test("writeTogether: takes a new file back when the other cannot be replaced", async () => {
  using folder = testFolder();
  Deno.mkdirSync(folder.of("a.crt"));
  await assert.rejects(writeTogether(pair(folder), { overwrite: true }), failure(/a\.crt/));
  assert.deepEqual(names(folder), ["a.crt"]);
});

Deno.test("writeTogether: says why when the folder is not there", async () => {
  using folder = testFolder();
  Deno.removeSync(folder.path);
  await assert.rejects(
    writeTogether(pair(folder), { overwrite: false }),
    failure(/cannot write .*a\.key: there is no such file or folder/),
  );
  Deno.mkdirSync(folder.path);
});

Deno.test("writeTogether: lets one of two writers win, with a pair of its own", async () => {
  using folder = testFolder();
  const results = await Promise.allSettled(
    ["one", "two"].map((content) =>
      writeTogether(pair(folder).map((file) => ({ ...file, content })), { overwrite: false })
    ),
  );
  assert.deepEqual(results.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
  assert.deepEqual(names(folder), ["a.crt", "a.key"]);
  const [key, certificate] = ["a.key", "a.crt"].map((name) =>
    Deno.readTextFileSync(folder.of(name))
  );
  assert.equal(key, certificate);
});

Deno.test("refuseExisting: names every file that is there, dangling links included", async () => {
  using folder = testFolder();
  const paths = ["a", "b", "c"].map(folder.of);
  assert.equal(await refuseExisting(paths, { force: false }), false);
  Deno.writeTextFileSync(folder.of("a"), "");
  Deno.symlinkSync("nowhere", folder.of("c"));
  await assert.rejects(
    refuseExisting(paths, { force: false }),
    failure(/cannot write \S+\/a and \S+\/c: already there; use --force to replace them$/),
  );
  assert.equal(await refuseExisting(paths, { force: true }), true);
});

Deno.test("existingOf: says so when it cannot look", async () => {
  using folder = testFolder();
  Deno.writeTextFileSync(folder.of("file"), "");
  await assert.rejects(existingOf([folder.of("file/x")]), failure(/not a directory/));
});

Deno.test("makeFolder: makes a folder for its owner alone, and leaves one that is there", async () => {
  using folder = testFolder();
  await makeFolder(folder.of("new/deep"));
  assert.equal(modeOf(folder.of("new/deep")), 0o700);
  Deno.chmodSync(folder.of("new"), 0o755);
  await makeFolder(folder.of("new"));
  assert.equal(modeOf(folder.of("new")), 0o755);
});

Deno.test("makeFolder: refuses a name that a file has", async () => {
  using folder = testFolder();
  Deno.writeTextFileSync(folder.of("file"), "");
  await assert.rejects(makeFolder(folder.of("file")), failure(/cannot make the folder/));
  await assert.rejects(makeFolder(folder.of("file/deep")), failure(/cannot make the folder/));
});

Deno.test("readBytes: reads a file of up to 1 MiB, and no longer one", async () => {
  using folder = testFolder();
  const path = folder.of("file");
  Deno.writeFileSync(path, new Uint8Array(1024 * 1024).fill(7));
  assert.equal((await readBytes(path)).length, 1024 * 1024);
  Deno.writeFileSync(path, new Uint8Array(1024 * 1024 + 1));
  await assert.rejects(readBytes(path), failure(/longer than any certificate/));
});

Deno.test("readBytes: says why it cannot read", async () => {
  using folder = testFolder();
  await assert.rejects(readBytes(folder.of("nothing")), failure(/no such file/));
  await assert.rejects(readBytes(folder.path), failure(/it is a folder/));
});
