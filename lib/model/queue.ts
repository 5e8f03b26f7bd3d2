/** What a start may ask a queue for, a host's or a cluster's, checked. Pure. */
import { JobError, quoted } from "../errors.ts";
import { isQueueName } from "../limits/queue_file.ts";

/** What a client asks for; absent: the default. */
export interface QueueSettings {
  /** The queue of this host in which the job waits for its turn. */
  readonly queue?: string;
  readonly partition?: string;
  readonly account?: string;
  readonly qos?: string;
  /** Higher numbers wait longer. */
  readonly nice?: number;
  /** Whole cores; absent: as many as the CPU limit needs. */
  readonly cpus?: number;
  /** A number, or `TYPE:NUMBER`. */
  readonly gpus?: string;
  /** Features that the node must have, in the engine's notation. */
  readonly constraint?: string;
  /** Not before: milliseconds since 1970-01-01 UTC. */
  readonly beginAtMs?: number;
  /** Jobs that must have exited with 0: in a request by id or name, in a record by id. */
  readonly after?: readonly string[];
}

/** The same, as the contract has it; empty and 0 stand for the default. */
export interface AskedQueue {
  readonly queue: string;
  readonly partition: string;
  readonly account: string;
  readonly qos: string;
  readonly nice?: number | undefined;
  readonly cpus: number;
  readonly gpus: string;
  readonly constraint: string;
  readonly beginAtMs: number;
  readonly after: readonly string[];
}

/** The client's option for each setting. */
const OPTIONS: Readonly<Record<keyof QueueSettings, string>> = {
  queue: "queue",
  partition: "partition",
  account: "account",
  qos: "qos",
  nice: "nice",
  cpus: "cpus",
  gpus: "gpus",
  constraint: "constraint",
  beginAtMs: "begin",
  after: "after",
};

/** What a host has as well as a cluster, or alone. */
const OF_HOSTS: ReadonlySet<string> = new Set<keyof QueueSettings>([
  "queue",
  "beginAtMs",
  "after",
  "nice",
]);

/** Why a job never ran that was to begin after another. */
export const NOT_AFTER_SUCCESS = "a job that it was to begin after has not succeeded";

/** Why a job never ran that was stopped while it waited. */
export const STOPPED_WAITING = "it was stopped before it began";

/** The range of nice(1) for those who may not take from others. */
const MAX_HOST_NICE = 19;

/** What engines take as a name; several may be given, with commas between. */
const NAMES = /^[A-Za-z0-9_][A-Za-z0-9_.,@:+-]{0,255}$/;

const GPUS = /^(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}:)?[1-9]\d{0,3}$/;

/** Names of features, and the engine's words between them. */
const CONSTRAINT = /^[A-Za-z0-9_[(!][A-Za-z0-9_.:=&|*,()[\]!-]{0,255}$/;

/** The bound of Slurm's, in both directions. */
const MAX_NICE = 2_147_483_645;

const MAX_CPUS = 65_535;

/** The year 9999 ends before. */
const LATEST_BEGIN_MS = 253_402_300_800_000;

const MAX_AFTER = 32;
const MAX_NAME = 64;

/**
 * Checks what a client asks a queue for.
 *
 * @returns Undefined: nothing.
 * @throws {JobError} "invalid", with what was expected.
 */
export function readQueue(asked: AskedQueue): QueueSettings | undefined {
  const { partition, account, qos, nice, cpus, gpus, constraint, beginAtMs, after } = asked;
  const { queue: name } = asked;
  check(name === "" || isQueueName(name), `${quoted(name)} is not a valid name of a queue`);
  for (const [name, text] of Object.entries({ partition, account, qos })) {
    check(text === "" || NAMES.test(text), `${quoted(text)} is not a valid ${name}`);
  }
  check(nice === undefined || Math.abs(nice) <= MAX_NICE, `a nice value is at most ${MAX_NICE}`);
  check(cpus <= MAX_CPUS, `--cpus is above ${MAX_CPUS}`);
  check(
    gpus === "" || GPUS.test(gpus),
    `${quoted(gpus)} is not a number of GPUs: expected a number, or TYPE:NUMBER`,
  );
  check(
    constraint === "" || CONSTRAINT.test(constraint),
    `${
      quoted(constraint)
    } is not a valid constraint: expected names of features, with & or | between`,
  );
  check(
    beginAtMs >= 0 && beginAtMs < LATEST_BEGIN_MS,
    "the begin time is not in years 1970 to 9999",
  );
  check(after.length <= MAX_AFTER, `it is to come after more than ${MAX_AFTER} jobs`);
  for (const job of after) {
    check(job.length <= MAX_NAME && job !== "", `${quoted(job)} is not a job's id or name`);
  }
  const queue: QueueSettings = {
    ...(name !== "" && { queue: name }),
    ...(partition !== "" && { partition }),
    ...(account !== "" && { account }),
    ...(qos !== "" && { qos }),
    ...(nice !== undefined && { nice }),
    ...(cpus !== 0 && { cpus }),
    ...(gpus !== "" && { gpus }),
    ...(constraint !== "" && { constraint }),
    ...(beginAtMs !== 0 && { beginAtMs }),
    ...(after.length > 0 && { after: [...after] }),
  };
  return Object.keys(queue).length === 0 ? undefined : queue;
}

/** Whether a job that asks for this waits for something, where that is a host's to keep. */
export function waitsOnHost({ queue, beginAtMs, after }: QueueSettings = {}): boolean {
  return queue !== undefined || beginAtMs !== undefined || after !== undefined;
}

/** @throws {JobError} "invalid", where a start asks a host for what only clusters have. */
export function requireNoCluster(queue: QueueSettings | undefined): void {
  const { nice = 0 } = queue ?? {};
  check(nice >= 0 && nice <= MAX_HOST_NICE, `on a host a nice value is 0 to ${MAX_HOST_NICE}`);
  for (const name in queue) {
    if (OF_HOSTS.has(name)) continue;
    throw new JobError(
      "invalid",
      `Cannot start the job: --${
        OPTIONS[name as keyof QueueSettings]
      } needs a server over a cluster ` +
        "(--engine slurm); this one runs jobs on its own host",
    );
  }
}

/** @throws {JobError} "invalid", where a start asks a cluster for what only hosts have. */
export function requireNoHost(queue: QueueSettings | undefined): void {
  if (queue?.queue === undefined) return;
  throw new JobError(
    "invalid",
    "Cannot start the job: --queue needs a server that runs jobs on its own host; over a cluster " +
      "choose a --partition",
  );
}

function check(isValid: boolean, problem: string): void {
  if (!isValid) throw new JobError("invalid", `Cannot start a job: ${problem}`);
}
