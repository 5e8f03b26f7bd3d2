/** Files that others may read or change: found whatever the way to them is. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { isChangeable, isOpen } from "../../common/file_modes.ts";
import { findExposures } from "../../lib/access/exposure.ts";

/** Who may own the files of a test. */
const OWNERS = [0, Deno.uid() ?? 0];

/** A folder with the files of a server, each as private as it should be. */
class Place implements Disposable {
  readonly folder = Deno.makeTempDirSync({ prefix: "job-worker-exposure-" });
  readonly inner = join(this.folder, "etc");
  readonly key = join(this.inner, "server.key");
  readonly rules = join(this.inner, "rules.json");

  constructor() {
    Deno.mkdirSync(this.inner, { mode: 0o755 });
    Deno.writeTextFileSync(this.key, "", { mode: 0o600 });
    Deno.writeTextFileSync(this.rules, "", { mode: 0o644 });
  }

  find(rules = this.rules): Promise<string[]> {
    return findExposures({ secret: [this.key], decisive: [rules] }, OWNERS);
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

Deno.test("isOpen, isChangeable: by the permissions of the group and of others", () => {
  for (const mode of [0o640, 0o604, 0o620, 0o601]) assert(isOpen({ mode }), mode.toString(8));
  for (const mode of [0o600, 0o700, 0o400, null]) assert(!isOpen({ mode }));
  const file = (mode: number | null) => isChangeable({ mode, isDirectory: false });
  const folder = (mode: number | null) => isChangeable({ mode, isDirectory: true });
  for (const mode of [0o620, 0o602, 0o777, 0o664]) assert(file(mode) && folder(mode));
  for (const mode of [0o644, 0o755, 0o600, null]) assert(!file(mode) && !folder(mode));
  assert(file(0o1666), "the bit protects only what is in a folder");
  assert(!folder(0o1777));
});

Deno.test("findExposures: private files and folders are none, missing ones neither", async () => {
  using place = new Place();
  assert.deepEqual(await place.find(), []);
  assert.deepEqual(await place.find(join(place.inner, "none")), []);
  assert.deepEqual(await place.find(join(place.folder, "none", "none")), []);
});

Deno.test("findExposures: a key that others may read, with the command that mends it", async () => {
  using place = new Place();
  for (const mode of [0o644, 0o640, 0o604]) {
    Deno.chmodSync(place.key, mode);
    assert.deepEqual(await place.find(), [
      `others may read or change the key ${place.key}: run chmod 600 ${place.key}`,
    ]);
  }
});

Deno.test("findExposures: a file or a folder above it that others may change, once", async () => {
  using place = new Place();
  for (const path of [place.rules, place.inner, place.folder]) {
    const { mode } = Deno.statSync(path);
    Deno.chmodSync(path, 0o777);
    const [problem = "", ...more] = await place.find();
    assert.match(problem, new RegExp(`^others may change ${path}, .*: run chmod go-w ${path}$`));
    assert.deepEqual(more, []);
    Deno.chmodSync(path, (mode ?? 0) & 0o7777);
  }
});

Deno.test("findExposures: of a link the folders at both ends count", async () => {
  using place = new Place();
  const links = join(place.folder, "links");
  Deno.mkdirSync(links, { mode: 0o755 });
  const link = join(links, "rules.json");
  Deno.symlinkSync(place.rules, link);
  const find = () => findExposures({ secret: [], decisive: [link] }, OWNERS);
  assert.deepEqual(await find(), []);
  for (const path of [links, place.inner]) {
    Deno.chmodSync(path, 0o777);
    assert.match((await find()).join(), new RegExp(`others may change ${path},`));
    Deno.chmodSync(path, 0o755);
  }
});

Deno.test("findExposures: what another user owns, that user may change", async () => {
  using place = new Place();
  const found = await findExposures({ secret: [], decisive: [place.rules] }, [-1]);
  assert(found.some((problem) => problem.endsWith(`: run chown root ${place.rules}`)));
  assert(found.some((problem) => problem.endsWith(": run chown root /")));
});
