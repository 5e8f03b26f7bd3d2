/** What every executor holds, case by case; what one cannot do it passes over, by its capabilities. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { JobError } from "../../lib/errors.ts";
import type { Capabilities } from "../../lib/executor.ts";
import { InputFolder } from "../../lib/input/folder.ts";
import { HeldInput } from "../../lib/input/held_input.ts";
import { isSettled } from "../support/settled.ts";
import { until } from "../support/wait.ts";
import { assertRefused, type Case } from "./case.ts";
import { EVENT_CASES } from "./event_cases.ts";
import { Job } from "./site.ts";
import { ONE_USER_CASES, USER_CASES } from "./user_cases.ts";

/** A job that this text is in whose processes' command lines: nothing else has it. */
function mark(): string {
  return `mark-${crypto.randomUUID()}`;
}

/** A process of its own session, that ends by SIGKILL alone, and has a mark. */
function daemonOf(word: string): string {
  return `setsid sh -c 'trap "" HUP INT TERM; echo up; while :; do sleep 1; done' ${word} & `;
}

/** Waits until no process has a mark. */
async function untilGone(job: Job, word: string): Promise<void> {
  await until(`${word} to be gone`, async () => (await job.processesWith(word)).length === 0);
}

function noQueue({ queues }: Capabilities): string | undefined {
  return queues ? undefined : "has no queue";
}

function limitRefused(name: keyof Capabilities["limits"]) {
  return ({ limits }: Capabilities) => {
    const support = limits[name];
    return typeof support === "string" ? undefined : `refuses it: ${support.refused}`;
  };
}

/** All cases. */
export const CASES: readonly Case[] = [
  {
    name: "runs a command, and tells its process, its status and its whole output",
    async holds(site) {
      const text =
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i; done; echo err >&2; exit 7";
      const job = await Job.script(site, text);
      const { pid } = await job.begun();
      assert(pid > 0);
      const { exitCode, signal, oomKilled } = await job.exited();
      assert.deepEqual([exitCode, signal, oomKilled], [7, 0, false]);
      const lines = (await job.output()).split("\n");
      assert.deepEqual([lines.length, lines[19_999], lines[20_000]], [20_002, "line 20000", "err"]);
    },
  },
  {
    name: "keeps a job's standard error apart where that is asked for, or refuses to",
    async holds(site) {
      const settings = { separateStderr: true } as const;
      if (!site.executor.capabilities.separateStderr) {
        return await assertRefused(site, ["true"], {
          settings,
          message: /both outputs to one file/,
        });
      }
      const job = await Job.script(site, "echo out; echo err >&2; exit 3", { settings });
      assert.equal((await job.exited()).exitCode, 3);
      assert.deepEqual([await job.output(), await job.errors()], ["out\n", "err\n"]);
    },
  },
  {
    name: "hands a command's words over as they are",
    async holds(site) {
      const words = [
        "a b",
        "",
        "c\nd",
        "e\r\nf",
        "'",
        '"',
        "$(x)",
        "\\",
        "*",
        "-n",
        "ä",
        "#SBATCH -N9",
      ];
      const job = await Job.submit(site, ["printf", "[%s]", ...words]);
      assert.equal((await job.exited()).exitCode, 0);
      assert.equal(await job.output(), words.map((word) => `[${word}]`).join(""));
    },
  },
  {
    name: "tells a signal that ended a command from a status of the same number",
    async holds(site) {
      const [killed, exited] = [
        await Job.script(site, "kill -SEGV $$"),
        await Job.script(site, "exit 139"),
      ];
      const [bySignal, byItself] = [await killed.exited(), await exited.exited()];
      assert.deepEqual([bySignal.exitCode, bySignal.signal], [139, 11]);
      assert.deepEqual([byItself.exitCode, byItself.signal], [139, 0]);
    },
  },
  {
    name: "gives a job its id, its folder, its umask, its environment and its input",
    async holds(site) {
      const job = await Job.script(site, 'pwd; umask; echo "$JOB_ID $WORD"; cat', {
        settings: { workingDirectory: "/usr", umask: 0o027 },
        environment: { WORD: "with 'quotes'\nand lines" },
        input: "input\n",
      });
      assert.equal((await job.exited()).exitCode, 0);
      const expected = `/usr\n0027\n${job.id} with 'quotes'\nand lines\ninput\n`;
      assert.equal(await job.output(), expected);
    },
  },
  {
    name: "keeps a job's environment and input from all process lists",
    async holds(site) {
      const secret = `secret-${crypto.randomUUID()}`;
      const job = await Job.script(site, "read -r line; echo ready; sleep 1000 & wait", {
        environment: { SECRET: secret },
        input: `${secret}\n`,
      });
      await job.hasPrinted("ready");
      assert.deepEqual(await job.processesWith(secret), []);
      await job.stop(0);
      await job.ended();
    },
  },
  {
    name: "starts nothing that cannot run, and says why",
    async holds(site) {
      const wanted = { settings: { workingDirectory: "/no/such/folder" } };
      await assertRefused(site, ["no-such-program"], { message: /no such program/ });
      await assertRefused(site, ["/etc/passwd"], { message: /is not executable/ });
      await assertRefused(site, ["true"], { ...wanted, message: /working directory/ });
    },
  },
  {
    name: "refuses limits that it does not hold",
    lacks: ({ limits }) =>
      Object.values(limits).every((support) => typeof support === "string")
        ? "holds all of them"
        : undefined,
    async holds(site) {
      const { capabilities } = site.executor;
      for (const [name, support] of Object.entries(capabilities.limits)) {
        if (typeof support === "string") continue;
        await assert.rejects(
          Job.make(site, ["true"], { limits: { [name]: 2 ** 30 } }),
          (error) => error instanceof JobError && error.kind === "precondition",
        );
      }
    },
  },
  {
    name: "holds a memory limit, and tells that it was reached",
    lacks: limitRefused("memoryBytes"),
    async holds(site) {
      const job = await Job.submit(site, [
        "dd",
        "if=/dev/zero",
        "of=/dev/null",
        "bs=256M",
        "count=1",
      ], {
        limits: { memoryBytes: 64 * 1024 ** 2 },
      });
      const { exitCode, oomKilled } = await job.exited();
      assert(exitCode !== 0 && oomKilled, `${exitCode} ${oomKilled}`);
    },
  },
  {
    name: "holds a CPU limit of half a core",
    lacks: ({ limits }) => limits.cpuCores === "held" ? undefined : "has no parts of cores",
    async holds(site) {
      const text = "timeout 2 sh -c 'while :; do :; done'; exit 0";
      const beganMs = Date.now();
      const job = await Job.script(site, text, { limits: { cpuCores: 0.5 } });
      const { usage } = await job.exited();
      const cores = (usage.cpuUsec ?? NaN) / 1000 / (Date.now() - beganMs);
      assert(cores > 0 && cores < 0.7, `it got ${cores} cores`);
    },
  },
  {
    name: "holds a limit of processes",
    lacks: limitRefused("processes"),
    async holds(site) {
      const text = "for i in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo no limit";
      const job = await Job.script(site, text, { limits: { processes: 4 }, graceMs: 0 });
      assert.notEqual((await job.exited()).exitCode, 0);
      assert.doesNotMatch(await job.output(), /no limit/);
    },
  },
  {
    name: "stops a job: every process hears the signal, and may end in its own way",
    async holds(site) {
      const word = mark();
      const child =
        `sh -c 'trap "echo child; exit 0" TERM; echo up; while :; do sleep 0.1; done' ${word}`;
      const text = `trap "echo main; wait; exit 3" TERM; setsid ${child} & echo up; ` +
        "while :; do sleep 0.1; done";
      const job = await Job.script(site, text);
      await until("both", async () => (await job.output()).split("up").length === 3);
      const beganMs = Date.now();
      await job.stop(25_000);
      const { exitCode, signal } = await job.exited();
      assert.deepEqual([exitCode, signal], [3, 0]);
      assert(Date.now() - beganMs < 25_000, "the grace period was waited for");
      const output = await job.output();
      assert(output.includes("main") && output.includes("child"), output);
      await untilGone(job, word);
    },
  },
  {
    name: "kills what does not end in the grace period, daemons too, and not before",
    async holds(site) {
      const word = mark();
      const text = `trap "" TERM; ${daemonOf(word)} while :; do sleep 0.1; done`;
      const job = await Job.script(site, text);
      await job.hasPrinted("up");
      const beganMs = Date.now();
      await job.stop(1500);
      const { exitCode, signal } = await job.exited();
      assert.deepEqual([exitCode, signal], [137, 9]);
      assert(Date.now() - beganMs >= 1500, "it was killed before");
      await untilGone(job, word);
    },
  },
  {
    name: "kills at once where there is no grace period, or a second stop has none",
    async holds(site) {
      const jobs = [await Job.script(site, 'trap "" TERM; echo up; while :; do sleep 1; done')];
      jobs.push(await Job.script(site, 'trap "" TERM; echo up; while :; do sleep 1; done'));
      for (const job of jobs) await job.hasPrinted("up");
      const [once, twice] = jobs;
      await once?.stop(0);
      await twice?.stop(3_000_000);
      await twice?.stop(0);
      for (const job of jobs) assert.equal((await job.exited()).signal, 9);
    },
  },
  {
    name: "sends the stop signal to the main process alone where that is asked for",
    async holds(site) {
      const child = `sh -c 'trap "echo child" TERM; echo up; while :; do sleep 0.1; done'`;
      const text =
        `trap "echo main; until [ -e ${site.folder}/go ]; do sleep 0.1; done; exit 4" TERM; ` +
        `${child} & echo up; while :; do sleep 0.1; done`;
      const job = await Job.script(site, text);
      await until("both", async () => (await job.output()).split("up").length === 3);
      await job.stop(4000, true);
      await job.hasPrinted("main");
      assert.doesNotMatch(await job.output(), /child/);
      await Deno.writeTextFile(join(site.folder, "go"), "");
      assert.equal((await job.exited()).exitCode, 4);
    },
  },
  {
    name: "ends what a command leaves behind, and then tells the command's own status",
    async holds(site) {
      const word = mark();
      const job = await Job.script(site, `${daemonOf(word)} sleep 0.3; exit 5`, { graceMs: 500 });
      assert.equal((await job.exited()).exitCode, 5);
      await untilGone(job, word);
    },
  },
  {
    name:
      "sends other signals to all processes, or to the main one, and tells whether there was one",
    async holds(site) {
      const child = `sh -c 'trap "echo child" HUP; echo up; while :; do sleep 0.1; done'`;
      const text = `trap "echo main" HUP; ${child} & echo up; while :; do sleep 0.1; done`;
      const job = await Job.script(site, text);
      await until("both", async () => (await job.output()).split("up").length === 3);
      assert.equal(await job.signal("HUP", true), true);
      await job.hasPrinted("main");
      assert.doesNotMatch(await job.output(), /child/);
      assert.equal(await job.signal("HUP"), true);
      await job.hasPrinted("child");
      await job.stop(0);
      await job.ended();
    },
  },
  {
    name: "isolates a job from the network where that is asked for",
    lacks: ({ isolation }) => isolation ? undefined : "has no isolation",
    async holds(site) {
      const isolation = { privateTmp: true, noNetwork: true, ownProcesses: false };
      const name = mark();
      const job = await Job.script(site, `echo x >/tmp/${name}; wc -l </proc/net/dev`, {
        settings: { isolation },
      });
      assert.equal((await job.exited()).exitCode, 0);
      assert.equal((await job.output()).trim(), "3", "two lines of a head, and lo");
      await assert.rejects(Deno.stat(join("/tmp", name)), Deno.errors.NotFound);
    },
  },
  {
    name: "feeds a job what comes while it runs, to its end",
    lacks: ({ openStdin }) => openStdin ? undefined : "has no input that comes later",
    async holds(site) {
      const job = await Job.script(site, "echo up; cat", { settings: { openStdin: true } });
      await job.hasPrinted("up");
      const input = await HeldInput.open(new InputFolder(job.folder), { rings: false });
      await input.append(new TextEncoder().encode("first "));
      await job.hasPrinted("first");
      await site.restart();
      await job.adopt("begun");
      await input.append(new TextEncoder().encode("last"));
      await input.end();
      input[Symbol.dispose]();
      await job.exited();
      assert.equal(await job.output(), "up\nfirst last");
    },
  },
  {
    name: "refuses an input that comes while the job runs, where there is none",
    lacks: ({ openStdin }) => openStdin ? "has it" : undefined,
    async holds(site) {
      await assertRefused(site, ["cat"], {
        settings: { openStdin: true },
        message: /cannot be sent its input while it runs/,
      });
    },
  },
  {
    name: "keeps a job's timeout",
    lacks: ({ keepsTime }) => keepsTime ? undefined : "leaves that to the server",
    async holds(site) {
      const job = await Job.script(site, "sleep 1000", { settings: { timeoutMs: 500 } });
      const { timedOut, signal } = await job.exited();
      assert.deepEqual([timedOut, signal], [true, 15]);
    },
  },
  {
    name: "tells what a job uses while it runs, and at its end",
    async holds(site) {
      const job = await Job.script(site, "trap 'exit 0' TERM; while :; do :; done");
      await job.begun();
      const first = await until("a count", async () => {
        const usage = await job.usage();
        return usage.cpuUsec !== undefined && usage.cpuUsec > 0 && usage;
      });
      assert(first.memoryBytes !== undefined && first.memoryBytes > 0, JSON.stringify(first));
      assert(first.processes !== undefined && first.processes > 0, JSON.stringify(first));
      const later = await until("the next count", async () => {
        const usage = await job.usage();
        return (usage.cpuUsec ?? 0) > (first.cpuUsec ?? 0) && usage;
      });
      await job.stop(2000);
      const { usage } = await job.exited();
      assert((usage.cpuUsec ?? 0) >= (later.cpuUsec ?? 0), JSON.stringify([later, usage]));
    },
  },
  {
    name: "adopts a job that runs, and tells its end",
    async holds(site) {
      const job = await Job.script(site, "echo up; while :; do sleep 0.1; done");
      await job.hasPrinted("up");
      const { pid } = await job.begun();
      await site.restart();
      assert.equal((await job.adopt("begun")).kind, "tracked");
      assert.equal((await job.begun()).pid, pid);
      assert(!await isSettled(job.tracked!.ended));
      await job.stop(0);
      assert.equal((await job.exited()).signal, 9);
    },
  },
  {
    name: "adopts a job that has ended meanwhile, and knows how",
    async holds(site) {
      const job = await Job.script(site, "echo up; exit 6");
      await job.exited();
      await site.restart();
      const adoption = await job.adopt("begun");
      const ending = adoption.kind === "tracked" ? await job.ended() : undefined;
      const end = adoption.kind === "ended" ? adoption.ending : ending;
      assert(end?.kind === "exited" && end.exitCode === 6, JSON.stringify(adoption));
    },
  },
  {
    name: "adopts a job whose start was not answered",
    async holds(site) {
      const job = await Job.script(site, "echo up; while :; do sleep 0.1; done");
      await job.hasPrinted("up");
      await site.restart();
      assert.equal((await job.adopt("starting")).kind, "tracked");
      assert((await job.begun()).pid > 0);
      await job.stop(0);
      assert.equal((await job.exited()).signal, 9);
    },
  },
  {
    name: "lets nothing start a job any more that nobody had taken",
    async holds(site) {
      const job = await Job.make(site, ["sh", "-c", "echo up"]);
      assert.equal((await job.adopt("starting")).kind, "never-started");
      try {
        await job.submit();
        assert.equal((await job.ended()).kind, "never-ran");
      } catch (error) {
        if (!(error instanceof JobError)) throw error;
      }
      assert.equal(await job.output(), "");
    },
  },
  {
    name: "goes on with a stop after a restart",
    async holds(site) {
      const job = await Job.script(site, 'trap "" TERM; echo up; while :; do sleep 1; done');
      await job.hasPrinted("up");
      await job.stop(3_000_000);
      await site.restart();
      assert.equal((await job.adopt("begun")).kind, "tracked");
      await job.stop(500);
      assert.equal((await job.exited()).signal, 9);
    },
  },
  {
    name: "does nothing to a job that has ended",
    async holds(site) {
      const job = await Job.submit(site, ["true"]);
      await job.exited();
      await job.stop(0);
      await job.stop(1000);
      assert.equal((await job.exited()).exitCode, 0);
    },
  },
  {
    name: "refuses what only a cluster has",
    lacks: ({ queues }) => queues ? "has all of that" : undefined,
    async holds(site) {
      const queue = { partition: "main" };
      await assert.rejects(Job.make(site, ["true"], { settings: { queue } }), /--partition needs/);
    },
  },
  {
    name: "refuses what only a host has",
    lacks: ({ queues }) => queues ? undefined : "leaves that to the server",
    async holds(site) {
      const queue = { queue: "night" };
      await assertRefused(site, ["true"], {
        settings: { queue },
        message: /--queue needs a server that runs jobs on its own host.*--partition/,
      });
    },
  },
  {
    name: "keeps a job waiting until its time, and takes it back",
    lacks: noQueue,
    async holds(site) {
      const queue = { beginAtMs: Date.now() + 3_600_000 };
      const job = await Job.script(site, "echo up", { settings: { queue } });
      const reason = () => site.executor.statuses([job.id])[0]?.pendingReason;
      await until("the reason", () => reason() !== undefined && reason() !== "");
      assert(!await isSettled(job.tracked!.whenBegun));
      await site.restart();
      assert.equal((await job.adopt("pending")).kind, "tracked");
      await job.stop(1000);
      assert.equal((await job.ended()).kind, "never-ran");
      assert.equal(await job.output(), "");
    },
  },
  {
    name: "begins a job when the one before it has succeeded",
    lacks: noQueue,
    async holds(site) {
      const first = await Job.script(site, "until [ -e done ]; do sleep 0.1; done", {
        settings: { workingDirectory: site.folder },
      });
      const queue = { after: [first.id] };
      const second = await Job.script(site, "echo second", { settings: { queue } });
      await first.begun();
      assert(!await isSettled(second.tracked!.whenBegun));
      await Deno.writeTextFile(join(site.folder, "done"), "");
      assert.equal((await first.exited()).exitCode, 0);
      assert.equal((await second.exited()).exitCode, 0);
    },
  },
  {
    name: "changes the limits of a job that runs, or says why it cannot",
    async holds(site) {
      const job = await Job.script(site, "sleep 1000");
      await job.begun();
      const { updates } = site.executor.capabilities;
      const limits = { processes: 9 };
      if (updates === "possible") {
        assert.deepEqual(await job.update(limits), limits);
      } else {
        await assert.rejects(
          job.update(limits),
          (error) => error instanceof JobError && error.message.includes(updates.refused),
        );
      }
      await job.stop(0);
      await job.ended();
    },
  },
  {
    name: "gives a job a limit of open files, or says why it cannot",
    async holds(site) {
      const { openFiles } = site.executor.capabilities;
      const settings = { openFiles: 100 };
      if (openFiles !== "possible") {
        return await assertRefused(site, ["true"], { settings, message: /--nofile/ });
      }
      const job = await Job.script(site, "ulimit -n", { settings });
      assert.equal((await job.exited()).exitCode, 0);
      assert.equal(await job.output(), "100\n");
    },
  },
  ...USER_CASES,
  ...ONE_USER_CASES,
  ...EVENT_CASES,
];
