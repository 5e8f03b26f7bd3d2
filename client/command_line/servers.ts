/** The servers that a command line is for: usually one, with some verbs several. */
import type { Session } from "../connection/session.ts";
import { type Destination, destinationOf } from "../endpoint/choose_endpoint.ts";
import { type Config, configPath, contextOf, readConfig } from "../endpoint/config_file.ts";
import { splitContexts } from "../endpoint/context_names.ts";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { splitPlacedID } from "../jobs/placed_job.ts";
import type { Terminal } from "../terminal.ts";
import { openSession } from "./open_session.ts";
import type { CommonOptions } from "./options.ts";

/** What a verb is given to do its work. */
export interface VerbCall {
  readonly servers: Servers;
  readonly terminal: Terminal;
}

/** One of the servers that a verb calls. */
export interface ChosenServer {
  /** Its context, where it has one. */
  readonly context: string | undefined;
  /**
   * Reads the identity; a connection is made by the first call.
   *
   * @throws {ClientError} The address or the identity is not valid.
   */
  open(): Promise<Session>;
}

/** A job as a command line names it, and the server that has it. */
export interface JobTarget {
  readonly session: Session;
  /** An id, the beginning of one, or a name. */
  readonly jobID: string;
  /** The same with its context, as on the command line. */
  readonly name: string;
}

/** Opens a session for each server once, and closes all of them together. */
export class Servers implements Disposable {
  readonly #options: CommonOptions;
  readonly #terminal: Terminal;
  readonly #verb: string;
  /** Opened sessions by context; the key undefined stands for the only server. */
  readonly #sessions = new Map<string | undefined, Promise<Session>>();
  #config: Config | undefined;

  /** @param call The options, and the verb's name for messages. */
  constructor(
    { options, verb, terminal }: { options: CommonOptions; verb: string; terminal: Terminal },
  ) {
    this.#options = options;
    this.#verb = verb;
    this.#terminal = terminal;
  }

  /**
   * Whether several servers are called, so that each job has to be shown with its server.
   *
   * @throws {ClientError} As {@linkcode chosen} does.
   */
  get areSeveral(): boolean {
    return this.#options.allContexts === true || this.#names().length > 1;
  }

  /**
   * The server of a verb that calls one server.
   *
   * @throws {ClientError} Several are named, or the one that is named cannot be used.
   */
  one(): Promise<Session> {
    return this.#open(undefined);
  }

  /**
   * The server that has a job: the one of the context in front of its name (`prod/nightly`), else
   * the one that the command line is for.
   *
   * @throws {ClientError} There is no such context, or the command line says another one.
   */
  async ofJob(text: string): Promise<JobTarget> {
    const { context, jobID } = splitPlacedID(text);
    if (context === undefined) return { session: await this.one(), jobID, name: text };
    const { server, context: options = [context], allContexts } = this.#options;
    if (server !== undefined || allContexts || options.some((name) => name !== context)) {
      const other = server !== undefined
        ? "--server"
        : allContexts
        ? "--all-contexts"
        : "--context";
      throw new ClientError(
        `"${text}" names a job in the context ${context}, which contradicts ${other}: ` +
          `remove one of them.`,
        ExitStatus.usage,
      );
    }
    return { session: await this.#open(context), jobID, name: text };
  }

  /**
   * All servers to call, each once, in the order in which they are named.
   *
   * @throws {ClientError} One is named that does not exist, or options exclude each other.
   */
  chosen(): readonly ChosenServer[] {
    if (!this.areSeveral) {
      return [{ context: this.#destination(this.#names()[0]).context, open: () => this.one() }];
    }
    if (this.#options.server !== undefined) {
      throw new ClientError(
        "--server names one server: it cannot be used with several contexts.",
        ExitStatus.usage,
      );
    }
    const names = this.#names();
    // A mistyped name is reported before any server is called.
    for (const name of names) contextOf(this.#readConfig(), name);
    return names.map((context) => ({ context, open: () => this.#open(context) }));
  }

  /** The contexts that are chosen, each once. */
  #names(): readonly string[] {
    const { allContexts, context } = this.#options;
    if (!allContexts) {
      const variable = this.#terminal.environment("JOB_WORKER_CONTEXT");
      return context ?? (variable === undefined ? [] : splitContexts(variable));
    }
    if (context !== undefined) {
      throw new ClientError(
        "--all-contexts cannot be used with --context: give one or the other.",
        ExitStatus.usage,
      );
    }
    const names = Object.keys(this.#readConfig().contexts);
    if (names.length > 0) return names;
    throw new ClientError(
      'There are no contexts. Make one with "worker-client context add".',
      ExitStatus.usage,
    );
  }

  /** @param context A context by name; undefined: what the command line chooses. */
  #open(context: string | undefined): Promise<Session> {
    const opened = this.#sessions.get(context) ?? this.#openAnew(context);
    this.#sessions.set(context, opened);
    return opened;
  }

  async #openAnew(context: string | undefined): Promise<Session> {
    const destination = this.#destination(context ?? this.#onlyName());
    // Of several servers, one that is unreachable must not delay the others.
    const retriesFirst = (this.#options.retry ?? true) &&
      (context === undefined || !this.areSeveral);
    return await openSession(destination, { terminal: this.#terminal, retriesFirst });
  }

  #onlyName(): string | undefined {
    if (!this.areSeveral) return this.#names()[0];
    const names = this.#names().join(", ");
    const source = this.#options.allContexts
      ? "--all-contexts selects"
      : this.#options.context !== undefined
      ? "--context names"
      : "JOB_WORKER_CONTEXT names";
    throw new ClientError(
      `"${this.#verb}" works with one server, and ${source} several contexts (${names}): ` +
        `choose one with --context.`,
      ExitStatus.usage,
    );
  }

  #destination(chosen: string | undefined): Destination {
    const environment = (name: string) => this.#terminal.environment(name);
    return destinationOf(this.#options, { config: this.#readConfig(), chosen, environment });
  }

  #readConfig(): Config {
    return this.#config ??= readConfig(configPath(this.#terminal));
  }

  /** Closes all connections. */
  [Symbol.dispose](): void {
    for (const opened of this.#sessions.values()) {
      opened.then((session) => session[Symbol.dispose](), () => {
        // It was never opened; the caller has the reason.
      });
    }
  }
}
