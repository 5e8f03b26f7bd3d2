/**
 * A Slurm in memory, as its commands show it, with an executor over it: it has the jobs that were handed over,
 * and says of them what a test sets. Nodes are played by the test, which writes launch records.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type { AdoptionRequest, Phase, SubmitRequest } from "../../lib/executor.ts";
import { SlurmExecutor } from "../../lib/executor/slurm.ts";
import type {
  CommandAnswer,
  EngineCommand,
  RunCommand,
} from "../../lib/executor/slurm/commands.ts";
import { DEFAULT_SETTINGS } from "../../lib/model/settings.ts";
import { FakeClock } from "./fake_clock.ts";
import { turn } from "./settled.ts";

/** What `scontrol show config` of 22.05.8 says of what matters. */
export const CONFIGURATION = `Configuration data as of 2026-11-27T15:54:25
DisableRootJobs         = No
MinJobAge               = 300 sec
ProctrackType           = proctrack/cgroup
SLURM_VERSION           = 22.05.8
TaskPlugin              = task/affinity,task/cgroup

Cgroup Support Configuration:
ConstrainCores          = yes
ConstrainRAMSpace       = yes
MinRAMSpace             = 30 MB

Slurmctld(primary) at vm is UP
`;

const PARTITIONS = `PartitionName=short AllowGroups=ALL Default=NO QoS=N/A Nodes=d1
PartitionName=main AllowGroups=ALL Default=YES QoS=N/A Nodes=d[1-2]
`;

/** What a controller that is away says. */
export const AWAY: CommandAnswer = {
  status: 1,
  text: "error: Unable to contact slurm controller (connect failure)\n",
};

/** Milliseconds that the clock goes on between two looks at a condition. */
const STEP_MS = 250;

/** A long time passes in so many steps. */
const MAX_STEPS = 40;

/** Calls of the file system that one look at a job, or one order, takes at most. */
const FILE_WORK = 20;

/** A condition that has not come true by then fails the test. */
const DEADLINE_MS = 10_000;

interface FakeJob {
  number: number;
  /** Whose it is; the server's own unless given. */
  uid?: string;
  state: string;
  reason: string;
  node: string;
}

/** Slurm, an executor over it, and a share. */
export class FakeSlurm implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly jobs = new Map<string, FakeJob>();
  /** What was asked for, as the words of commands. */
  readonly calls: string[] = [];
  /** What a command answers instead of doing its work. */
  readonly failures = new Map<EngineCommand, CommandAnswer>();
  /** What an sbatch answers that does its work all the same. */
  lostAnswer: CommandAnswer | undefined;
  /** What a scancel that only signals answers, and does nothing. */
  unsignalled: CommandAnswer | undefined;
  configuration = CONFIGURATION;
  uid = 0;
  /** Whether each job runs as a user of its own. */
  isForUsers = false;
  readonly folder: string;
  #executor: SlurmExecutor | undefined;
  #nextNumber = 1;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /** Makes a share, and no executor yet. */
  static async make(): Promise<FakeSlurm> {
    const slurm = new FakeSlurm(await Deno.makeTempDir({ prefix: "job-worker-slurm-" }));
    await Deno.mkdir(join(slurm.folder, "jobs"));
    return slurm;
  }

  /** The same with an executor. */
  static async open(): Promise<FakeSlurm> {
    const slurm = await FakeSlurm.make();
    await slurm.restart();
    return slurm;
  }

  get executor(): SlurmExecutor {
    assert(this.#executor);
    return this.#executor;
  }

  /** Ends the executor, as the end of a process does, and makes another. */
  async restart(): Promise<SlurmExecutor> {
    await this.#executor?.close();
    this.clock.clear();
    this.#executor = await SlurmExecutor.open({
      sharedFolder: this.folder,
      owner: "fake",
      configurationFile: "",
      isForUsers: this.isForUsers,
      clock: this.clock,
      run: this.run,
    });
    return this.#executor;
  }

  /** A request for a job whose folder is there. */
  async request(change: Partial<SubmitRequest> = {}): Promise<SubmitRequest> {
    const jobId = crypto.randomUUID();
    const folder = join(this.folder, "jobs", jobId);
    await Deno.mkdir(folder);
    await Deno.writeTextFile(join(folder, "output"), "");
    return {
      jobId,
      folder,
      handle: {},
      owner: "alice",
      settings: DEFAULT_SETTINGS,
      command: { name: "true", args: [] },
      secrets: { environment: {}, input: new Uint8Array() },
      limits: {},
      output: join(folder, "output"),
      graceMs: 10_000,
      after: [],
      ...change,
    };
  }

  /** What a later server asks of a job. */
  adoption(request: SubmitRequest, phase: Phase): AdoptionRequest {
    return { ...request, phase, submittedAtMs: this.clock.nowMs() };
  }

  /** What Slurm says of a job from now on. */
  say(jobId: string, state: string, { reason = "None", node = "d1" } = {}): void {
    const job = this.jobs.get(jobId);
    assert(job, "Slurm does not have the job");
    Object.assign(job, { state, reason, node });
  }

  /** Lets time pass until something holds. */
  async until<T>(
    what: string,
    condition: () => T | undefined | false | Promise<T | undefined | false>,
    stepMs = STEP_MS,
  ): Promise<T> {
    const deadlineMs = Date.now() + DEADLINE_MS;
    for (;;) {
      const value = await condition();
      if (value !== undefined && value !== false) return value;
      assert(Date.now() < deadlineMs, `Timed out waiting for: ${what}`);
      this.clock.advance(stepMs);
      await this.#readFiles();
    }
  }

  /** Lets time pass until a promise settles. */
  async inTime<T>(what: string, promise: Promise<T>): Promise<T> {
    let isSettled = false;
    const settle = () => isSettled = true;
    promise.then(settle, settle);
    await this.until(what, () => isSettled);
    return await promise;
  }

  /** Lets so much time pass, in steps, each with the work that is due. */
  async pass(milliseconds: number): Promise<void> {
    const untilMs = this.clock.nowMs() + milliseconds;
    const stepMs = Math.max(STEP_MS, milliseconds / MAX_STEPS);
    await this.until("time", () => this.clock.nowMs() >= untilMs, stepMs);
  }

  /** The words of each call of a command. */
  callsOf(command: EngineCommand): string[] {
    return this.calls.filter((call) => call.startsWith(`${command} `));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#executor?.close();
    this.clock.clear();
    await Deno.remove(this.folder, { recursive: true });
  }

  /** The work that is due reads a few files: it is done when as much was done here, however busy the host. */
  async #readFiles(): Promise<void> {
    for (let time = 0; time < FILE_WORK; time++) await Deno.stat(this.folder);
    await turn();
  }

  /** Answers a command. */
  readonly run: RunCommand = (command, args, { input = "" } = {}) => {
    this.calls.push([command, ...args].join(" "));
    const failure = this.failures.get(command);
    return Promise.resolve(failure ?? this.#answer(command, args, input));
  };

  #answer(command: EngineCommand, args: readonly string[], input: string): CommandAnswer {
    const valueOf = (name: string) =>
      args.find((arg) => arg.startsWith(`--${name}=`))?.slice(name.length + 3) ?? "";
    switch (command) {
      case "id":
        return answered(
          args[0] === "-un" ? (this.uid === 0 ? "root\n" : "svc\n") : `${this.uid}\n`,
        );
      case "scontrol":
        return answered(args.includes("config") ? this.configuration : PARTITIONS);
      case "sbatch": {
        assert.match(input, /^#!\/bin\/sh\n/);
        const number = this.#nextNumber++;
        const job = { number, state: "PENDING", reason: "Priority", node: "" };
        const uid = valueOf("uid");
        this.jobs.set(valueOf("job-name"), { ...job, ...(uid !== "" && { uid }) });
        return this.lostAnswer ?? answered(`${number}\n`);
      }
      case "scancel": {
        const job = this.jobs.get(valueOf("name"));
        if (job !== undefined && valueOf("user") !== String(job.uid ?? this.uid)) {
          return answered("");
        }
        if (valueOf("signal") !== "") return this.unsignalled ?? answered("");
        if (job !== undefined) job.state = "CANCELLED";
        return answered("");
      }
      case "squeue":
        return answered(
          [...this.jobs].map(([id, { number, uid = this.uid, state, reason, node }]) =>
            `${number}|${uid}|${state}|${reason}|${node}|N/A|main|${id} \n`
          ).join(""),
        );
      case "getent":
        return ENTRIES[args.at(-1) ?? ""] ?? NO_ENTRY;
    }
  }
}

/** A user whom tests can give files to: only root can give them to another one. */
export const FAKE_USER = Deno.uid() === 0
  ? { uid: 1, gid: 1 }
  : { uid: Deno.uid() ?? 1, gid: Deno.gid() ?? 1 };

/** What getent(1) says of users. */
const ENTRIES: Readonly<Record<string, CommandAnswer>> = {
  alice: answered(`alice:x:${FAKE_USER.uid}:${FAKE_USER.gid}:Alice:/home/alice:/bin/sh\n`),
  toor: answered("toor:x:0:0:root:/root:/bin/sh\n"),
};

const NO_ENTRY: CommandAnswer = { status: 2, text: "" };

function answered(text: string): CommandAnswer {
  return { status: 0, text };
}

/** A node with a job, as far as its launcher would have come. */
export class FakeNode {
  readonly #folder: string;

  constructor({ folder }: { readonly folder: string }) {
    this.#folder = folder;
  }

  /** Creates the launch record. @returns False: there is one. */
  launch(): boolean {
    try {
      Deno.openSync(this.#recordFile, { write: true, createNew: true }).close();
    } catch (error) {
      if (error instanceof Deno.errors.AlreadyExists) return false;
      throw error;
    }
    this.write("launcher 17 100 boot\nnode d1\n");
    return true;
  }

  /** Adds to the launch record. */
  write(text: string): void {
    Deno.writeTextFileSync(this.#recordFile, text, { append: true });
  }

  /** The command begins. */
  begin(): void {
    assert(this.launch());
    this.write("job 4711 200\n");
  }

  /** The job ends. */
  end(status: number, text = ""): void {
    this.write(`${text}exit ${status}\nend\n`);
  }

  /** The order that the listener was given last. */
  order(): string {
    try {
      return Deno.readTextFileSync(join(this.#folder, "control"));
    } catch {
      return "";
    }
  }

  /** Answers the order, if there is one that was not answered. @returns It. */
  answer(answer: "reached" | "nobody" = "reached"): string | undefined {
    const order = this.order();
    const number = order.split(" ")[0];
    if (order === "" || this.#isAnswered(`${number}`)) return undefined;
    Deno.writeTextFileSync(join(this.#folder, "control.done"), `${number} ${answer}\n`);
    return order.trim();
  }

  #isAnswered(number: string): boolean {
    try {
      return Deno.readTextFileSync(join(this.#folder, "control.done")).startsWith(`${number} `);
    } catch {
      return false;
    }
  }

  get #recordFile(): string {
    return join(this.#folder, "launch");
  }
}

/** A job that was handed over, with the node that it may come to. */
export async function submitted(slurm: FakeSlurm) {
  const request = await slurm.request();
  return { ...await slurm.executor.submit(request), request, node: new FakeNode(request) };
}

/** A job whose command runs. */
export async function begun(slurm: FakeSlurm) {
  const job = await submitted(slurm);
  job.node.begin();
  slurm.say(job.request.jobId, "RUNNING");
  await slurm.inTime("the beginning", job.whenBegun);
  return job;
}
