import { Option } from "commander";
import { isStandardInput } from "../../common/standard_input.ts";
import { stopUnlessEnded } from "../jobs/end.ts";
import { ClientError, ClosedOutputError, messageOf } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { follow, type Sink } from "../jobs/follow.ts";
import { defineTimestamps } from "../command_line/output_time.ts";
import { StampedSink } from "../screen/stamped_sink.ts";
import { BufferingHint, bufferingHintOf } from "../screen/buffering_hint.ts";
import type { SessionContext } from "../connection/session.ts";
import { InputProgress } from "../screen/input_progress.ts";
import { noteServerDiskFull } from "../screen/server_notes.ts";
import { hasSeparateStderr } from "../jobs/separate_stderr.ts";
import { QueueNotes } from "../jobs/queue_notes.ts";
import type { Verb } from "../command_line/verb.ts";
import type { Terminal } from "../terminal.ts";
import { defineProgram, startProgram } from "./start.ts";
import type { StopOptions } from "./stop.ts";
import { defineRetry, retryForMs, type RetryOptions } from "./stream.ts";
import { NoExitCodeError, waitForExit } from "./wait.ts";

/** How long a job goes on without reading before that is told. */
const UNREAD_NOTE_AFTER_MS = 1_000;

interface RunOptions extends RetryOptions, StopOptions {
  readonly timestamps?: true;
  readonly separateStderr?: true;
  readonly quiet?: true;
  readonly detach?: true;
  /** Variables, as `NAME=VALUE`. */
  readonly env?: readonly string[];
  /** The job is removed when it has ended. */
  readonly rm?: true;
  /** The file that the job's standard input comes from. */
  readonly stdin?: string;
  /** Standard input is sent to the job as it comes. */
  readonly interactive?: true;
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
      new Option(
        "-i, --interactive",
        "send standard input to the job as it comes, to its end",
      ).conflicts(["stdin", "openStdin", "detach"]),
    );
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

With -i the job reads this command's standard input while it is written: as much
as there is, no faster than the job reads. After a broken connection it goes on
where it was. On a terminal it is sent line by line, and Ctrl-D ends it.

Examples:
  worker-client run make -j2 test
  worker-client run --grace 30s sh -c 'sleep 5; exit 3'; echo $?
  tar c . | worker-client run -i tar x -C /srv`,
    );
  },

  async run({ servers, terminal }, command) {
    const context = { session: await servers.one(), terminal };
    const options = command.opts<RunOptions>();
    const readsInput = Object.values(command.optsWithGlobals()).some(isStandardInput);
    const isRead = readsInput || options.stdin !== undefined || options.interactive === true;
    if (!isRead && !options.quiet && await terminal.isFed()) {
      terminal.note("standard input is not passed to the job: add -i, or </dev/null to say so");
    }
    if (options.detach) {
      const jobID = await startProgram(context, command);
      terminal.write(new TextEncoder().encode(`${jobID}\n`));
      return ExitStatus.ok;
    }
    const hint = options.quiet ? undefined : bufferingHintOf(command.args, options.env);
    const run = new Run(context, { ...options, hint });
    return await run.finish(startProgram(context, command));
  },
};

/** A job in the foreground. */
class Run {
  readonly #context: SessionContext;
  readonly #options: RunOptions & { readonly hint: string | undefined };
  #jobID: string | undefined;
  #isAskedToStop = false;

  /** @param options `hint`: for who waits for output, see {@linkcode BufferingHint}. */
  constructor(
    context: SessionContext,
    options: RunOptions & { readonly hint: string | undefined },
  ) {
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
    const retry = retryForMs(this.#options);
    using notes = new QueueNotes(terminal, { isQuiet: this.#options.quiet ?? false });
    notes.add({ session, jobID, name: undefined });
    const over = new AbortController();
    const { signal } = over;
    using progress = new InputProgress(terminal, { isShown: this.#showsProgress });
    try {
      await Promise.race([
        this.#writeOutput(jobID, progress, signal),
        ...(this.#options.interactive ? [this.#failureOfInput(jobID, progress, signal)] : []),
      ]);
    } catch (error) {
      if (!(error instanceof ClosedOutputError)) throw error;
      // As SIGPIPE would end a program on this machine.
      await this.#stop(jobID);
    } finally {
      over.abort();
    }
    const exitCode = await waitForExit(this.#context, jobID, { retryForMs: retry });
    if (this.#options.rm) await this.#remove(jobID);
    return exitCode;
  }

  get #showsProgress(): boolean {
    const { isAttended, isTyped } = this.#context.terminal;
    return this.#options.interactive === true && !this.#options.quiet && isAttended && !isTyped;
  }

  /** Sends standard input to the job. Settles only where that fails, and rejects then. */
  async #failureOfInput(
    jobID: string,
    progress: InputProgress,
    signal: AbortSignal,
  ): Promise<never> {
    const { session, terminal } = this.#context;
    // Loaded when needed, like everything that uses gRPC (client/command_line/open_session.ts).
    const { sendInput } = await import("../jobs/send_input.ts");
    try {
      const isAllSent = await sendInput({
        jobID,
        source: terminal.input(),
        retryForMs: retryForMs(this.#options),
        onBytes: (length) => progress.add(length),
        onDiskFull: () => noteServerDiskFull(terminal),
      }, { session, signal });
      progress.end();
      if (!isAllSent && !this.#options.quiet) noteLater(terminal, jobID, signal);
    } catch (error) {
      // The job has ended, or is to be stopped.
      if (!signal.aborted) throw error;
    }
    return await new Promise<never>(() => {});
  }

  /** Writes the job's output to standard output, and what it keeps apart to standard error. */
  async #writeOutput(
    jobID: string,
    progress: InputProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { session, terminal } = this.#context;
    const { timestamps = false, separateStderr } = this.#options;
    const failed = new AbortController();
    const ended = AbortSignal.any([signal, failed.signal]);
    const write = async (stderr: boolean, sink: Sink) => {
      const reading = { jobID, stderr, offset: 0, follow: true, timestamps };
      try {
        await follow({ ...reading, retryForMs: retryForMs(this.#options) }, {
          session,
          sink: timestamps ? new StampedSink(sink) : sink,
          signal: ended,
        });
      } catch (error) {
        // The other one would go on, and say what became of the connection once more.
        if (!failed.signal.aborted) failed.abort(error);
        throw failed.signal.reason;
      }
    };
    const isSeparate = separateStderr && await hasSeparateStderr(session, jobID) !== false;
    using hint = new BufferingHint(terminal, this.#options.hint);
    const output: Sink = {
      write: (bytes) => {
        hint[Symbol.dispose]();
        progress.giveWay();
        terminal.write(bytes);
      },
      note: (text) => terminal.note(text),
    };
    const errors: Sink = {
      write: (bytes) => {
        hint[Symbol.dispose]();
        progress.giveWay();
        terminal.writeError(bytes);
      },
      note: (text) => terminal.note(`standard error: ${text}`),
    };
    await Promise.all([write(false, output), ...(isSeparate ? [write(true, errors)] : [])]);
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

/** A job that has ended reads nothing either, and that needs no words. */
function noteLater(terminal: Terminal, jobID: string, signal: AbortSignal): void {
  const timer = setTimeout(
    () => terminal.note(`job ${jobID} does not read its input any more; the rest is not sent`),
    UNREAD_NOTE_AFTER_MS,
  );
  signal.addEventListener("abort", () => clearTimeout(timer));
}
