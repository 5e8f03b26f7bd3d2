/** Users that starts name by a uid, and groups. */
import { strict as assert } from "node:assert";
import { accountOf, groupOf, readAccount, readGroup } from "../../lib/executor/accounts.ts";
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

Deno.test("withUserNamed: a group is there, has a name, and it is known whether its user is in it", async () => {
  await using host = await JobHost.open();
  const named = async (user: string, group: string) => {
    const { settings, isOfItsGroup } = await host.manager.withUserNamed(requestOf({ user, group }));
    return [settings.user, settings.group, isOfItsGroup];
  };
  assert.deepEqual(await named("nobody", "65534"), ["nobody", "nogroup", true]);
  assert.deepEqual(await named("33", "nogroup"), ["www-data", "nogroup", undefined]);
  assert.deepEqual(await named("nobody", "999"), ["nobody", "docker", undefined]);
  await assertJobError(named("nobody", "absent"), "invalid", /host has no group "absent"/);
  for (const root of ["root", "0"]) {
    await assertJobError(named(root, "docker"), "invalid", /leave the group out/);
  }
});

Deno.test("readGroup: only exactly this group counts, and only the host says who is in it", () => {
  const read = (printed: string, group: string) => readGroup(printed, { user: "ann", group });
  const printed = "group docker:x:999:ann,bob\nmember 1000 33\n";
  assert.deepEqual(read(printed, "docker"), { name: "docker", hasUser: false });
  assert.deepEqual(read("group docker:x:999:\nmember 1000 999\n", "999"), {
    name: "docker",
    hasUser: true,
  });
  assert.deepEqual(read("group docker:x:9:\nmember 1000 999\n", "docker")?.hasUser, false);
  assert.equal(read(printed, "99"), undefined);
  assert.equal(read("group 999:x:5:\nmember 5\n", "5555"), undefined);
  assert.equal(read("member 1000\n", "docker"), undefined);
  assert.throws(() => read("group docker:x:999:\n", "docker"), /has no user "ann"/);
  assert.throws(() => read("missing getent (busybox's cannot)\n", "x"), /lacks the program getent/);
});

Deno.test("groupOf: asks this host", async () => {
  assert.deepEqual(await groupOf("nobody", "65534"), { name: "nogroup", hasUser: true });
  assert.deepEqual(await groupOf("nobody", "root"), { name: "root", hasUser: false });
  assert.equal(await groupOf("nobody", "4294967294"), undefined);
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
