import { Option } from "commander";
import { isStandardInput } from "../../common/standard_input.ts";
import { stopUnlessEnded } from "../jobs/end.ts";
import { ClientError, ClosedOutputError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { follow } from "../jobs/follow.ts";
import { defineTimestamps } from "../command_line/output_time.ts";
import { StampedSink } from "../screen/stamped_sink.ts";
import type { SessionContext } from "../connection/session.ts";
import { QueueNotes } from "../jobs/queue_notes.ts";
import type { Verb } from "../command_line/verb.ts";
import { defineProgram, startProgram } from "./start.ts";
import type { StopOptions } from "./stop.ts";
import { defineRetry, retryForMs, type RetryOptions } from "./stream.ts";
import { NoExitCodeError, waitForExit } from "./wait.ts";

interface RunOptions extends RetryOptions, StopOptions {
  readonly timestamps?: true;
  readonly quiet?: true;
  readonly detach?: true;
  /** The job is removed when it has ended. */
  readonly rm?: true;
  /** The file that the job's standard input comes from. */
  readonly stdin?: string;
}

/** `run CMD [ARGS...]`: starts a job, writes its output and exits as it did. */
export const runVerb: Verb = {
  name: "run",
  failureStatus: ExitStatus.ownFailure,

  define(command) {
    command.summary("start a job, write its output, exit as it did");
    command.description(
      "Starts a command on the server as a job, writes its output and exits with its exit code. " +
        "The job's id is printed on standard error.",
    );
    defineProgram(command);
    defineTimestamps(command, "--timestamps");
    defineRetry(command);
    command.addOption(
      new Option("-q, --quiet", "print neither the job's id nor hints: queue, standard input"),
    );
    command.addOption(
      new Option("-d, --detach", "only start the job and print its id, as start -q").conflicts(
        "rm",
      ),
    );
    command.addOption(new Option("--rm", "remove the job and its output when it has ended"));
    command.addHelpText(
      "after",
      `
Options go before the program; everything after the program's name is passed to
the program.

Ctrl-C (or SIGTERM) stops the job; a second one leaves the job running and exits
with 130. The job is also stopped when standard output is closed (as by head).
Exits with 125 when the job cannot be started or followed, or never ran.

Examples:
  worker-client run make -j2 test
  worker-client run --grace 30s sh -c 'sleep 5; exit 3'; echo $?`,
    );
  },

  async run({ servers, terminal }, command) {
    const context = { session: await servers.one(), terminal };
    const options = command.opts<RunOptions>();
    const readsInput = Object.values(command.optsWithGlobals()).some(isStandardInput);
    if (!readsInput && options.stdin === undefined && !options.quiet && await terminal.isFed()) {
      terminal.note(
        "standard input is not passed to the job: add --stdin -, or </dev/null to say so",
      );
    }
    if (options.detach) {
      const jobID = await startProgram(context, command);
      terminal.write(new TextEncoder().encode(`${jobID}\n`));
      return ExitStatus.ok;
    }
    const run = new Run(context, options);
    return await run.finish(startProgram(context, command));
  },
};

/** A job in the foreground. */
class Run {
  readonly #context: SessionContext;
  readonly #options: RunOptions;
  #jobID: string | undefined;
  #isAskedToStop = false;

  constructor(context: SessionContext, options: RunOptions) {
    this.#context = context;
    this.#options = options;
  }

  /**
   * Follows the job to its end.
   *
   * @param starting Resolves to the job's id.
   * @returns The job's exit code, or 130 when the user has left it running.
   */
  async finish(starting: Promise<string>): Promise<number> {
    let release = () => {};
    const detached = new Promise<number>((resolve) => {
      release = this.#context.terminal.onInterrupt(() => {
        if (this.#isAskedToStop) resolve(this.#detach());
        else this.#interrupt();
      });
    });
    try {
      return await Promise.race([detached, this.#followToEnd(starting)]);
    } finally {
      release();
    }
  }

  async #followToEnd(starting: Promise<string>): Promise<number> {
    const jobID = await starting;
    this.#jobID = jobID;
    if (!this.#options.quiet) this.#context.terminal.note(`Job ID: ${jobID} Started`);
    // An interrupt that came before the id was known.
    if (this.#isAskedToStop) await this.#stop(jobID);
    try {
      return await this.#followStarted(jobID);
    } catch (error) {
      if (!(error instanceof ClientError) || error instanceof NoExitCodeError) throw error;
      throw new ClientError(`${error.message} Job ${jobID} was not stopped.`, error.exitStatus);
    }
  }

  async #followStarted(jobID: string): Promise<number> {
    const { session, terminal } = this.#context;
    const { timestamps = false } = this.#options;
    const sink = timestamps ? new StampedSink(terminal) : terminal;
    const retry = retryForMs(this.#options);
    using notes = new QueueNotes(terminal, { isQuiet: this.#options.quiet ?? false });
    notes.add({ session, jobID, name: undefined });
    try {
      const reading = { jobID, offset: 0, follow: true, timestamps, retryForMs: retry };
      await follow(reading, { session, sink });
    } catch (error) {
      if (!(error instanceof ClosedOutputError)) throw error;
      // As SIGPIPE would end a program on this machine.
      await this.#stop(jobID);
    }
    const exitCode = await waitForExit(this.#context, jobID, { retryForMs: retry });
    if (this.#options.rm) await this.#remove(jobID);
    return exitCode;
  }

  /** What was asked for has been done: that the job stays is only noted. */
  async #remove(jobID: string): Promise<void> {
    try {
      await this.#context.session.call("Remove", { jobID });
    } catch (error) {
      this.#context.terminal.note(`job ${jobID} is not removed: ${messageOf(error)}`);
    }
  }

  #interrupt(): void {
    this.#isAskedToStop = true;
    const jobID = this.#jobID;
    this.#context.terminal.note(
      jobID === undefined
        ? "stopping the job as soon as it is started; Ctrl-C again leaves it running"
        : `stopping job ${jobID}; Ctrl-C again leaves it running`,
    );
    if (jobID !== undefined) this.#stop(jobID);
  }

  async #stop(jobID: string): Promise<void> {
    try {
      await stopUnlessEnded(this.#context.session, { jobID, graceMs: this.#options.grace });
    } catch (error) {
      this.#context.terminal.note(messageOf(error));
    }
  }

  #detach(): number {
    this.#context.terminal.note(
      this.#jobID === undefined
        ? "leaving before the job's id is known; the job may be running"
        : `leaving job ${this.#jobID} running; "worker-client stream ${this.#jobID}" shows its output`,
    );
    return ExitStatus.interrupted;
  }
}
