/** The rule file while a server runs: read when it changes, and never replaced by an invalid one. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { RuleFile } from "../../lib/access/rule_file.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { ALICE } from "../support/fake_http2.ts";
import { versionOf } from "../../common/file_version.ts";
import { until } from "../support/wait.ts";

/** A folder with a rule file. */
class Place implements Disposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "job-worker-rule-file-" });
  readonly path = join(this.#folder, "rules.json");
  readonly log = new CapturedLog();
  #writes = 0;

  /** Replaces the file by a rename, as tools do; each version has a time of its own. */
  write(text: string): void {
    const next = `${this.path}.${++this.#writes}`;
    Deno.writeTextFileSync(next, text);
    Deno.utimeSync(next, this.#writes, this.#writes);
    Deno.renameSync(next, this.path);
  }

  [Symbol.dispose](): void {
    this.log[Symbol.dispose]();
    Deno.removeSync(this.#folder, { recursive: true });
  }
}

const OWN = '{"rules":[{"name":"alice","jobs":"own"}]}';
const ALL = '{"rules":[]}';

/** Whether the rules in force are those of {@link OWN}. */
async function isOwnOnly(file: RuleFile): Promise<boolean> {
  return (await file.current()).ownJobsOnly(ALICE);
}

Deno.test("RuleFile: without a path the roles alone decide", async () => {
  const file = await RuleFile.open("", "root");
  assert.equal(await isOwnOnly(file), false);
});

Deno.test("RuleFile: a missing or invalid file is an error at the start, with its path", async () => {
  using place = new Place();
  const open = () => RuleFile.open(place.path, "root");
  await assert.rejects(open, /cannot use the rule file .*rules\.json: .*; correct it, or start/);
  for (const text of ["", "{", "[]", '{"rules":[{"name":"a","fly":1}]}']) {
    place.write(text);
    await assert.rejects(open, /cannot use the rule file .*rules\.json/, text);
  }
});

Deno.test("RuleFile: a changed file is in force with the next call", async () => {
  using place = new Place();
  place.write(ALL);
  const file = await RuleFile.open(place.path, "root");
  assert.equal(await isOwnOnly(file), false);
  place.write(OWN);
  assert.equal(await isOwnOnly(file), true);
  place.write(ALL);
  assert.equal(await isOwnOnly(file), false);
  assert.deepEqual(place.log.messages(), Array(2).fill("the rule file has changed"));
});

Deno.test("RuleFile: an invalid or missing file keeps the previous rules, and is logged once", async () => {
  using place = new Place();
  place.write(OWN);
  const file = await RuleFile.open(place.path, "root");
  place.write('{"rules":[');
  for (let call = 0; call < 3; call++) assert.equal(await isOwnOnly(file), true);
  Deno.removeSync(place.path);
  for (let call = 0; call < 3; call++) assert.equal(await isOwnOnly(file), true);
  const message = "the rule file is invalid; keeping the previous rules";
  assert.deepEqual(place.log.entries.map(({ level, message }) => [level, message]), [
    ["error", message],
    ["error", message],
  ]);
  place.write(ALL);
  assert.equal(await isOwnOnly(file), false);
});

Deno.test("RuleFile: a version of the same length and time is read as well", async () => {
  using place = new Place();
  const time = new Date(1_000_000);
  const put = (text: string) => {
    Deno.writeTextFileSync(place.path, text.padEnd(OWN.length));
    Deno.utimeSync(place.path, time, time);
  };
  put(ALL);
  await untilSettled(place.path);
  const file = await RuleFile.open(place.path, "root");
  put(OWN);
  await untilSettled(place.path);
  assert.equal(await isOwnOnly(file), true);
});

Deno.test("RuleFile: each of many versions of the same moment is read", async () => {
  using place = new Place();
  place.write(ALL.padEnd(OWN.length));
  const file = await RuleFile.open(place.path, "root");
  for (let times = 0; times < 20; times++) {
    place.write(OWN);
    assert.equal(await isOwnOnly(file), true);
    place.write(ALL.padEnd(OWN.length));
    assert.equal(await isOwnOnly(file), false);
  }
});

/** Waits until a file has not changed just now. */
async function untilSettled(path: string): Promise<void> {
  await until("a settled file", async () => await versionOf(path) === await versionOf(path));
}

Deno.test("RuleFile: no call is answered by rules that another call finds replaced", async () => {
  using place = new Place();
  place.write(ALL);
  const file = await RuleFile.open(place.path, "root");
  place.write(OWN);
  assert.deepEqual(await Promise.all([isOwnOnly(file), isOwnOnly(file), isOwnOnly(file)]), [
    true,
    true,
    true,
  ]);
  assert.equal(place.log.messages().length, 1);
});
