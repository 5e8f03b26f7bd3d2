/** What a start can ask for. */
import type { StartRequest } from "../../proto/contract.ts";

/** The settings of a job; what is not given is the server's choice. */
export interface JobSpec {
  /** Starts with the same key start one job. */
  readonly idempotencyKey: string;
  readonly title?: string | undefined;
  readonly labels?: Readonly<Record<string, string>> | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly workingDirectory?: string | undefined;
  readonly user?: string | undefined;
  readonly umask?: number | undefined;
  readonly stdin?: Uint8Array | undefined;
  /** It is sent its input while it runs (client/jobs/send_input.ts). */
  readonly openStdin?: boolean | undefined;
  readonly timeoutMs?: number | undefined;
  readonly stopSignal?: string | undefined;
  readonly graceMs?: number | undefined;
  readonly openFiles?: number | undefined;
  readonly limits?: StartRequest["limits"];
  readonly isolation?: StartRequest["isolation"];
  /** Whether its standard error is kept apart from its output. */
  readonly separateStderr?: boolean | undefined;
  /** What it waits for, and where it runs on a cluster. */
  readonly queue?: QueueSpec | undefined;
}

/** What a start asks of a queue, a cluster's or a host's; what is not given is the server's choice. */
export interface QueueSpec {
  /** One of the queues of the server's host. */
  readonly queue?: string | undefined;
  readonly partition?: string | undefined;
  readonly account?: string | undefined;
  readonly qos?: string | undefined;
  /** Jobs with a higher number wait longer; on a host nice(1), 0 to 19. */
  readonly nice?: number | undefined;
  /** Whole cores. */
  readonly cpus?: number | undefined;
  /** A number, or `TYPE:NUMBER`. */
  readonly gpus?: string | undefined;
  /** Features that the node must have, in the engine's notation. */
  readonly constraint?: string | undefined;
  /** Not before: milliseconds since 1970-01-01 UTC. */
  readonly beginAtMs?: number | undefined;
  /** Jobs, by id or name, that must have ended with exit code 0. */
  readonly after?: readonly string[] | undefined;
}
