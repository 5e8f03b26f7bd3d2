import process from "node:process";
import type { QueryResponse__Output } from "../../proto/contract.ts";
import { DEFAULT_SERVER, parseAddress } from "../endpoint/address.ts";
import { chooseEndpoint } from "../endpoint/choose_endpoint.ts";
import { stopJob, waitForJob } from "../jobs/end.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { toListRequest } from "../jobs/state.ts";
import { listJobs } from "../jobs/list.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import { Session } from "../connection/session.ts";
import { sendInput } from "../jobs/send_input.ts";
import { startJob, toStartRequest } from "../jobs/start.ts";
import { updateJob } from "../jobs/update.ts";
import { measureUsage } from "../jobs/usage.ts";
import {
  checkCommand,
  checkControl,
  checkGrace,
  checkJobID,
  checkNumber,
  checkRecord,
  checkStreamOptions,
  checkText,
  toEventsRequest,
  toJobFilter,
  toJobSpec,
  toLimitChange,
} from "./arguments.ts";
import { CallScope } from "./call_scope.ts";
import { toJobWorkerError } from "./error_mapping.ts";
import { JobWorkerError } from "./errors.ts";
import type { Gap } from "./gap.ts";
import { watchEvents } from "./events.ts";
import { identityOf } from "./identity.ts";
import { toJob, toServerInfo, toStats } from "./job.ts";
import { checkOptions } from "./known_options.ts";
import { checkInput, inputPieces } from "./input_pieces.ts";
import { toLines } from "./lines.ts";
import { NODE_FILES } from "./node_files.ts";
import { OutputStream } from "./output_stream.ts";
import { runJob } from "./run_job.ts";
import type {
  CallControl,
  ConnectionOptions,
  EnvironmentOptions,
  EventsOptions,
  InputOptions,
  Job,
  JobEvent,
  JobInput,
  JobStats,
  ListOptions,
  OpenOptions,
  RunOptions,
  RunResult,
  ServerInfo,
  SignalOptions,
  StartOptions,
  StatsOptions,
  StopOptions,
  StreamOptions,
  UpdateOptions,
  WaitOptions,
} from "./types.ts";

/** The time between the two samples that rates are computed from. */
const STATS_INTERVAL_MS = 1_000;

/**
 * A client of one worker-server with one identity.
 *
 * Concurrent calls share one connection; each stream has its own. Connections are made when needed,
 * and made again when they broke. While one is open the program does not end by itself: close the
 * client, by `close` or, where the language has it, `using`.
 *
 * A job is named by its id, by the beginning of it, or by its title.
 *
 * @example
 * ```ts ignore
 * const client = await JobWorkerClient.connect({ server: "worker1:50051", identity: "alice.pem" });
 * const jobID = await client.start(["make", "test"], { workingDirectory: "/srv/app" });
 * for await (const chunk of client.stream(jobID)) {
 *   if (chunk instanceof Uint8Array) process.stdout.write(chunk);
 * }
 * const { exitCode } = await client.wait(jobID);
 * client.close();
 * ```
 */
export class JobWorkerClient implements Disposable {
  readonly #session: Session;
  readonly #expiresAt: Date;
  readonly #life = new AbortController();

  private constructor(endpoint: Endpoint, { retryFirst = true }: ConnectionOptions) {
    this.#session = new Session(endpoint, { retriesFirst: retryFirst });
    this.#expiresAt = new Date(endpoint.identity.expiresAtMs);
  }

  /**
   * Reads and checks the identity. The first call makes the connection.
   *
   * @param options The server and the identity.
   * @returns The client; the caller closes it.
   * @throws {JobWorkerError} `INVALID_ARGUMENT`, or `IDENTITY` with the reason.
   */
  static open(options: OpenOptions): JobWorkerClient {
    checkOptions("open", options);
    return JobWorkerClient.#open(options);
  }

  static #open(options: OpenOptions): JobWorkerClient {
    try {
      checkText("server", options.server);
      const address = parseAddress(options.server ?? DEFAULT_SERVER);
      return new JobWorkerClient({ address, identity: identityOf(options) }, options);
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }

  /**
   * Like `open`, and connects.
   *
   * @param options The server, the identity and a time limit.
   * @returns The client; the caller closes it.
   * @throws {JobWorkerError} As `open`, and `UNAVAILABLE` where the server cannot be reached.
   */
  static async connect(options: OpenOptions & CallControl): Promise<JobWorkerClient> {
    checkOptions("connect", options);
    checkControl(options);
    const client = JobWorkerClient.#open(options);
    try {
      await client.#do("connect", options, (signal) => client.#session.ready(signal));
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * Finds server and identity as the command line does: in the options, the environment
   * (`JOB_WORKER_SERVER` and so on), the config file's contexts, and the default places. The first
   * call makes the connection.
   *
   * @param options Take precedence over all that. Parts of the identity are paths here.
   * @returns The client; the caller closes it.
   * @throws {JobWorkerError} As `open`.
   */
  static fromEnvironment(options: EnvironmentOptions = {}): JobWorkerClient {
    checkOptions("fromEnvironment", options);
    try {
      const names = ["server", "context", "identity", "ca", "cert", "key"] as const;
      for (const name of names) checkText(name, options[name]);
      const environment = (name: string) => process.env[name] || undefined;
      return new JobWorkerClient(chooseEndpoint(options, { environment }, NODE_FILES), options);
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }

  /** `HOST:PORT` of the server. */
  get server(): string {
    return this.#session.server;
  }

  /** The common name of the program's certificate: the user's name on the server. */
  get userName(): string {
    return this.#session.userName;
  }

  /** When the program's certificate expires. */
  get expiresAt(): Date {
    return this.#expiresAt;
  }

  /**
   * Starts a job. When the answer is lost the start is repeated, and the job still runs once.
   *
   * @param command The program and its arguments; no shell interprets them.
   * @param options The job's settings.
   * @returns The job's id.
   * @throws {JobWorkerError} With `UNKNOWN_OUTCOME` the job may have been started; with any other code
   * it was not, except after `DEADLINE_EXCEEDED` or an abort: give an idempotency key to find out.
   */
  async start(command: readonly string[], options: StartOptions = {}): Promise<string> {
    checkCommand(command);
    checkOptions("start", options);
    const spec = toJobSpec(options);
    return await this.#do("start", options, async (signal) => {
      const request = toStartRequest(command, spec);
      return await startJob(this.#session, request, { signal });
    });
  }

  /**
   * Starts a job, takes its output and waits for its end. After an abort, or when one of the functions
   * throws, the job is stopped unless `stopOnAbort` is false. Closing the client stops nothing.
   *
   * @param command The program and its arguments.
   * @param options The job's settings, and what takes its output.
   * @returns How it ended; a job that failed is not an error.
   * @throws {JobWorkerError} It could not be started or followed.
   */
  async run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    checkOptions("run", options);
    return await this.#do(
      "run",
      options,
      (signal) =>
        runJob(command, options, { session: this.#session, signal, life: this.#life.signal }),
    );
  }

  /**
   * Sends a running job, started with `openStdin`, what it reads from its standard input, to its end: no
   * faster than it reads, and once, also where connections break. Input that others have sent before stays.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param input What it reads.
   * @param options A signal, a timeout, and how long a broken connection is tried again.
   * @returns Whether the job was sent all of it; false: it reads no more.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it has no open input, or somebody else sends it.
   * @throws What the input throws.
   */
  async input(jobID: string, input: JobInput, options: InputOptions = {}): Promise<boolean> {
    checkJobID(jobID);
    checkOptions("input", options);
    checkNumber("retryForMs", options.retryForMs);
    checkInput(input);
    const { retryForMs = DEFAULT_RETRY_FOR_MS, onLost, keepOpen } = options;
    return await this.#do("input", options, async (signal) => {
      const whole = await resolveJobID(this.#session, jobID, signal);
      const source = inputPieces(input);
      const sending = {
        jobID: whole,
        source,
        appends: true,
        keepsOpen: keepOpen,
        retryForMs,
        onLost,
      };
      return await sendInput(sending, { session: this.#session, signal });
    });
  }

  /**
   * Stops a job: the stop signal, the grace period, then SIGKILL. Returns when all its processes have
   * ended.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options The grace period, and who is sent the stop signal.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it has already ended.
   */
  async stop(jobID: string, options: StopOptions = {}): Promise<void> {
    checkJobID(jobID);
    checkOptions("stop", options);
    checkGrace(options.graceMs);
    await this.#do("stop", options, async (signal) => {
      const whole = await resolveJobID(this.#session, jobID, signal);
      await stopJob(this.#session, { ...options, jobID: whole }, { signal });
    });
  }

  /**
   * Queries the state of a job.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options A signal or a timeout for the call.
   * @returns The job as it is now.
   * @throws {JobWorkerError} `NOT_FOUND`.
   */
  async query(jobID: string, options: CallControl = {}): Promise<Job> {
    checkJobID(jobID);
    checkOptions("call", options);
    return await this.#do(
      "query",
      options,
      async (signal) => toJob(await this.#session.call("Query", { jobID }, { signal })),
    );
  }

  /**
   * Lists jobs, the newest first; without options running and ended ones. Further pages are requested
   * when the loop reaches them.
   *
   * @param options Which jobs.
   * @returns To be iterated, once.
   * @throws {JobWorkerError} An option is not valid; the iteration throws everything else.
   */
  list(options: ListOptions = {}): AsyncGenerator<Job, void, void> {
    checkOptions("list", options);
    checkControl(options);
    const { matches, ...filter } = toJobFilter(options);
    return this.#list(toListRequest(filter), options, matches);
  }

  async *#list(
    request: Parameters<typeof listJobs>[1],
    options: ListOptions,
    matches: (job: QueryResponse__Output) => boolean,
  ): AsyncGenerator<Job, void, void> {
    using scope = new CallScope("list", this.#life.signal, options);
    const { signal } = scope;
    try {
      const { limit } = options;
      for await (const job of listJobs(this.#session, request, { limit, matches, signal })) {
        signal.throwIfAborted();
        yield toJob(job);
      }
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }

  /**
   * A job's output until the job ends.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options Where to start, whether to follow, and what happens when the connection breaks.
   * @returns To be iterated once: bytes, and a `Gap` in place of what is missing.
   * @throws {JobWorkerError} An option is not valid; the iteration throws everything else.
   */
  stream(jobID: string, options: StreamOptions = {}): OutputStream {
    checkJobID(jobID);
    checkOptions("stream", options);
    checkControl(options);
    checkStreamOptions(options);
    return new OutputStream({ session: this.#session, life: this.#life.signal }, jobID, options);
  }

  /**
   * A job's output as lines of text without their ends. Invalid UTF-8 becomes U+FFFD, and a line of
   * more than 1,048,576 characters is split.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options As for `stream`.
   * @returns To be iterated once: lines, and a `Gap` in place of what is missing.
   * @throws {JobWorkerError} As `stream`.
   */
  lines(jobID: string, options: StreamOptions = {}): AsyncGenerator<string | Gap, void, void> {
    return toLines(this.stream(jobID, options));
  }

  /**
   * What happens to jobs, as it happens. A broken connection is made again, and each event comes once. The
   * call starts with the iteration; leaving the loop ends it.
   *
   * @param options Which events, and from when on.
   * @returns To be iterated once.
   * @throws {JobWorkerError} An option is not valid; the iteration throws everything else.
   */
  events(options: EventsOptions = {}): AsyncGenerator<JobEvent, void, void> {
    checkOptions("events", options);
    checkControl(options);
    const request = toEventsRequest(options);
    return watchEvents(request, options, { session: this.#session, life: this.#life.signal });
  }

  /**
   * Waits until a job has ended, also over broken connections.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options How long to retry, and what ends the wait.
   * @returns The job at its end; its `exitCode` is null where it was lost or never ran.
   * @throws {JobWorkerError} `NOT_FOUND`, or `UNAVAILABLE` after `retryForMs`.
   */
  async wait(jobID: string, options: WaitOptions = {}): Promise<Job> {
    checkJobID(jobID);
    checkOptions("wait", options);
    const { retryForMs = DEFAULT_RETRY_FOR_MS, onLost } = options;
    checkNumber("retryForMs", retryForMs);
    return await this.#do("wait", options, async (signal) => {
      const whole = await resolveJobID(this.#session, jobID, signal);
      const ended = await waitForJob(this.#session, whole, {
        retryForMs,
        signal,
        onLost: onLost && (() => onLost(undefined)),
      });
      return toJob(ended);
    });
  }

  /**
   * Sends a signal to all processes of a running job, or to its main process alone.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param signal Such as `SIGHUP` or `HUP`.
   * @param options A signal or a timeout for the call.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it has already ended.
   */
  async signal(jobID: string, signal: string, options: SignalOptions = {}): Promise<void> {
    checkJobID(jobID);
    checkText("signal", signal ?? null);
    checkOptions("signal", options);
    await this.#do("signal", options, async (end) => {
      const mainOnly = options.mainOnly === true;
      await this.#session.call("Signal", { jobID, signal, mainOnly }, { signal: end });
    });
  }

  /**
   * Changes limits of a running job: all that are given, or none.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options The limits.
   * @returns The job, with the limits that hold now.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it has ended, a limit is above the server's, or
   * the kernel refuses it.
   */
  async update(jobID: string, options: UpdateOptions): Promise<Job> {
    checkJobID(jobID);
    checkOptions("update", options);
    const change = toLimitChange(options);
    return await this.#do(
      "update",
      options,
      async (signal) => toJob(await updateJob(this.#session, jobID, change, { signal })),
    );
  }

  /**
   * Deletes a job that has ended, and its output.
   *
   * @param jobID The job's id, the beginning of it, or its name.
   * @param options A signal or a timeout for the call.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it still runs.
   */
  async remove(jobID: string, options: CallControl = {}): Promise<void> {
    checkJobID(jobID);
    checkOptions("call", options);
    await this.#do("remove", options, async (signal) => {
      await this.#session.call("Remove", { jobID }, { signal });
    });
  }

  /**
   * Measures the resource usage of running jobs between two samples; pending ones come without.
   *
   * @param options Which jobs, and the time between the samples.
   * @returns One entry for each job that has not ended at the second sample, the newest first.
   * @throws {JobWorkerError} The server's refusal, or the connection's failure.
   */
  async stats(options: StatsOptions = {}): Promise<JobStats[]> {
    checkOptions("stats", options);
    const { labels = {}, intervalMs = STATS_INTERVAL_MS } = options;
    checkRecord("labels", labels);
    checkNumber("intervalMs", intervalMs);
    return await this.#do("stats", options, async (signal) => {
      const rated = await measureUsage(this.#session, { labels, intervalMs, signal });
      return rated.map(toStats);
    });
  }

  /**
   * Queries the server's version and settings, and the caller's name and roles.
   *
   * @param options A signal or a timeout for the call.
   * @returns The server's answer.
   * @throws {JobWorkerError} The server cannot be reached.
   */
  async info(options: CallControl = {}): Promise<ServerInfo> {
    checkOptions("call", options);
    return await this.#do(
      "info",
      options,
      async (signal) => toServerInfo(await this.#session.call("Info", {}, { signal })),
    );
  }

  /** Closes the connections. Pending calls end with `CLOSED`; jobs continue to run. */
  close(): void {
    this.#life.abort(new JobWorkerError("The client was closed.", "CLOSED"));
    this.#session[Symbol.dispose]();
  }

  /** The same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes one call within its signal and timeout. */
  async #do<Result>(
    what: string,
    control: CallControl,
    action: (signal: AbortSignal) => Promise<Result>,
  ): Promise<Result> {
    checkControl(control);
    using scope = new CallScope(what, this.#life.signal, control);
    try {
      scope.signal.throwIfAborted();
      return await action(scope.signal);
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }
}
