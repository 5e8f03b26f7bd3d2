/**
 * The client as a library: starts, watches and stops jobs of a job worker, over mutual TLS.
 *
 * It is the code of the command line; docs/library.md shows how to use it.
 *
 * @module
 */
export {
  JobWorkerError,
  type JobWorkerErrorCode,
  type JobWorkerErrorOptions,
} from "./api/errors.ts";
export { Gap } from "./api/gap.ts";
export { JobWorkerClient } from "./api/job_worker_client.ts";
export type { OutputStream } from "./api/output_stream.ts";
export type {
  CallControl,
  ClusterRequest,
  ConnectionOptions,
  DiskLimit,
  EnvironmentOptions,
  EventsOptions,
  IdentityOptions,
  InputOptions,
  Isolation,
  Job,
  JobEnding,
  JobEvent,
  JobEventKind,
  JobInput,
  JobLimits,
  JobState,
  JobStats,
  JobUsage,
  ListOptions,
  OpenOptions,
  RetryOptions,
  RunOptions,
  RunResult,
  ServerInfo,
  SignalOptions,
  StartOptions,
  StateWord,
  StatsOptions,
  StopOptions,
  StreamOptions,
  UpdateOptions,
  WaitOptions,
} from "./api/types.ts";
