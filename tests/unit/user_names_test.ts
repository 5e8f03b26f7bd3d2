/** Users that starts name by a uid. */
import { strict as assert } from "node:assert";
import { accountOf, readAccount } from "../../lib/executor/accounts.ts";
import { requireNoCluster } from "../../lib/model/queue.ts";
import { assertJobError } from "../support/job_errors.ts";
import { JobHost, requestOf } from "../support/job_host.ts";

Deno.test("withUserNamed: a uid becomes the name by which rules and launchers know the user", async () => {
  await using host = await JobHost.open();
  const nameOf = async (user: string) =>
    (await host.manager.withUserNamed(requestOf({ user }))).settings.user;
  assert.equal(await nameOf("33"), "www-data");
  assert.equal(await nameOf("0"), "root");
  assert.equal(await nameOf("www-data"), "www-data");
  await assertJobError(nameOf("700000"), "invalid", /host has no user for uid 700000/);
  await assertJobError(nameOf("34"), "invalid", /a user whose name no job can have for uid 34/);
});

Deno.test("withUserNamed: over a cluster the executor refuses users, by whatever they are named", async () => {
  await using host = await JobHost.open({}, { users: false });
  const request = requestOf({ user: "33" });
  assert.equal(await host.manager.withUserNamed(request), request);
});

Deno.test("readAccount: only an account with exactly this uid counts", () => {
  assert.equal(readAccount("user www-data:x:33:33:x:/:/bin/sh\n", 33), "www-data");
  assert.equal(readAccount("user 33:x:1005:33:x:/:/bin/sh\n", 33), undefined);
  assert.equal(readAccount("", 33), undefined);
  assert.equal(readAccount("missing mount\n", 33), undefined);
  assert.throws(() => readAccount("missing getent (busybox's cannot)\n", 33), /lacks the program/);
});

Deno.test("accountOf: asks this host", async () => {
  assert.equal(await accountOf(0), "root");
  assert.equal(await accountOf(4_294_967_294), undefined);
});

Deno.test("requireNoCluster: a host has nice(1), within what takes nothing from others", () => {
  for (const nice of [0, 19]) requireNoCluster({ nice });
  for (const nice of [-1, 20]) {
    assert.throws(() => requireNoCluster({ nice }), /nice value is 0 to 19/);
  }
  assert.throws(() => requireNoCluster({ nice: 5, qos: "high" }), /--qos needs a server over/);
});
