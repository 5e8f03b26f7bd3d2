import { strict as assert } from "node:assert";
import { JobError } from "../../lib/errors.ts";
import { NOTHING } from "../support/asked_nothing.ts";
import {
  type AskedSettings,
  DEFAULT_SETTINGS,
  readSettings,
  readSignal,
  userText,
} from "../../lib/model/settings.ts";
import { looksLikeId } from "../../common/job_id.ts";

function assertRefused(asked: Partial<AskedSettings>, message: RegExp): void {
  assert.throws(() => readSettings({ ...NOTHING, ...asked }, "root"), (error) => {
    assert(error instanceof JobError, JSON.stringify(asked));
    assert.equal(error.kind, "invalid");
    assert.match(error.message, message);
    assert(!/\p{Cc}/u.test(error.message), "a control character is in the message");
    return true;
  }, JSON.stringify(asked).slice(0, 200));
}

Deno.test("readSettings: nothing asked for is the default, as the server's user", () => {
  assert.deepEqual(readSettings(NOTHING, "root").settings, DEFAULT_SETTINGS);
  assert.equal(readSettings(NOTHING, "worker").settings.user, "worker");
});

Deno.test("readSettings: everything that is asked for is kept, secrets apart", () => {
  const { settings, secrets } = readSettings({
    ...NOTHING,
    env: { A: "secret" },
    workingDirectory: "/srv",
    user: "www-data",
    timeoutMs: 5,
    isolation: { privateTmp: true, noNetwork: false, ownProcesses: true },
    stopSignal: "sigint",
    title: "a.b-c_1",
    labels: { "team/x": "" },
    stdin: new TextEncoder().encode("input"),
    gracePeriodMs: 0,
    umask: 0,
    separateStderr: true,
  }, "root");
  const { secretsDigest, ...rest } = settings;
  assert.deepEqual(rest, {
    user: "www-data",
    workingDirectory: "/srv",
    umask: 0,
    timeoutMs: 5,
    stopSignal: "INT",
    graceMs: 0,
    isolation: { privateTmp: true, noNetwork: false, ownProcesses: true },
    title: "a.b-c_1",
    labels: { "team/x": "" },
    separateStderr: true,
  });
  assert.match(secretsDigest, /^[0-9a-f]{64}$/);
  assert(!JSON.stringify(settings).includes('secret"'));
  assert.deepEqual(secrets.environment, { A: "secret" });
});

Deno.test("readSettings: the digest differs for other secrets, and not for another order", () => {
  const digest = (env: Record<string, string>, stdin = new Uint8Array()) =>
    readSettings({ ...NOTHING, env, stdin }, "root").settings.secretsDigest;
  assert.equal(digest({ A: "1", B: "2" }), digest({ B: "2", A: "1" }));
  const digests = [
    digest({ A: "1" }),
    digest({ A: "2" }),
    digest({ B: "1" }),
    digest({}, Uint8Array.of(1)),
    digest({ A: "1" }, Uint8Array.of(1)),
    digest({}),
  ];
  assert.equal(new Set(digests).size, digests.length);
});

Deno.test("readSettings: names that a kernel file, a shell or a log line could misread are refused", () => {
  for (
    const user of [
      "-root",
      "a b",
      "../x",
      "a/b",
      "a:",
      ":b",
      "a:b:c",
      "a: b",
      "a:b/c",
      "a\nb",
      "$(id)",
      "1000:1000:1000",
      "x".repeat(65),
    ]
  ) {
    assertRefused({ user }, /is not a valid user: expected a name or a uid/);
  }
  // No way to write a uid that is another one, or root's, to the kernel.
  for (
    const user of ["00", "01", "-1", "+1", " 1", "1 ", "0x1", "1e3", "4294967295", "4294967296"]
  ) {
    assertRefused({ user }, /is not a valid user/);
    assertRefused({ user: `nobody:${user}` }, /is not a valid user/);
    assertRefused({ user: `${user}:nogroup` }, /is not a valid user/);
  }
  for (const text of ["nobody:docker", "1000:1000"]) {
    const { settings } = readSettings({ ...NOTHING, user: text }, "root");
    assert.deepEqual([settings.user, settings.group], text.split(":"));
    assert.equal(userText(settings), text);
  }
  for (const user of ["0", "1000", "4294967294"]) {
    assert.equal(readSettings({ ...NOTHING, user }, "root").settings.user, user);
  }
  for (
    const title of ["-x", ".x", "a/b", "a\nb", "a\0", "ä", "x".repeat(65), "0123abcd", "0123abcd-"]
  ) {
    assertRefused({ title }, /is not a valid job name/);
  }
  for (const name of ["", "-a", "a b", "a=b", 'a"b', "x".repeat(64)]) {
    assertRefused({ labels: { [name]: "x" } }, /is not a valid label name/);
  }
  for (const value of ["\n", "\x1b[2J", "\u0085", "x".repeat(257)]) {
    assertRefused({ labels: { a: value } }, /label a has control characters/);
  }
  for (const name of ["", "A=B", "=", "A\0B"]) {
    assertRefused({ env: { [name]: "x" } }, /is not a name of an environment variable/);
  }
  assertRefused({ env: { JOB_ID: "x" } }, /JOB_ID is the server's to set/);
  for (const workingDirectory of ["x", "./x", "~", "/a\0b", "/a\nb", `/${"x".repeat(4095)}`]) {
    assertRefused({ workingDirectory }, /working directory/);
  }
});

Deno.test("readSettings: every name that the kernel takes is a variable's", () => {
  const names = ["1A", "A B", "A.B", "A-B", "Ä", "A;id", "\n", "IFS", "PPID", "job_worker_enter"];
  const env = Object.fromEntries(names.map((name) => [name, name]));
  assert.deepEqual(readSettings({ ...NOTHING, env }, "root").secrets.environment, env);
});

Deno.test("readSettings: too much is refused with the bound", () => {
  const many = (count: number, value: string) =>
    Object.fromEntries(Array.from({ length: count }, (_, index) => [`N${index}`, value]));
  assertRefused({ env: many(1001, "") }, /more than 1000 environment variables/);
  assertRefused({ env: many(6, "x".repeat(100_000)) }, /above 512 KiB/);
  assertRefused({ env: { A: "ä".repeat(70_000) } }, /"A" is above 127 KiB/);
  assertRefused({ labels: many(33, "") }, /more than 32 labels/);
  assertRefused({ stdin: new Uint8Array(2 ** 21 + 1) }, /above 2 MiB/);
  assertRefused({ timeoutMs: 1e12 }, /above ten years/);
  assertRefused({ gracePeriodMs: 3_600_001 }, /above an hour/);
  assertRefused({ umask: 512 }, /umask/);
  assertRefused({ openFiles: 63 }, /a limit of 63 open files is below 64/);
  assert.equal(readSettings({ ...NOTHING, openFiles: 64 }, "root").settings.openFiles, 64);
});

Deno.test("readSettings: no message repeats a variable's value", () => {
  for (
    const env of [{ A: "top-secret\0" }, { "A=B": "top-secret" }, {
      A: "top-secret".repeat(20_000),
    }]
  ) {
    assert.throws(() => readSettings({ ...NOTHING, env }, "root"), (error) => {
      assert(error instanceof JobError && !error.message.includes("top-secret"));
      return true;
    });
  }
});

Deno.test("readSignal: takes the names of signal(7), and nothing else", () => {
  assert.equal(readSignal("TERM"), "TERM");
  assert.equal(readSignal("SIGUSR1"), "USR1");
  assert.equal(readSignal("winch"), "WINCH");
  for (const name of ["", "SIG", "15", "TERM ", "SIGSIGTERM", "EXIT", "0", "toString"]) {
    assert.throws(() => readSignal(name), /is not a signal that can be sent/);
  }
  for (const stopSignal of ["STOP", "SIGCONT"]) assertRefused({ stopSignal }, /does not end a job/);
});

Deno.test("looksLikeId: the first group of an id, alone or with more of it", () => {
  for (const text of ["0123abcd", "0123abcd-", "0123abcd-12"]) assert(looksLikeId(text), text);
  for (const text of ["backup", "abc", "0123abcg", "0123abcde", "ABCDEF01"]) {
    assert(!looksLikeId(text), text);
  }
});

Deno.test("readSettings: a message repeats no control character, DEL and C1 neither", () => {
  for (const text of ["\u007f", "\u0080", "\u009b31m", "\x1b[2J"]) {
    assertRefused({ user: text }, /is not a valid user/);
    assertRefused({ env: { [text]: "\0" } }, /contains a NUL byte/);
    assertRefused({ title: text }, /is not a valid job name/);
    assertRefused({ stopSignal: text }, /is not a signal/);
  }
});

Deno.test("readSettings: what is asked of a queue is kept, and a start that asks for nothing has none", () => {
  const queue = {
    partition: "main,night",
    account: "physics",
    qos: "high",
    nice: -5,
    cpus: 4,
    gpus: "a100:2",
    constraint: "(intel&avx2)|amd",
    beginAtMs: 1_700_000_000_000,
    after: ["nightly"],
  };
  assert.deepEqual(readSettings({ ...NOTHING, ...queue }, "root").settings.queue, queue);
  assert.deepEqual(readSettings({ ...NOTHING, nice: 0 }, "root").settings.queue, { nice: 0 });
  assert(!("queue" in readSettings(NOTHING, "root").settings));
});

Deno.test("readSettings: what an engine's command could misread is refused", () => {
  for (
    const text of ["-p", "--wrap=x", "a b", "a\nb", "a\0b", "a;b", "$(x)", "x".repeat(257), "ä"]
  ) {
    assertRefused({ partition: text }, /is not a valid partition/);
    assertRefused({ account: text }, /is not a valid account/);
    assertRefused({ qos: text }, /is not a valid qos/);
    assertRefused({ constraint: text }, /is not a valid constraint/);
  }
  for (const gpus of ["0", "x", "a:b:1", "1 2", "-1", "tesla:", "12345"]) {
    assertRefused({ gpus }, /is not a number of GPUs: expected a number, or TYPE:NUMBER/);
  }
  assertRefused({ nice: 2 ** 31 - 1 }, /a nice value is at most/);
  assertRefused({ cpus: 65_536 }, /--cpus is above 65535/);
  assertRefused({ beginAtMs: -1 }, /years 1970 to 9999/);
  assertRefused({ beginAtMs: 253_402_300_800_000 }, /years 1970 to 9999/);
  assertRefused({ after: Array(33).fill("a") }, /more than 32 jobs/);
  for (const name of ["", "x".repeat(65)]) {
    assertRefused({ after: [name] }, /not a job's id or name/);
  }
});

Deno.test("readSettings: an input that comes later is none that comes with the start, and of no job that waits", () => {
  assert.equal(readSettings({ ...NOTHING, openStdin: true }, "root").settings.openStdin, true);
  assertRefused(
    { openStdin: true, stdin: new Uint8Array(1) },
    /either sent with the start or while/,
  );
  for (const queue of [{ queue: "builds" }, { after: ["nightly"] }, { beginAtMs: 1 }]) {
    assertRefused({ openStdin: true, ...queue }, /a job that waits for its turn cannot be sent/);
  }
});
