/** Bounds on what users may take: who is over one hears its name, and nobody else feels it. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { assertStatus, testPki, TestServer } from "./harness.ts";

let eveIssued: Promise<void> | undefined;

/** Another writer; her key is made once. */
function issueEve(): Promise<void> {
  return eveIssued ??= testPki().then((pki) => pki.issue("eve", "writer"));
}

const FLAGS = ["--max-jobs", "5", "--max-jobs-per-user", "3"];

Deno.test("bounds: a user's jobs at once, many starts at the same time included", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: FLAGS });
  const [alice, eve] = [server.client("alice"), server.client("eve")];
  const starts = await Promise.allSettled(
    Array.from({ length: 20 }, () => eve.start("sleep", "1000")),
  );
  const jobs = starts.flatMap((start) => start.status === "fulfilled" ? [start.value] : []);
  assert.equal(jobs.length, 3);
  for (const start of starts) {
    if (start.status === "fulfilled") continue;
    assert.equal(start.reason.code, status.RESOURCE_EXHAUSTED);
    assert.match(start.reason.details, /eve has 3 jobs running, .* --max-jobs-per-user allows/);
  }
  // Others are not concerned, and neither are jobs that end.
  assert.equal((await alice.wait(await alice.start("true"))).exitCode, 0);
  const [first = ""] = jobs;
  await eve.stop(first, 0);
  await eve.start("sleep", "1000");
  await assertStatus(eve.start("true"), status.RESOURCE_EXHAUSTED, /--max-jobs-per-user/);
});

Deno.test("bounds: all jobs at once, and the next server counts those it finds", async () => {
  await issueEve();
  await using server = await TestServer.start({ flags: FLAGS });
  const [alice, eve] = [server.client("alice"), server.client("eve")];
  for (const client of [alice, alice, alice, eve, eve]) await client.start("sleep", "1000");
  await assertStatus(eve.start("true"), status.RESOURCE_EXHAUSTED, /5 jobs .* --max-jobs allows/);
  await server.end("SIGKILL");
  await server.launch();
  const again = server.client("eve");
  await assertStatus(again.start("true"), status.RESOURCE_EXHAUSTED, /--max-jobs allows/);
});

Deno.test("bounds: a start that fails takes no place", async () => {
  await using server = await TestServer.start({ flags: ["--max-jobs", "1"] });
  const client = server.client();
  for (let time = 0; time < 3; time++) {
    await assertStatus(client.start("/nonexistent"), status.INVALID_ARGUMENT);
  }
  assert.equal((await client.wait(await client.start("true"))).exitCode, 0);
});
