/**
 * The Debian packages: lintian, and the life of the server's on a host whose systemd writes down what it
 * is asked for. tests/vm has the real one.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { stop as stopBundler } from "esbuild";
import config from "../../deno.json" with { type: "json" };
import { targetOf } from "../../tools/build/targets.ts";
import { isInstalled } from "../../tools/installed.ts";
import { makePackages } from "../../tools/release/deb.ts";
import { licencesOf } from "../../tools/release/licences.ts";
import { BIN_DIR } from "../support/binaries.ts";
import { ROOT } from "../support/documents.ts";
import { PackageHost } from "../support/package_host.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";

const WHY_NOT = await whyNot();

async function whyNot(): Promise<string | undefined> {
  if (Deno.uid() !== 0) return "only root may install packages";
  for (const program of ["dpkg-deb", "dpkg", "deb-systemd-helper", "nsenter"]) {
    if (!await isInstalled(program)) return `there is no ${program}`;
  }
  const { code, stderr } = await run("unshare", ["--mount", "true"]);
  return code === 0 ? undefined : `no namespaces can be made here: ${stderr.trim()}`;
}

/** Quick, where size does not matter. */
const COMPRESSION = ["-Zgzip", "-z1"];

const OUT_DIR = await Deno.makeTempDir({ prefix: "job-worker-packages-" });
addEventListener("unload", () => Deno.removeSync(OUT_DIR, { recursive: true }));

let made: Promise<string[]> | undefined;

/** The packages of the binaries that all integration tests share, by the names of their programs. */
async function packages(): Promise<string[]> {
  return await (made ??= makeAll());
}

async function makeAll(): Promise<string[]> {
  const target = targetOf(Deno.build.target);
  const licences = await licencesOf(target.binaries);
  await stopBundler();
  const release = {
    ...{ target, binDir: BIN_DIR, version: config.version, licences },
    // 2026-01-02 03:04:05 UTC
    commitTime: 1_767_323_045,
    committer: "Somebody <somebody@debian.org>",
  };
  return await makePackages(release, { outDir: OUT_DIR, compression: COMPRESSION });
}

const noLintian = await isInstalled("lintian") ? undefined : "there is no lintian";
testUnless(WHY_NOT ?? noLintian, {
  name: "packages: lintian finds nothing, down to what it calls information",
  fn: async () => {
    // Half of its time goes to misspelled words, of which the binaries' runtime has a dozen.
    const args = ["--allow-root", "--display-info", "--show-overrides", "-X", "binaries/spelling"];
    const { stdout, stderr } = await run("lintian", [...args, ...await packages()]);
    const lines = stdout.trim().split("\n");
    const overridden = lines.filter((line) => /^O: .* embedded-library /.test(line));
    assert.equal(overridden.length, 3, `it has not looked at the binary of each: ${stderr}`);
    // The override of what is not looked at is not used.
    assert.deepEqual(
      lines.filter((line) => !/^[NO]: |unused-override spelling-error-in-binary/.test(line)),
      [],
    );
  },
});

const CONFIG = "/etc/job-worker";
const JOB_GROUP = "/sys/fs/cgroup/system.slice/job-worker-jobs.service/jobs/" +
  "a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219";

testUnless(WHY_NOT, {
  name: "packages: the server's is installed, upgraded, removed and purged; jobs and keys are kept",
  fn: async () => {
    const [server = ""] = await packages();
    await using host = await PackageHost.open();
    const install = `dpkg --install --force-confold ${server}`;

    // Beside install.sh's unit it would be without effect.
    const unit = "/etc/systemd/system/job-worker.service";
    await host.done(`echo [Unit] >${unit}`);
    const refused = await host.run(install);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /Run deploy\/install\.sh --uninstall/);
    await host.done(`rm ${unit}; dpkg --purge job-worker-server`);

    assert.match(await host.done(install), /not started: put ca\.crt server\.crt server\.key into/);
    assert.deepEqual(await host.calls(), ["daemon-reload"]);
    assert.equal(
      await host.done("worker-server --version; man -w worker-server"),
      `${config.version}\n/usr/share/man/man8/worker-server.8.gz\n`,
    );
    assert.equal(
      await host.done(`readlink /etc/systemd/system/multi-user.target.wants/job-worker.service`),
      "/lib/systemd/system/job-worker.service\n",
    );

    // An upgrade starts another server, asks for the jobs' unit never, and keeps what was edited.
    await host.done(`cd ${CONFIG}; for n in ca.crt server.crt server.key; do echo x >$n; done
      echo 7% >limits/cpu_limit.txt; mkdir -p /var/log/job-worker/jobs ${JOB_GROUP}`);
    await host.done(install);
    assert.deepEqual(await host.calls(), ["daemon-reload", "restart job-worker.service"]);
    assert.equal(await host.done(`cat ${CONFIG}/limits/cpu_limit.txt`), "7%\n");
    assert.equal(await host.done(`stat -c %a ${CONFIG}/server.key`), "600\n");
    const beside = await host.run(`sh ${join(ROOT, "deploy", "install.sh")}`);
    assert.match(beside.stderr, /is here from its Debian package/);

    const kept = await host.run("dpkg --remove job-worker-server");
    assert.equal(kept.code, 1);
    assert.match(kept.stderr, /a3c1e8b4-90f3-4c6a-ae2f-58d3f827b219\n.*these jobs still run/);
    // Nothing was stopped: dpkg has the package as it was.
    assert(!(await host.calls()).some((call) => call.startsWith("stop")));
    assert.equal(
      await host.done("dpkg-query -Wf '${db:Status-Status}' job-worker-server"),
      "installed",
    );

    await host.done(`rmdir ${JOB_GROUP}; dpkg --remove job-worker-server`);
    assert.deepEqual(await host.calls(), [
      "stop job-worker.service job-worker-jobs.service",
      "daemon-reload",
    ]);
    assert.equal(
      await host.done(`cat ${CONFIG}/limits/cpu_limit.txt; ls -d /var/log/job-worker/jobs`),
      "7%\n/var/log/job-worker/jobs\n",
    );
    const purged = await host.done("dpkg --purge job-worker-server");
    assert.match(purged, /certificates and keys stay in \/etc\/job-worker/);
    assert.equal(await host.done(`ls ${CONFIG}`), "ca.crt\nserver.crt\nserver.key\n");
    await host.done("! ls -d /var/log/job-worker /etc/systemd/system/*/job-worker.service");
  },
});
