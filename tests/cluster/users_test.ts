/** Jobs of several users on a cluster, each as his own: what they cannot do to each other and to the server. */
// Attacks: a server that is root, by the files of jobs that are not.
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { OutputLog } from "../../lib/logs.ts";
import { segmentsFolderOf } from "../../lib/logs/segments.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { Job, type Wanted } from "../conformance/site.ts";
import { USER_CASES } from "../conformance/user_cases.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { ClusterSite } from "../support/cluster/cluster_site.ts";
import { whyNoCluster } from "../support/cluster/given_site.ts";
import { LOG_DIR } from "../support/binaries.ts";
import { TestServer } from "../support/server.ts";
import { StaleShare } from "../support/cluster/stale_share.ts";
import { testUnless } from "../support/skip.ts";
import { until } from "../support/wait.ts";

/** Users that every Debian has, each with a group of the same number; by default jobs are daemon's. */
const DAEMON_ID = 1;
const NOBODY: Wanted = { settings: { user: "nobody" } };

const reason = await whyNoCluster();
let cluster: Cluster;
let site: ClusterSite;
if (reason === undefined) {
  Deno.test.beforeAll(async () => {
    // Sites that refuse jobs of root take those that root submits for others.
    const parameters = { DisableRootJobs: "YES", NodeCPUs: "8" };
    cluster = await Cluster.start({ nodes: 1, parameters });
    const sharedFolder = join(cluster.folder, "share");
    await Deno.mkdir(sharedFolder);
    site = await ClusterSite.open({ confFile: cluster.confFile, sharedFolder, user: "daemon" });
  });
  Deno.test.afterAll(async () => {
    await site[Symbol.asyncDispose]();
    await cluster[Symbol.asyncDispose]();
  });
}

function test(name: string, fn: () => Promise<void>): void {
  testUnless(reason, {
    name: `cluster users: ${name}`,
    sanitizeOps: false,
    sanitizeResources: false,
    fn,
  });
}

test("a job runs as its user with his groups, and is given its variables, stopped and adopted", async () => {
  const script = 'id -u; id -g; echo "$USER,$HOME,$WORD"; trap "" TERM; echo ready; ' +
    "sleep 1000 & wait; wait";
  const job = await Job.script(site, script, { environment: { WORD: "it's" } });
  await until("its output", async () => (await job.output()).includes("ready"));
  assert.equal(await job.output(), "1\n1\ndaemon,/usr/sbin,it's\nready\n");
  const groups = await Job.script(site, "id -G", NOBODY);
  assert.equal((await groups.exited()).exitCode, 0);
  assert.equal(await groups.output(), "65534\n");
  await site.restart();
  assert.equal((await job.adopt("begun")).kind, "tracked");
  await until("what it uses", async () => (await job.usage()).processes !== undefined);
  await job.stop(200);
  assert.equal((await job.exited()).signal, 9);
});

for (const { name, holds } of USER_CASES) test(`conformance: ${name}`, () => holds(site));

test("a user's output goes on in files of his own where no file's beginning can be freed", async () => {
  const sharedFolder = join(cluster.folder, "unpunched");
  await using _share = await StaleShare.make(sharedFolder);
  const { confFile } = cluster;
  const maxOutputBytes = 1 << 20;
  await using bounded = await ClusterSite.open({
    confFile,
    sharedFolder,
    user: "daemon",
    maxOutputBytes,
  });
  const job = await Job.script(bounded, "seq 60000; exit 3");
  assert.equal((await job.exited()).exitCode, 3);
  const { folder, output } = job.request;
  const log = new OutputLog(output, {
    firstOffset: 0,
    finished: true,
    gapsPath: join(folder, "gaps"),
    timesPath: join(folder, "times"),
    news: "polling",
  });
  let text = "";
  for await (const { bytes } of log.read({ follow: false }, new AbortController().signal)) {
    text += new TextDecoder().decode(bytes);
  }
  assert(text === Array.from({ length: 60_000 }, (_, index) => `${index + 1}\n`).join(""));
  const segments = segmentsFolderOf(output);
  const names = await Array.fromAsync(Deno.readDir(segments), ({ name }) => name);
  assert.equal(names.length, 2, names.join());
  assert.equal((await Deno.stat(segments)).uid, DAEMON_ID);
});

test("a user reaches neither another's job nor what is the server's in the folder of his own", async () => {
  const victim = await Job.script(site, "echo precious; sleep 1000", NOBODY);
  await until("its output", async () => await victim.output() === "precious\n");
  await Deno.writeTextFile(join(victim.request.folder, "job"), "record", { mode: 0o600 });
  const jobs = join(site.sharedFolder, "jobs");
  const { folder } = victim.request;
  const attack = await Job.script(
    site,
    `own=${jobs}/$JOB_ID; try() { "$@" 2>/dev/null && echo "broken: $*"; }
     try ls ${jobs}; try ls ${folder}; try cat ${folder}/output; try cat ${folder}/job
     try ls ${folder}/node; try cat ${folder}/node/launch; try ls $own
     try mv $own $own.moved; try mv $own/node $own/moved; try rm -f $own/output; try touch $own/control
     try ln -s /etc/passwd $own/control.new; try mv $own/output $own/node/output
     try kill $(cat ${folder}/node/launch 2>/dev/null | sed -n 's/^job \\([0-9]*\\).*/\\1/p')
     echo done`,
  );
  assert.equal((await attack.exited()).exitCode, 0);
  assert.equal(await attack.output(), "done\n");
  await victim.stop(0);
  await victim.exited();
});

test("an end that a job forges is not believed while the job runs, and it can be stopped", async () => {
  const job = await Job.script(
    site,
    `folder=${site.sharedFolder}/jobs/$JOB_ID/node; rm $folder/launch
     printf 'launcher 1 1 x\\nnode elsewhere\\njob 1 1\\nexit 0\\nend\\n' >$folder/launch
     touch -d 2100-01-01 $folder/launch; echo forged; sleep 1000`,
  );
  await until("the forgery", async () => await job.output() === "forged\n");
  let isOver = false;
  void job.ended().then(() => isOver = true);
  const asOf = () => site.executor.statuses([job.request.jobId])[0]?.asOfMs ?? 0;
  const firstMs = asOf();
  await until("two answers of Slurm's that it runs", () => asOf() > firstMs + 2000);
  assert(!isOver, "the forged end was believed");
  await job.stop(1000);
  const ending = await job.ended();
  assert(ending.kind === "exited" && ending.endedAtMs <= Date.now(), JSON.stringify(ending));
});

test("links, pipes and devices in the place of a launch record are neither followed nor waited for", async () => {
  using log = new CapturedLog();
  const secret = join(cluster.folder, "secret");
  await Deno.writeTextFile(secret, "launcher 1 1 x\nnode secret-node\njob 1 1\nexit 7\nend\n", {
    mode: 0o600,
  });
  const forge = (how: string) =>
    Job.script(site, `cd ${site.sharedFolder}/jobs/$JOB_ID/node; rm launch; ${how}; sleep 1000`);
  await Promise.all([
    forge(`ln -s ${secret} launch`),
    forge("mkfifo launch"),
    forge("ln -s /dev/zero launch"),
    forge("truncate -s 1T launch"),
    forge("echo 'launcher 1 1 x' >other; ln other launch"),
  ]);
  const found = () => log.entries.flatMap((entry) => entry.found ?? []);
  await until("all to be found", () => found().length === 5);
  assert.deepEqual(found().sort(), [
    "a file of more than 65536 bytes",
    "a file with another name",
    "a symbolic link",
    "a symbolic link",
    "no regular file",
  ]);
  await cluster.run(["scancel", "--user=daemon", "--signal=KILL", "--full"]);
});

/** On the node, users may go through the folders above the share, which on the server's host is root's. */
const SHARE_ON_NODE =
  'mkdir "$2" && mount --bind "$1" "$2" && mount -t tmpfs -o mode=755 node "$3" && ' +
  'mkdir -p "$1" && mount --bind "$2" "$1"';

test("the compiled server runs each client's jobs as the user map says, and nobody else's", async () => {
  const folder = await Deno.makeTempDir({ dir: LOG_DIR, prefix: "users-" });
  const kept = join(cluster.folder, "kept");
  const mounted = await cluster.node(0).run([
    "sh",
    "-ec",
    SHARE_ON_NODE,
    "sh",
    folder,
    kept,
    LOG_DIR,
  ]);
  assert.equal(mounted.code, 0, mounted.stderr);
  const map = join(cluster.folder, "users");
  await Deno.writeTextFile(map, "name alice daemon,nobody\n", { mode: 0o600 });
  {
    const flags = ["--engine", "slurm", "--shared-dir", folder, "--slurm-conf", cluster.confFile];
    await using server = await TestServer.start({
      flags: [...flags, "--user-map", map, "--max-processes", "max"],
    });
    await server.pki.issue("carol", "writer");
    const ran = async (words: readonly string[], identity = "alice") => {
      const { code, stdout, stderr } = await server.cli(["run", ...words], identity);
      return [code, stdout, stderr] as const;
    };
    const script = 'id -un; echo "$WORD"; cat; exit 3';
    const asked = await Promise.all([
      ran(["--env", "WORD=word", "--", "sh", "-c", script]),
      ran(["--user", "nobody", "--", "id", "-un"]),
    ]);
    assert.deepEqual(asked.map(([code, stdout]) => [code, stdout]), [
      [3, "daemon\nword\n"],
      [0, "nobody\n"],
    ], JSON.stringify(asked));
    const [asBin, , whyNotBin] = await ran(["--user", "bin", "--", "id"]);
    assert.notEqual(asBin, 0);
    assert.match(whyNotBin, /alice may not run jobs as bin, only as daemon or nobody/);
    const [asCarol, , whyNotCarol] = await ran(["--", "id"], "carol");
    assert.notEqual(asCarol, 0);
    assert.match(whyNotCarol, /the server's user map \(--user-map\) has no line for "carol"/);
    await Deno.writeTextFile(map, "name alice daemon\nrole writer nobody\n");
    assert.deepEqual((await ran(["--", "id", "-un"], "carol")).slice(0, 2), [0, "nobody\n"]);
    // What a job has put in the place of its record is not followed by the binary, with its permissions.
    const forge = "cd $OWN/$JOB_ID/node && rm launch && ln -s /etc/passwd launch; sleep 1000";
    const own = `OWN=${join(folder, "jobs")}`;
    const started = await server.cli(["start", "--quiet", "--env", own, "--", "sh", "-c", forge]);
    assert.equal(started.code, 0, started.stderr);
    await until("the link to be found", () => server.log.includes('"found":"a symbolic link"'));
    await cluster.run(["scancel", "--user=daemon", "--signal=KILL", "--full"]);
  }
  await Deno.remove(folder, { recursive: true });
});
