/** The second boot of the same disk: what became of the first one's jobs. */
import { strict as assert } from "node:assert";
import { assertStatus } from "../support/client.ts";
import { guestTest, runJob, startServer } from "./guest.ts";
import { currentBootId, readNotes, REBOOT_LOG_DIR } from "./reboot.ts";

const FAILED_PRECONDITION = 9;

guestTest("reboot: a job that ran is LOST with its output so far, never a success", async () => {
  const notes = await readNotes();
  assert.notEqual(await currentBootId(), notes.bootId);
  await using server = await startServer({ logDir: REBOOT_LOG_DIR });
  const client = server.client();
  const status = await client.query(notes.running);
  assert.equal(status.state, "JOB_STATE_LOST");
  assert.equal(status.exited, true);
  assert.equal(status.exitCode, -1);
  assert.equal(status.pid, notes.runningPid);
  assert.match(status.reason, /host went down/);
  const lines = Array.from({ length: 1000 }, (_, index) => `${index + 1}\n`).join("");
  assert.equal(await client.text(notes.running), lines);
  await assertStatus(client.stop(notes.running), FAILED_PRECONDITION, /lost/);
});

guestTest("reboot: jobs that had ended keep how they ended and what they wrote", async () => {
  const notes = await readNotes();
  await using server = await startServer({ logDir: REBOOT_LOG_DIR });
  const client = server.client();
  const exited = await client.query(notes.exited);
  assert.deepEqual([exited.state, exited.exitCode], ["JOB_STATE_EXITED", 0]);
  assert.equal(await client.text(notes.exited), "fine\n");
  const failed = await client.query(notes.failed);
  assert.deepEqual([failed.state, failed.exitCode], ["JOB_STATE_EXITED", 6]);
  assert.equal(await client.text(notes.failed), "broken\n");
});

guestTest("reboot: new jobs run as before", async () => {
  await using server = await startServer({ logDir: REBOOT_LOG_DIR, limits: { memory: "64M" } });
  const { status, text } = await runJob(server.client(), "echo again");
  assert.equal(status.exitCode, 0);
  assert.equal(text, "again\n");
});
