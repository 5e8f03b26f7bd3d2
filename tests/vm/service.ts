/** The service under systemd, as tests ask for it in the guest. */
import { strict as assert } from "node:assert";
import { TestClient } from "../support/client.ts";
import { assertGone, processesOf } from "../support/job_traces.ts";
import { testPki } from "../support/pki.ts";
import { run } from "../support/run.ts";
import { until } from "../support/wait.ts";
import { CGROUP_ROOT } from "./guest.ts";

/** Where settings and certificates are. */
export const CONFIG = "/etc/job-worker";
/** The unit of the server. */
export const WORKER = "job-worker.service";
/** The unit of the jobs. */
export const JOBS = "job-worker-jobs.service";
const ADDRESS = "localhost:50051";

/** Asks systemd for something that it has to do; returns what it prints. */
export async function systemctl(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run("systemctl", args);
  assert.equal(code, 0, `systemctl ${args.join(" ")}: ${stderr}`);
  return stdout.trim();
}

/** The state of a unit in systemd's words; an inactive unit is not an error. */
export async function stateOf(unit: string): Promise<string> {
  return (await run("systemctl", ["is-active", unit])).stdout.trim();
}

/** The process id of the server; 0 when none runs. */
export async function mainPid(): Promise<number> {
  return Number(await systemctl("show", "--property", "MainPID", "--value", WORKER));
}

/** The processes of a unit's control group, or of one below it. */
export async function processesIn(group: string): Promise<string[]> {
  const text = await Deno.readTextFile(`${CGROUP_ROOT}/system.slice/${group}/cgroup.procs`);
  return text.split("\n").filter((line) => line !== "");
}

/** A file of a process; empty when it has ended. */
export function readProcess(pid: string, name: "cmdline" | "comm"): Promise<string> {
  return Deno.readTextFile(`/proc/${pid}/${name}`).catch(() => "");
}

/** Waits until nothing is in the service's group but the server, and its shells for signals and counters. */
export async function untilQuiet(): Promise<void> {
  const server = String(await mainPid());
  await until("only the server and the shells that it keeps in the server's group", async () => {
    const others = (await processesIn(WORKER)).filter((other) => other !== server);
    const shells = await Promise.all(others.map((pid) => readProcess(pid, "cmdline")));
    return shells.every((shell) => /\0job-worker-(?:signals|counters)\0/.test(shell));
  });
}

/** A new connection to the service, which has to take calls at once. */
export async function connect(): Promise<TestClient & Disposable> {
  const pki = await testPki();
  const [ca, cert, key] = await Promise.all(
    ["ca.crt", "alice.crt", "alice.key"].map((name) => Deno.readTextFile(pki.file(name))),
  );
  const client = new TestClient(ADDRESS, { ca: ca ?? "", cert: cert ?? "", key: key ?? "" });
  return Object.assign(client, { [Symbol.dispose]: () => client.raw.close() });
}

/**
 * Starts a job that runs until something is written into the pipe `go`, which is made; what it writes
 * and how it exits is known. It sleeps meanwhile: one that looks again and again takes an emulated
 * processor half of its time.
 */
export async function startWaiting(client: TestClient, go: string): Promise<string> {
  await Deno.remove(go).catch(() => {}); // A test that failed has left it.
  const { code, stderr } = await run("mkfifo", [go]);
  assert.equal(code, 0, stderr);
  const script = 'echo begun; : <"$1"; echo done; exit 9';
  const jobId = await client.shell(script, go);
  await client.untilOutput(jobId, /begun/);
  return jobId;
}

/** Lets a job of {@linkcode startWaiting} go on, and asserts that it ends as it should. */
export async function assertWhole(jobId: string, go: string): Promise<void> {
  using client = await connect();
  assert.equal((await client.query(jobId)).state, "JOB_STATE_RUNNING");
  await Deno.writeTextFile(go, "");
  const status = await client.wait(jobId);
  assert.deepEqual([status.state, status.exitCode], ["JOB_STATE_EXITED", 9]);
  assert.equal(await client.text(jobId), "begun\ndone\n");
  await assertGone(jobId);
  await Deno.remove(go);
}

/** Does something to the service while a job runs, and asserts that the job does not notice. */
export async function assertUnnoticed(act: () => Promise<unknown>): Promise<void> {
  const go = "/run/go";
  using client = await connect();
  const jobId = await startWaiting(client, go);
  const { pid } = await client.query(jobId);
  // systemd tells of a script that is left over.
  await untilQuiet();
  await act();
  assert((await processesOf(jobId)).includes(pid), "the job's process is gone");
  await assertWhole(jobId, go);
}

/** What {@linkcode putCertificates} puts there, in order. */
export const CERTIFICATE_FILES = ["ca.crt", "server.crt", "server.key"];

/** Puts the CA's certificate, one of the certificates, and the server's key where the server looks. */
export async function putCertificates(certificate: string): Promise<void> {
  const pki = await testPki();
  await Deno.copyFile(pki.file("ca.crt"), `${CONFIG}/ca.crt`);
  await Deno.copyFile(pki.file(certificate), `${CONFIG}/server.crt`);
  await Deno.copyFile(pki.file("server.key"), `${CONFIG}/server.key`);
}
