/** What Debian packages say of themselves. */
import { strict as assert } from "node:assert";
import { targetOf, TARGETS } from "../../tools/build/targets.ts";
import {
  changelogText,
  controlText,
  hasPackages,
  overridesText,
} from "../../tools/release/package_texts.ts";

const RELEASE = {
  target: targetOf("aarch64-unknown-linux-gnu"),
  binDir: "/none",
  version: "1.2.3",
  commitTime: 1_767_323_045,
  committer: "A B <a@example.com>",
  licences: "",
};

Deno.test("hasPackages: of Linux alone", () => {
  for (const target of TARGETS) {
    assert.equal(hasPackages(target), target.triple.includes("linux"), target.triple);
  }
});

Deno.test("controlText: a paragraph as deb-control(5) has it", () => {
  const lines = controlText("worker-server", RELEASE, 123).split("\n");
  const field = (name: string) => lines.find((line) => line.startsWith(`${name}: `));
  assert.equal(field("Package"), "Package: job-worker-server");
  assert.equal(field("Version"), "Version: 1.2.3-1");
  assert.equal(field("Architecture"), "Architecture: arm64");
  assert.equal(field("Installed-Size"), "Installed-Size: 123");
  assert.match(field("Depends") ?? "", /libc6 .*, systemd/);
  assert.equal(lines.pop(), "");
  // Each line is a field, or goes on with the one before.
  assert.deepEqual(lines.filter((line) => !/^([A-Z][\w-]+: | )\S/.test(line)), []);
});

Deno.test("controlText: the key of the CA does not come to a host with the server", () => {
  const hard = controlText("worker-server", RELEASE, 1).split("\n")
    .filter((line) => /^(Depends|Recommends):/.test(line)).join("\n");
  assert.doesNotMatch(hard, /certs/);
});

Deno.test("changelogText: one entry, with the time of the commit", () => {
  assert.match(
    changelogText(RELEASE),
    /^job-worker \(1\.2\.3-1\) unstable; .*\n\n {2}\* .*\n\n -- A B <a@example\.com> {2}Fri, 02 Jan 2026 03:04:05 \+0000\n$/,
  );
});

Deno.test("overridesText: none without its reason", () => {
  for (const program of ["worker-server", "worker-client", "worker-certs"] as const) {
    assert.match(
      overridesText(program),
      new RegExp(`^(# \\S.{10,}\\n(job-${program}: [a-z.-]+ \\*\\n))+$`),
    );
  }
});
