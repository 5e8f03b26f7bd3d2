/**
 * The server's Debian package under systemd, once no service of the install script is there: in order,
 * since there is one host. tests/integration/package_test.ts has what dpkg alone shows.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { run } from "../support/run.ts";
import { guestTest } from "./guest.ts";
import {
  assertUnnoticed,
  CERTIFICATE_FILES,
  CONFIG,
  JOBS,
  mainPid,
  putCertificates,
  stateOf,
  systemctl,
  WORKER,
} from "./service.ts";

const PACKAGES = "/opt/job-worker/packages";
const PACKAGE = "job-worker-server";
const RECORDS = "/var/log/job-worker";
const MEMORY_LIMIT = `${CONFIG}/limits/memory_limit.txt`;

/** The guest was not made by dpkg, which therefore knows no other package. */
function dpkg(...args: string[]): ReturnType<typeof run> {
  return run("dpkg", ["--force-depends", "--force-unsafe-io", ...args]);
}

/** Installs one of the two packages; returns what is printed. */
async function install(which: "before" | "after"): Promise<string> {
  const folder = join(PACKAGES, which);
  const [name = ""] = (await Array.fromAsync(Deno.readDir(folder))).map(({ name }) => name);
  const { code, stdout, stderr } = await dpkg("--install", join(folder, name));
  assert.equal(code, 0, stdout + stderr);
  return stdout;
}

async function version(): Promise<string> {
  return (await run("dpkg-query", ["--show", "--showformat", "${Version}", PACKAGE])).stdout;
}

async function exists(path: string): Promise<boolean> {
  return await Deno.stat(path).catch(() => undefined) !== undefined;
}

guestTest("package: the service runs as soon as its certificates are there", async () => {
  // As on a host that has seen no service yet.
  await Deno.remove(CONFIG, { recursive: true }).catch(() => {});
  const said = await install("before");
  assert.match(said, /not started: put ca\.crt server\.crt server\.key into \/etc\/job-worker/);
  assert.equal(await stateOf(WORKER), "inactive");
  assert.equal(await systemctl("is-enabled", WORKER), "enabled");
  await putCertificates("server.crt");
  await systemctl("start", WORKER);
  assert.equal(await stateOf(WORKER), "active");
});

guestTest("package: an upgrade goes unnoticed by a job, and keeps what was edited", async () => {
  await Deno.writeTextFile(MEMORY_LIMIT, "64M\n");
  const [server, before] = [await mainPid(), await version()];
  await assertUnnoticed(() => install("after"));
  assert.notEqual(await version(), before);
  assert.notEqual(await mainPid(), server, "the server of the old package still runs");
  assert.equal(await Deno.readTextFile(MEMORY_LIMIT), "64M\n");
});

guestTest("package: once removed, it leaves settings, records and output", async () => {
  const { code, stderr } = await dpkg("--remove", PACKAGE);
  assert.equal(code, 0, stderr);
  for (const unit of [WORKER, JOBS]) assert.equal(await stateOf(unit), "inactive");
  assert.equal(await exists("/usr/sbin/worker-server"), false);
  assert.equal(await Deno.readTextFile(MEMORY_LIMIT), "64M\n");
  assert(await exists(join(RECORDS, "jobs.db")));
  const kept = await Array.fromAsync(Deno.readDir(join(RECORDS, "jobs")));
  assert.notEqual(kept.length, 0, "the job's output is gone");
});

guestTest("package: a purge leaves certificates and keys alone", async () => {
  const { code, stderr } = await dpkg("--purge", PACKAGE);
  assert.equal(code, 0, stderr);
  assert.equal(await exists(RECORDS), false);
  const left = (await Array.fromAsync(Deno.readDir(CONFIG))).map(({ name }) => name);
  assert.deepEqual(left.sort(), CERTIFICATE_FILES);
  // Neither a unit nor a link to one is left.
  const link = "/etc/systemd/system/multi-user.target.wants/job-worker.service";
  await assert.rejects(Deno.lstat(link), Deno.errors.NotFound);
  const state = await systemctl("show", "--property", "LoadState", "--value", WORKER);
  assert.equal(state, "not-found");
});
