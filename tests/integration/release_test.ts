/** The archive of a release: made twice, unpacked elsewhere, installed, and removed again. */
import { strict as assert } from "node:assert";
import { createHash } from "node:crypto";
import { join } from "node:path";
import { stop as stopBundler } from "esbuild";
import config from "../../deno.json" with { type: "json" };
import { targetOf } from "../../tools/build/targets.ts";
import { isInstalled } from "../../tools/installed.ts";
import { makeArchive, releaseName } from "../../tools/release/archive.ts";
import { licencesOf } from "../../tools/release/licences.ts";
import type { Release } from "../../tools/release/tree.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";

const WHY_NOT = await isInstalled("zstd") ? undefined : "there is no zstd";

/** Quick, where size does not matter. */
const LEVEL = 1;

/** 2026-01-02 03:04:05 UTC */
const COMMIT_TIME = 1_767_323_045;

/** A release of the binaries that all integration tests share. */
async function makeRelease(): Promise<Release> {
  const target = targetOf(Deno.build.target);
  const licences = await licencesOf(target.binaries);
  await stopBundler();
  for (const named of ["Deno", "@grpc/grpc-js", "preact", "tslib"]) {
    assert.match(licences, new RegExp(`^${named}[ ,]`, "m"));
  }
  return {
    target,
    binDir: BIN_DIR,
    version: config.version,
    commitTime: COMMIT_TIME,
    committer: "Somebody <somebody@example.com>",
    licences,
  };
}

const INSTALLED = [
  "etc/job-worker/limits/cpu_limit.txt",
  "etc/job-worker/limits/disk_io_limit.txt",
  "etc/job-worker/limits/memory_limit.txt",
  "etc/job-worker/server.env",
  "etc/systemd/system/job-worker-jobs.service",
  "etc/systemd/system/job-worker.service",
  "usr/local/bin/worker-client",
  "usr/local/bin/worker-server",
  "usr/local/share/bash-completion/completions/worker-client",
  "usr/local/share/fish/vendor_completions.d/worker-client.fish",
  "usr/local/share/man/man1/worker-certs.1",
  "usr/local/share/man/man1/worker-client.1",
  "usr/local/share/man/man8/worker-server.8",
  "usr/local/share/zsh/site-functions/_worker-client",
];

async function filesIn(folder: string): Promise<string[]> {
  const { stdout } = await run("find", [folder, "-type", "f", "-printf", "%P\\n"]);
  return stdout.trim().split("\n").sort();
}

async function done(...[program, args, options]: Parameters<typeof run>): Promise<string> {
  const { code, stdout, stderr } = await run(program, args, options);
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function digestOf(file: string): Promise<string> {
  return createHash("sha256").update(await Deno.readFile(file)).digest("hex");
}

testUnless(WHY_NOT, {
  name:
    "release: an archive installs without the repository, and the same files make the same bytes",
  fn: async () => {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-release-" });
    const umask = Deno.umask(0o077);
    try {
      const release = await makeRelease();
      const [one = "", other = ""] = await Promise.all(["one", "other"].map(async (name) => {
        await Deno.mkdir(join(folder, name));
        return await makeArchive(release, { outDir: join(folder, name), level: LEVEL });
      }));
      assert.equal(await digestOf(one), await digestOf(other));
      assert.deepEqual(
        (await Array.fromAsync(Deno.readDir(join(folder, "one")))).map(({ name }) => name),
        [`${releaseName(release)}.tar.zst`],
      );

      await done("tar", ["--extract", "--file", one, "--directory", folder]);
      const place = join(folder, releaseName(release));
      await done("sha256sum", ["--quiet", "--check", "SHA256SUMS"], { cwd: place });
      assert.equal(
        (await Deno.stat(join(place, "README.md"))).mtime?.getTime(),
        COMMIT_TIME * 1000,
      );
      // Others may read everything, whatever the umask where it was made.
      assert.equal(await done("find", [place, "!", "-perm", "-444"]), "");

      const root = join(folder, "root");
      const install = join(place, "deploy", "install.sh");
      const env = { DESTDIR: root };
      await done(install, [], { env });
      assert.deepEqual(await filesIn(root), INSTALLED);
      for (const name of ["worker-server", "worker-client"]) {
        const version = await done(join(root, "usr/local/bin", name), ["--version"]);
        assert.match(version, new RegExp(`(^| )${config.version}\n$`));
      }
      const limit = join(root, "etc/job-worker/limits/cpu_limit.txt");
      await Deno.writeTextFile(limit, "7%\n");
      await done(install, [], { env });
      assert.equal(await Deno.readTextFile(limit), "7%\n", "an upgrade changes no settings");
      await done(install, ["--uninstall"], { env });
      assert.deepEqual(await filesIn(root), INSTALLED.filter((name) => /job-worker\//.test(name)));
    } finally {
      Deno.umask(umask);
      await Deno.remove(folder, { recursive: true });
    }
  },
});
