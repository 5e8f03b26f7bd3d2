/**
 * The service under systemd, installed by its script: in order, since there is one systemd, and each
 * test goes on from where the one before has left the service.
 */
import { strict as assert } from "node:assert";
import { run } from "../support/run.ts";
import { until } from "../support/wait.ts";
import { assertGone, processesOf } from "../support/job_traces.ts";
import { guestTest } from "./guest.ts";
import {
  assertUnnoticed,
  CONFIG,
  connect,
  JOBS,
  mainPid,
  processesIn,
  putCertificates,
  readProcess,
  startWaiting,
  stateOf,
  systemctl,
  untilQuiet,
  WORKER,
} from "./service.ts";

const INSTALL = "/opt/job-worker/deploy/install.sh";

function install(...args: string[]): ReturnType<typeof run> {
  return run(INSTALL, args);
}

/** What the journal has of the units. */
async function journal(): Promise<string> {
  const units = ["--unit", WORKER, "--unit", JOBS];
  return (await run("journalctl", [...units, "--output", "cat"])).stdout;
}

guestTest(
  "systemd, install: options that do not exist, or go with nothing, are a misuse",
  async () => {
    for (const args of [["--unknown"], ["--stop-jobs"], ["extra"]]) {
      const { code, stderr } = await install(...args);
      assert.equal(code, 2, args.join(" "));
      assert.match(stderr, /Usage:/);
    }
  },
);

guestTest(
  "systemd, install: without certificates all is in place, and what is missing is said",
  async () => {
    const { code, stdout, stderr } = await install();
    assert.equal(code, 1, stderr);
    assert.match(stdout, /not started: put ca\.crt server\.crt server\.key into \/etc\/job-worker/);
    assert.equal(await stateOf(WORKER), "inactive");
    assert.equal(await Deno.readTextFile(`${CONFIG}/limits/memory_limit.txt`), "1G\n");
    assert.equal(await systemctl("is-enabled", WORKER), "enabled");
  },
);

guestTest(
  "systemd, install: with a certificate of another key the service does not start",
  async () => {
    await putCertificates("bob.crt");
    const { code, stderr } = await install();
    assert.equal(code, 1);
    assert.match(stderr, /does not start: see journalctl -u job-worker/);
    const { stdout: journal } = await run("journalctl", ["--unit", WORKER, "--output", "cat"]);
    assert.match(journal, /worker-server: .*server\.key/);
  },
);

guestTest("systemd, install: the service takes calls when the script returns", async () => {
  await putCertificates("server.crt");
  const { code, stderr } = await install();
  assert.equal(code, 0, stderr);
  assert.equal(await stateOf(WORKER), "active");
  assert.equal((await Deno.stat(`${CONFIG}/server.key`)).mode! & 0o777, 0o600);
  using client = await connect();
  const jobId = await client.shell("echo hello");
  assert.equal((await client.wait(jobId)).exitCode, 0);
  assert.equal(await client.text(jobId), "hello\n");
});

guestTest(
  "systemd, units: only the server and its shell for signals are in the server's group",
  async () => {
    using client = await connect();
    const jobId = await client.shell("sleep 600");
    const { pid } = await client.query(jobId);
    await untilQuiet();
    assert((await processesIn(`${JOBS}/jobs/${jobId}`)).includes(String(pid)));
    await until("the launcher, and the copier of the output", async () => {
      const beside = await processesIn(`${JOBS}/jobs/launchers`);
      const names = await Promise.all(beside.map((pid) => readProcess(pid, "comm")));
      return names.sort().join("") === "cat\nsh\nsh\n";
    });
    await client.stop(jobId, 0);
  },
);

guestTest("systemd, restart: a job does not notice", async () => {
  const before = await mainPid();
  await assertUnnoticed(() => systemctl("restart", WORKER));
  assert.notEqual(await mainPid(), before);
});

guestTest(
  "systemd, stop and start: a job does not notice, nor one that ends in between",
  async () => {
    let ended = "";
    await assertUnnoticed(async () => {
      using client = await connect();
      ended = await startWaiting(client, "/run/other");
      await systemctl("stop", WORKER);
      await Deno.writeTextFile("/run/other", "");
      await until("the job to end", async () => (await processesOf(ended)).length === 0);
      await systemctl("start", WORKER);
    });
    using client = await connect();
    assert.equal((await client.query(ended)).exitCode, 9);
  },
);

guestTest(
  "systemd, kill -9: systemd starts the next server, and a job does not notice",
  async () => {
    await assertUnnoticed(async () => {
      const before = await mainPid();
      Deno.kill(before, "SIGKILL");
      await until("another server", async () => {
        return await stateOf(WORKER) === "active" && await mainPid() !== before;
      });
    });
  },
);

guestTest("systemd, reload: a reload of the service leaves the server running", async () => {
  const before = await mainPid();
  await systemctl("reload", WORKER);
  assert.equal(await mainPid(), before);
  using client = await connect();
  assert.equal((await client.wait(await client.shell("exit 3"))).exitCode, 3);
});

guestTest("systemd, reload: reloaded and executed anew, a job does not notice", async () => {
  await assertUnnoticed(async () => {
    await systemctl("daemon-reload");
    await systemctl("daemon-reexec");
    await systemctl("restart", WORKER);
  });
});

guestTest(
  "systemd, install: an upgrade goes unnoticed by a job, and keeps what was edited",
  async () => {
    await Deno.writeTextFile(`${CONFIG}/limits/memory_limit.txt`, "64M\n");
    await assertUnnoticed(async () => {
      const { code, stderr } = await install();
      assert.equal(code, 0, stderr);
    });
    assert.equal(await Deno.readTextFile(`${CONFIG}/limits/memory_limit.txt`), "64M\n");
  },
);

guestTest(
  "systemd, units: a job that runs out of memory concerns neither the others nor the server",
  async () => {
    const before = await mainPid();
    await assertUnnoticed(async () => {
      using client = await connect();
      const jobId = await client.shell("head -c 200M /dev/zero | tail -c 150M >/dev/null");
      const status = await client.wait(jobId);
      assert.deepEqual([status.oomKilled, status.exitCode], [true, 137]);
    });
    assert.equal(await stateOf(JOBS), "active");
    assert.equal(await mainPid(), before);
  },
);

guestTest(
  "systemd, journal: has the server's log, and nothing about processes that were left over",
  async () => {
    const text = await journal();
    assert.match(text, /^\{.*"message":"ready"/m, "priorities are not for the journal's text");
    const told = text.split("\n").filter((line) =>
      /left-?over|remains running|Unknown (key|lvalue)|busy/i.test(line)
    );
    assert.deepEqual(told, []);
  },
);

guestTest(
  "systemd, jobs' unit: stopping it ends every job, and how each ended is on record",
  async () => {
    let jobId: string;
    {
      using client = await connect();
      // A shell that has just forked hears the signal of its child, too, which shares its memory until exec.
      jobId = await client.shell(
        "trap 'trap : TERM; echo told; exit 4' TERM; echo ready; while :; do sleep 0.1; done",
      );
      await client.untilOutput(jobId, /ready/);
    }
    await systemctl("stop", JOBS);
    assert.equal(await stateOf(WORKER), "inactive", await journal());
    await assertGone(jobId);
    await systemctl("start", WORKER);
    using client = await connect();
    const status = await client.query(jobId);
    assert.deepEqual([status.state, status.exitCode], ["JOB_STATE_EXITED", 4]);
    assert.match(await client.text(jobId), /^ready\n(?:Terminated\n)?told\n$/);
  },
);

guestTest(
  "systemd, uninstall: is refused while a job runs, and then leaves records and settings",
  async () => {
    let jobId: string;
    {
      using client = await connect();
      jobId = await client.shell("sleep 600");
    }
    const refused = await install("--uninstall");
    assert.equal(refused.code, 1);
    assert(refused.stderr.includes(jobId), refused.stderr);
    assert.equal(await stateOf(WORKER), "active");
    const removed = await install("--uninstall", "--stop-jobs");
    assert.equal(removed.code, 0, removed.stderr);
    await assertGone(jobId);
    for (const gone of ["/usr/local/bin/worker-server", `/etc/systemd/system/${WORKER}`]) {
      await assert.rejects(Deno.stat(gone), Deno.errors.NotFound);
    }
    await Deno.stat(`${CONFIG}/server.key`);
    await Deno.stat("/var/log/job-worker/jobs.db");
  },
);
