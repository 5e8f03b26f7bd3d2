/** What a job of another user can get hold of while jobs of the same user are started. */
// Attacks: jobs' starts, by processes of the same user.
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { assertStatus, type TestClient } from "../support/client.ts";
import { assertNothingStarted, endOf, lacksPerl } from "../support/job_traces.ts";
import { TestServer } from "../support/server.ts";
import { testUnless } from "../support/skip.ts";

/** A user that every Debian has, and that owns nothing. */
const USER = "nobody";

/**
 * Takes every descriptor of every process of its user (pidfd_open(2), pidfd_getfd(2)), again and again,
 * and prints each path below its first argument, but for outputs and inputs of jobs, and each pipe that
 * is not a standard one. Whatever it takes it writes an end into. Ends when the job is told to.
 */
const THIEF = String.raw`
  my ($folder) = @ARGV;
  my ($ended, %seen, %told) = (0);
  $| = 1;
  $SIG{TERM} = sub { $ended = 1 };
  print "up\n";
  until ($ended) {
    for my $process (grep { $_ != $$ && (stat "/proc/$_")[4] == $> } map { m{(\d+)$} } glob "/proc/[0-9]*") {
      my $pidfd = syscall(434, $process + 0, 0);
      next if $pidfd < 0;
      for my $number (0 .. 20) {
        my $taken = syscall(438, $pidfd, $number, 0);
        next if $taken < 0;
        $seen{$process} = 1;
        my $target = readlink("/proc/self/fd/$taken") // "";
        my $is_mine = $number < 3 && $target =~ /^pipe:/ || $target =~ m{/(output|input)$};
        if (!$is_mine && ($target =~ /^pipe:/ || index($target, $folder) == 0)) {
          print "took $number $target\n" unless $told{"$number $target"}++;
          my $text = "exit 0\nend\nended\n";
          syscall(1, $taken, $text, length $text);
        }
        syscall(3, $taken);
      }
      syscall(3, $pidfd);
    }
  }
  print "looked at ", scalar(keys %seen), "\n";
`;

testUnless(
  Deno.build.arch === "x86_64"
    ? await lacksPerl()
    : "the numbers of its system calls are of x86-64",
  {
    name:
      "Start: a job's processes cannot take the launch record or the report of their user's jobs",
    fn: async () => {
      await using server = await TestServer.start();
      const client = server.client();
      const thief = await client.startWith({
        name: "perl",
        args: ["-e", THIEF, server.logDir],
        user: USER,
      });
      await client.untilOutput(thief, /up/);
      const isolations = [undefined, { privateTmp: true }, { ownProcesses: true }];
      const jobs = Array.from({ length: 15 }, (_, index) => isolations[index % isolations.length]);
      await Promise.all(jobs.map(async (isolation) => {
        const request = { user: USER, env: { "A.B": "x" }, ...(isolation && { isolation }) };
        const id = await client.script("sleep 0.02; exit 7", request);
        const { exitCode, state } = await endOf(client, id);
        assert.deepEqual([state, exitCode], ["JOB_STATE_EXITED", 7]);
      }));
      await client.stop(thief);
      const text = await client.text(thief);
      assert.doesNotMatch(text, /took/);
      const looked = Number(/looked at (\d+)/.exec(text)?.[1]);
      assert(looked >= 10, `it got hold of ${looked} processes only`);
    },
  },
);

Deno.test("--owner-uids: jobs of different owners cannot signal or look into each other, and keep their uid", async () => {
  await using server = await TestServer.start({ flags: ["--owner-uids", "700000-700001"] });
  await server.pki.issue("carol", "writer");
  const [alice, other] = [server.client("alice"), server.client("carol")];
  const victim = await alice.script("sleep 600", { env: { TOKEN: "secret" } });
  const { pid, user } = await alice.query(victim);
  assert.equal(user, "700000");
  const spy = await other.script(
    `id -u; id -G; echo "$USER $HOME"; kill -9 ${pid} && echo KILLED; cat /proc/${pid}/environ; ` +
      `grep NoNewPrivs /proc/self/status; exit 0`,
  );
  await endOf(other, spy);
  const text = await other.text(spy);
  assert.match(text, /^700001\n700001\n700001 \/\n/);
  assert.match(text, /NoNewPrivs:\t1/);
  assert.doesNotMatch(text, /KILLED|secret/);
  await alice.stop(victim, 0);
  await server.end();
  await server.launch();
  const carol = server.client("carol");
  const again = await carol.script("id -u");
  await endOf(carol, again);
  assert.equal(await carol.text(again), "700001\n");
});

Deno.test("Start: --user does not tell of files that the user cannot see", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const hidden = join(server.folder, "hidden");
  await Deno.chmod(server.folder, 0o755);
  await Deno.mkdir(hidden, { mode: 0o700 });
  await Deno.writeTextFile(join(hidden, "program"), "#!/bin/sh\necho run\n", { mode: 0o755 });
  await Deno.writeTextFile(join(hidden, "plain"), "x");
  for (const [name, line] of [["broken", "/no/such"], ["env", "/usr/bin/env no-such"]]) {
    await Deno.writeTextFile(join(hidden, name!), `#!${line}\n`, { mode: 0o755 });
    await Deno.writeTextFile(join(server.folder, name!), `#!${line}\n`, { mode: 0o755 });
  }
  await Deno.writeTextFile(join(server.folder, "look"), "#!/usr/bin/env program\n", {
    mode: 0o755,
  });
  const refusal = (request: Parameters<TestClient["startWith"]>[0]) =>
    assertStatus(client.startWith({ user: USER, ...request }), status.INVALID_ARGUMENT);
  for (const name of ["program", "plain", "absent", "broken", "env"]) {
    const { details } = await refusal({ name: join(hidden, name) });
    assert.match(details, /no such program on the server, or its user may not see it/, name);
    const byPath = await refusal({ name, env: { PATH: hidden } });
    assert.match(byPath.details, /no such program/, name);
  }
  // What is wrong with a program is told to who may run it, and found as that user.
  const told = (name: string) =>
    refusal({ name: join(server.folder, name), env: { PATH: hidden } });
  assert.match((await told("broken")).details, /names the interpreter "\/no\/such"/);
  assert.match((await told("env")).details, /has env look for "no-such"/);
  assert.match((await told("look")).details, /has env look for "program"/);
  const absent = await refusal({ name: "true", workingDirectory: join(hidden, "absent") });
  const folder = await refusal({ name: "true", workingDirectory: hidden });
  assert.equal(folder.details, absent.details);
  // What only root may execute is not executable for the user.
  const own = join(server.folder, "own");
  await Deno.writeTextFile(own, "#!/bin/sh\necho run\n");
  await Deno.chmod(own, 0o744);
  assert.match((await refusal({ name: own })).details, /not executable/);
  await assertNothingStarted(server);
});

Deno.test("Start: a job's variables may have any name, also those that mean something to shells", async () => {
  await using server = await TestServer.start();
  const client = server.client();
  const names = ["UID", "IFS", "OPTIND", "PPID", "SHELLOPTS", "a.b", "a-b", "é", "job_worker_user"];
  const env = Object.fromEntries(names.map((name) => [name, "abc"]));
  for (const user of ["", USER]) {
    const id = await client.startWith({ name: "env", args: ["-0"], env, user });
    assert.equal((await endOf(client, id)).exitCode, 0);
    const found = (await client.text(id)).split("\0");
    assert.deepEqual(names.filter((name) => !found.includes(`${name}=abc`)), [], user);
  }
});
