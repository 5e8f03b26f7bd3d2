/** The last test of the first boot: leaves a server and a job running. The guest then reboots. */
import { strict as assert } from "node:assert";
import { guestTest, startServer } from "./guest.ts";
import { currentBootId, REBOOT_LOG_DIR, writeNotes } from "./reboot.ts";

guestTest("reboot: a job runs when the host goes down", async () => {
  // Not disposed of: the server and the job are to be there when the host goes down.
  const server = await startServer({ logDir: REBOOT_LOG_DIR });
  const client = server.client();
  const exited = await client.shell("echo fine");
  const failed = await client.shell("echo broken; exit 6");
  const running = await client.shell("seq 1 1000; sleep 600");
  await client.wait(exited);
  await client.wait(failed);
  await client.untilOutput(running, /^1000$/m);
  const status = await client.query(running);
  assert.equal(status.state, "JOB_STATE_RUNNING");
  const bootId = await currentBootId();
  await writeNotes({ bootId, running, exited, failed, runningPid: status.pid });
});
