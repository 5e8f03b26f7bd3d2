/** What a start asks of a queue, a cluster's or a host's. */
import type { StartRequest } from "../../proto/contract.ts";
import { GrpcStatus, RefusedCallError } from "../errors.ts";
import type { CallOptions, Session } from "../connection/session.ts";
import type { QueueSpec } from "./job_spec.ts";

/** The fields of the request, and the options that set them. */
const FLAGS = {
  queue: "--queue",
  partition: "--partition",
  account: "--account",
  qos: "--qos",
  nice: "--nice",
  cpus: "--cpus",
  gpus: "--gpus",
  constraint: "--constraint",
  beginAtMs: "--begin",
  after: "--after",
} as const satisfies Record<keyof QueueSpec, string>;

/** What servers have that run jobs on their own host. */
const OF_HOSTS: readonly (keyof QueueSpec)[] = ["queue", "beginAtMs", "after"];

const FIELDS = Object.keys(FLAGS) as readonly (keyof QueueSpec)[];

/** A host knows nice(1), which is no queue's. */
const WAITING_FIELDS = FIELDS.filter((field) => field !== "nice");

/** The least and the greatest number of `nice`, an int32 field. */
export const NICE_RANGE = { min: -(2 ** 31), max: 2 ** 31 - 1 } as const;

/** The same of `cpus`, a uint32 field in which 0 is no number. */
export const CPUS_RANGE = { min: 1, max: 2 ** 32 - 1 } as const;

/** Whether a text is a number of GPUs, 1 or more, perhaps with their type in front. */
export function isGpuRequest(text: string): boolean {
  return /^(?:[A-Za-z][\w.-]*:)?[1-9]\d{0,8}$/.test(text);
}

/** The fields of a start request; what is not given, or empty, is left out. */
export function toQueueFields(queue: QueueSpec): Partial<StartRequest> {
  const given = FIELDS.map((field) => [field, queue[field]] as const)
    .filter(([, value]) => isGiven(value));
  return Object.fromEntries(given) as Partial<StartRequest>;
}

/** The texts that a spec contains. */
export function queueTexts({ after = [], ...rest }: QueueSpec): string[] {
  return [...Object.values(rest).filter((value) => typeof value === "string"), ...after];
}

function isGiven(value: QueueSpec[keyof QueueSpec]): boolean {
  return value !== undefined && value !== "" && !(Array.isArray(value) && value.length === 0);
}

/**
 * Refuses a start that asks a server for what it does not have: a server of an earlier version would ignore
 * these fields, and start a job at once that has to wait.
 *
 * @throws {ClientError} The server does not have it, or cannot be asked.
 */
export async function checkHasQueue(
  session: Session,
  request: StartRequest,
  { signal }: Pick<CallOptions, "signal"> = {},
): Promise<void> {
  const asked = WAITING_FIELDS.filter((field) =>
    isGiven(request[field] as QueueSpec[typeof field])
  );
  if (asked.length === 0) return;
  const { engine, jobsWait } = await session.call("Info", {}, { signal });
  const [lacking] = asked.filter((field) =>
    engine !== "" ? field === "queue" : !jobsWait || !OF_HOSTS.includes(field)
  );
  if (lacking === undefined) return;
  throw new RefusedCallError(
    `Cannot start the job: ${FLAGS[lacking]} ${problemOf(lacking, engine, session.server)}`,
    GrpcStatus.invalidArgument,
  );
}

function problemOf(field: keyof QueueSpec, engine: string, server: string): string {
  if (engine !== "") {
    return `is for servers that run jobs on their own host; ${server} is over a cluster: choose a ` +
      "--partition.";
  }
  if (OF_HOSTS.includes(field)) {
    return `needs a newer server: jobs cannot wait on ${server}. Upgrade it.`;
  }
  return `needs a server over a cluster (--engine slurm); ${server} runs jobs on its own host.`;
}
