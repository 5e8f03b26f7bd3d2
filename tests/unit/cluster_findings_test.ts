import { strict as assert } from "node:assert";
import { examineCluster } from "../../lib/server/cluster_findings.ts";
import { formatFindings } from "../../lib/server/doctor.ts";
import { AWAY, CONFIGURATION, FakeSlurm } from "../support/fake_slurm.ts";

async function examine(slurm: FakeSlurm, change = {}) {
  const settings = {
    sharedFolder: slurm.folder,
    isForUsers: false,
    configurationFile: "",
    maxOutputBytes: Infinity,
    maxProcesses: Infinity,
    ...change,
  };
  return formatFindings(await examineCluster(settings, slurm.run));
}

Deno.test("examineCluster: a site that is fine, and nothing is left on the share", async () => {
  await using slurm = await FakeSlurm.make();
  const { text, isHealthy } = await examine(slurm);
  assert(isHealthy, text);
  assert.match(text, /^ok +Slurm +version 22\.05\.8$/m);
  assert.match(text, /^ok +shared folder +\/.* takes jobs/m);
  const names = (await Array.fromAsync(Deno.readDir(slurm.folder))).map(({ name }) => name);
  assert.deepEqual(names, ["jobs"]);
});

Deno.test("examineCluster: says what is missing, and all of it", async () => {
  await using slurm = await FakeSlurm.make();
  slurm.configuration = CONFIGURATION.replace("proctrack/cgroup", "proctrack/pgid");
  slurm.uid = 1000;
  const { text, isHealthy } = await examine(slurm, {
    sharedFolder: "/tmp/job-worker-no-such-share",
    maxProcesses: 100,
  });
  assert.equal(isHealthy, false);
  assert.match(text, /^missing +ProctrackType +it is proctrack\/pgid/m);
  assert.match(text, /^missing +process limit .*--max-processes max$/m);
  assert.match(text, /^missing +shared folder +there is no shared folder/m);
});

Deno.test("examineCluster: a controller that is away is said, and the share is looked at all the same", async () => {
  await using slurm = await FakeSlurm.make();
  slurm.failures.set("scontrol", AWAY);
  const { text, isHealthy } = await examine(slurm);
  assert.equal(isHealthy, false);
  assert.match(text, /^missing +Slurm +Slurm does not answer: error: Unable to contact/m);
  assert.match(text, /^ok +shared folder/m);
});
