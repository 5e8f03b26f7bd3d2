import assert from "node:assert/strict";
import { DEFAULT_LOG_DIR, normalizeLogDir } from "../../tools/log_directory.ts";

Deno.test("normalizeLogDir: an absolute path is kept, without what it does not need", () => {
  assert.equal(normalizeLogDir(DEFAULT_LOG_DIR), DEFAULT_LOG_DIR);
  assert.equal(normalizeLogDir("/srv//jobs/./a/../log/"), "/srv/jobs/log");
  assert.equal(normalizeLogDir("/system/jobs"), "/system/jobs");
});

const REFUSED: readonly (readonly [text: string, why: RegExp])[] = [
  ["", /absolute/],
  ["log", /absolute/],
  ["./log", /absolute/],
  ["~/log", /absolute/],
  ["/var/log/a,/etc", /letters, digits/],
  ["/var/log/a b", /letters, digits/],
  ["/var/log/a\n", /letters, digits/],
  ["/var/log/$HOME", /letters, digits/],
  ["/", /whole host/],
  ["/var/log", /whole host/],
  ["/var/log/job-worker/..", /whole host/],
  ["/tmp/", /whole host/],
  ["/etc", /whole host/],
  ["/sys/fs/cgroup", /kernel's/],
  ["/proc", /kernel's/],
  ["/var/../dev/shm", /kernel's/],
];

for (const [text, why] of REFUSED) {
  Deno.test(`normalizeLogDir: refuses ${JSON.stringify(text)}`, () => {
    assert.throws(() => normalizeLogDir(text), (error: Error) => {
      assert.match(error.message, why);
      assert.ok(error.message.startsWith(`Cannot build with log directory "${text}": `));
      return true;
    });
  });
}
