import process from "node:process";
import { DEFAULT_SERVER, parseAddress } from "../endpoint/address.ts";
import { chooseEndpoint } from "../endpoint/choose_endpoint.ts";
import { stopJob, waitForJob } from "../jobs/end.ts";
import type { Endpoint } from "../endpoint/endpoint.ts";
import { resolveJobID } from "../jobs/resolve_id.ts";
import { toListRequest } from "../jobs/state.ts";
import { listJobs } from "../jobs/list.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import { Session } from "../connection/session.ts";
import { startJob, toStartRequest } from "../jobs/start.ts";
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
  toJobFilter,
  toJobSpec,
} from "./arguments.ts";
import { CallScope } from "./call_scope.ts";
import { toJobWorkerError } from "./error_mapping.ts";
import { JobWorkerError } from "./errors.ts";
import type { Gap } from "./gap.ts";
import { identityOf } from "./identity.ts";
import { toJob, toServerInfo, toStats } from "./job.ts";
import { toLines } from "./lines.ts";
import { OutputStream } from "./output_stream.ts";
import { runJob } from "./run_job.ts";
import type {
  CallControl,
  ConnectionOptions,
  EnvironmentOptions,
  Job,
  JobStats,
  ListOptions,
  OpenOptions,
  RunOptions,
  RunResult,
  ServerInfo,
  StartOptions,
  StatsOptions,
  StopOptions,
  StreamOptions,
  WaitOptions,
} from "./types.ts";

/** Rates are what has come between two looks, so long apart. */
const STATS_INTERVAL_MS = 1_000;

/**
 * A worker-server, and who the program is to it.
 *
 * Calls may be made at the same time; they share one connection, and each stream has its own. All
 * are made when needed, and made anew when they broke. While a connection is open the program does
 * not end by itself: close the client, best by `using`.
 *
 * A job is named by its id, by the beginning of it, or by its title.
 *
 * @example
 * ```ts ignore
 * using client = await JobWorkerClient.connect({ server: "worker1:50051", identity: "alice.pem" });
 * const jobID = await client.start(["make", "test"], { workingDirectory: "/srv/app" });
 * for await (const chunk of client.stream(jobID)) {
 *   if (chunk instanceof Uint8Array) await Deno.stdout.write(chunk);
 * }
 * const { exitCode } = await client.wait(jobID);
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
   * Reads and checks the identity. Nothing is dialed before the first call.
   *
   * @param options Where the server is, and who the program is to it.
   * @returns The client; the caller closes it.
   * @throws {JobWorkerError} `INVALID_ARGUMENT`, or `IDENTITY` with what is wrong with it.
   */
  static open(options: OpenOptions): JobWorkerClient {
    try {
      checkText("server", options.server);
      const address = parseAddress(options.server ?? DEFAULT_SERVER);
      return new JobWorkerClient({ address, identity: identityOf(options) }, options);
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }

  /**
   * Does what `open` does, and connects.
   *
   * @param options Where the server is, who the program is to it, and how long that may take.
   * @returns The client; the caller closes it.
   * @throws {JobWorkerError} As `open`, and `UNAVAILABLE` where there is no way to the server.
   */
  static async connect(options: OpenOptions & CallControl): Promise<JobWorkerClient> {
    checkControl(options);
    const client = JobWorkerClient.open(options);
    try {
      await client.#do("connect", options, (signal) => client.#session.ready(signal));
      return client;
    } catch (error) {
      client.close();
      throw error;
    }
  }

  /**
   * Finds server and identity where the command line does: the options, the environment
   * (`JOB_WORKER_SERVER` and so on), the config file's contexts, and the default places. Nothing is
   * dialed before the first call. It works on Deno only.
   *
   * @param options What goes before all that. Parts of the identity are paths here.
   * @returns The client; the caller closes it.
   * @throws {JobWorkerError} As `open`.
   */
  static fromEnvironment(options: EnvironmentOptions = {}): JobWorkerClient {
    try {
      const names = ["server", "context", "identity", "ca", "cert", "key"] as const;
      for (const name of names) checkText(name, options[name]);
      const environment = (name: string) => process.env[name] || undefined;
      return new JobWorkerClient(chooseEndpoint(options, { environment }), options);
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }

  /** `HOST:PORT` of the server. */
  get server(): string {
    return this.#session.server;
  }

  /** The common name of the program's certificate: what the server knows it by. */
  get userName(): string {
    return this.#session.userName;
  }

  /** When the program's certificate expires. */
  get expiresAt(): Date {
    return this.#expiresAt;
  }

  /**
   * Starts a job. A lost answer is asked for again, and the job runs once.
   *
   * @param command The program and its arguments, as they are: no shell is between.
   * @param options How it is run.
   * @returns The job's id.
   * @throws {JobWorkerError} `UNKNOWN_OUTCOME` where it may run or not; any other code: it does not,
   * but for `DEADLINE_EXCEEDED` and an abort, which say nothing about it: choose an idempotency key.
   */
  async start(command: readonly string[], options: StartOptions = {}): Promise<string> {
    checkCommand(command);
    const spec = toJobSpec(options);
    return await this.#do("start", options, async (signal) => {
      const request = toStartRequest(command, spec);
      return await startJob(this.#session, request, { signal });
    });
  }

  /**
   * Starts a job, takes its output and waits for its end. Where that is given up, by an abort or
   * since one of the functions throws, the job is stopped, unless `stopOnAbort` says no. Closing the
   * client stops nothing.
   *
   * @param command The program and its arguments.
   * @param options How it is run, and who takes its output.
   * @returns How it ended; a job that failed is no error.
   * @throws {JobWorkerError} It could not be started or followed.
   */
  async run(command: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    return await this.#do(
      "run",
      options,
      (signal) =>
        runJob(command, options, { session: this.#session, signal, life: this.#life.signal }),
    );
  }

  /**
   * Stops a job, and returns when all its processes are gone: the stop signal, the grace period,
   * then SIGKILL.
   *
   * @param jobID Which.
   * @param options The grace period.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it has already ended.
   */
  async stop(jobID: string, options: StopOptions = {}): Promise<void> {
    checkJobID(jobID);
    checkGrace(options.graceMs);
    await this.#do("stop", options, async (signal) => {
      const whole = await resolveJobID(this.#session, jobID, signal);
      await stopJob(this.#session, { jobID: whole, graceMs: options.graceMs }, { signal });
    });
  }

  /**
   * Asks how a job is doing.
   *
   * @param jobID Which.
   * @param options What ends the call.
   * @returns The job as it is now.
   * @throws {JobWorkerError} `NOT_FOUND`.
   */
  async query(jobID: string, options: CallControl = {}): Promise<Job> {
    checkJobID(jobID);
    return await this.#do(
      "query",
      options,
      async (signal) => toJob(await this.#session.call("Query", { jobID }, { signal })),
    );
  }

  /**
   * Lists jobs, the newest first: running ones and those that have ended, unless options say which.
   * Further pages are asked for when the loop comes to them.
   *
   * @param options Which.
   * @returns To be iterated, once.
   * @throws {JobWorkerError} As the server says; then by the iteration.
   */
  list(options: ListOptions = {}): AsyncGenerator<Job, void, void> {
    checkControl(options);
    return this.#list(toListRequest(toJobFilter(options)), options);
  }

  async *#list(
    request: Parameters<typeof listJobs>[1],
    options: ListOptions,
  ): AsyncGenerator<Job, void, void> {
    using scope = new CallScope("list", this.#life.signal, options);
    const { signal } = scope;
    try {
      for await (const job of listJobs(this.#session, request, { limit: options.limit, signal })) {
        signal.throwIfAborted();
        yield toJob(job);
      }
    } catch (error) {
      throw toJobWorkerError(error);
    }
  }

  /**
   * A job's output, as it comes, until the job ends.
   *
   * @param jobID Which.
   * @param options Where to begin, whether to go on, and what happens when the connection breaks.
   * @returns To be iterated, once: bytes, and a `Gap` in the place of what was rotated away.
   * @throws {JobWorkerError} The options make no sense; all else is thrown by the iteration.
   */
  stream(jobID: string, options: StreamOptions = {}): OutputStream {
    checkJobID(jobID);
    checkControl(options);
    checkStreamOptions(options);
    return new OutputStream({ session: this.#session, life: this.#life.signal }, jobID, options);
  }

  /**
   * A job's output as lines of text, without their ends. Bytes that are no UTF-8 become U+FFFD, and a
   * line of more than 1,048,576 characters comes in pieces.
   *
   * @param jobID Which.
   * @param options As for `stream`.
   * @returns To be iterated, once: lines, and a `Gap` in the place of what was rotated away.
   * @throws {JobWorkerError} As `stream`.
   */
  lines(jobID: string, options: StreamOptions = {}): AsyncGenerator<string | Gap, void, void> {
    return toLines(this.stream(jobID, options));
  }

  /**
   * Waits until a job has ended, over as many connections as it takes.
   *
   * @param jobID Which.
   * @param options What ends the wait.
   * @returns The job at its end; its `exitCode` is null where it was lost.
   * @throws {JobWorkerError} `NOT_FOUND`, or `UNAVAILABLE` after `retryForMs`.
   */
  async wait(jobID: string, options: WaitOptions = {}): Promise<Job> {
    checkJobID(jobID);
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
   * Sends a signal to all processes of a running job.
   *
   * @param jobID Which.
   * @param signal Such as `SIGHUP` or `HUP`.
   * @param options What ends the call.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it has already ended.
   */
  async signal(jobID: string, signal: string, options: CallControl = {}): Promise<void> {
    checkJobID(jobID);
    checkText("signal", signal ?? null);
    await this.#do("signal", options, async (end) => {
      await this.#session.call("Signal", { jobID, signal }, { signal: end });
    });
  }

  /**
   * Forgets a job that has ended, and deletes its output.
   *
   * @param jobID Which.
   * @param options What ends the call.
   * @throws {JobWorkerError} `FAILED_PRECONDITION` where it still runs.
   */
  async remove(jobID: string, options: CallControl = {}): Promise<void> {
    checkJobID(jobID);
    await this.#do("remove", options, async (signal) => {
      await this.#session.call("Remove", { jobID }, { signal });
    });
  }

  /**
   * Measures what running jobs use, between two looks.
   *
   * @param options Which jobs, and how far the looks are apart.
   * @returns One for each job that runs at the second look, the newest first.
   * @throws {JobWorkerError} As the server says.
   */
  async stats(options: StatsOptions = {}): Promise<JobStats[]> {
    const { labels = {}, intervalMs = STATS_INTERVAL_MS } = options;
    checkRecord("labels", labels);
    checkNumber("intervalMs", intervalMs);
    return await this.#do("stats", options, async (signal) => {
      const rated = await measureUsage(this.#session, { labels, intervalMs, signal });
      return rated.map(toStats);
    });
  }

  /**
   * Asks what the server is, and who the program is to it.
   *
   * @param options What ends the call.
   * @returns What it says.
   * @throws {JobWorkerError} There is no way to it.
   */
  async info(options: CallControl = {}): Promise<ServerInfo> {
    return await this.#do(
      "info",
      options,
      async (signal) => toServerInfo(await this.#session.call("Info", {}, { signal })),
    );
  }

  /** Ends the connections. Calls that are under way end with `CLOSED`; jobs go on. */
  close(): void {
    this.#life.abort(new JobWorkerError("The client was closed.", "CLOSED"));
    this.#session[Symbol.dispose]();
  }

  /** The same as `close`, for `using`. */
  [Symbol.dispose](): void {
    this.close();
  }

  /** Makes one call, within its bounds. */
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
