/** What the conformance suite runs on: an executor, and the machines that its jobs run on. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import type {
  Adoption,
  AdoptionRequest,
  Begun,
  Executor,
  Phase,
  SubmitRequest,
  Tracked,
} from "../../lib/executor.ts";
import type { SignalName } from "../../common/signals.ts";
import type { Usage } from "../../lib/cgroup/types.ts";
import type { Limits } from "../../lib/limits.ts";
import type { Command, Ending } from "../../lib/model/ending.ts";
import { DEFAULT_SETTINGS, type JobSecrets, type JobSettings } from "../../lib/model/settings.ts";
import { inTime, until } from "../support/wait.ts";

/** An executor on trial. */
export interface Site extends AsyncDisposable {
  /** Of the present server. */
  readonly executor: Executor;
  /** Jobs' folders are made in it. */
  readonly folder: string;
  /** Ends the server, and begins another one; jobs go on meanwhile. */
  restart(): Promise<void>;
  /**
   * The command lines of all processes where jobs run, as every user there sees them.
   *
   * @param node Whose, where there are nodes.
   */
  commandLines(node?: string): Promise<string>;
  /** What each job there asks for; as by default, if not given. */
  readonly settings?: Partial<JobSettings>;
  /** How long the end of a job may take; as any wait of a test, if not given. */
  readonly endDeadlineMs?: number;
}

/** What a case starts; the rest is as by default. */
export interface Wanted {
  readonly settings?: Partial<JobSettings>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly limits?: Limits;
  readonly graceMs?: number;
}

/** What cases start. */
export class Job {
  readonly #site: Site;
  readonly request: SubmitRequest;
  tracked: Tracked | undefined;

  private constructor(site: Site, request: SubmitRequest) {
    this.#site = site;
    this.request = request;
  }

  /** Makes a job that is not submitted. */
  static async make(
    site: Site,
    [name = "", ...args]: readonly string[],
    { settings = {}, environment = {}, input = "", limits = {}, graceMs = 2000 }: Wanted = {},
  ): Promise<Job> {
    const jobId = crypto.randomUUID();
    const folder = join(site.folder, jobId);
    const command: Command = { name, args };
    const secrets: JobSecrets = { environment, input: new TextEncoder().encode(input) };
    const queue = { ...site.settings?.queue, ...settings.queue };
    const all = {
      ...DEFAULT_SETTINGS,
      ...site.settings,
      ...settings,
      ...(Object.keys(queue).length > 0 && { queue }),
    };
    const handle = site.executor.plan(jobId, limits, all);
    await Deno.mkdir(folder, { mode: 0o700 });
    const [output, errors] = [join(folder, "output"), join(folder, "errors")];
    const isSeparate = all.separateStderr === true;
    for (const file of isSeparate ? [output, errors] : [output]) {
      await Deno.writeTextFile(file, "", { mode: 0o600 });
    }
    return new Job(site, {
      jobId,
      handle,
      folder,
      owner: "alice",
      settings: all,
      command,
      secrets,
      limits,
      output,
      ...(isSeparate && { errors }),
      graceMs,
      after: all.queue?.after ?? [],
    });
  }

  /** Makes a job, and submits it. */
  static async submit(site: Site, command: readonly string[], wanted?: Wanted): Promise<Job> {
    const job = await Job.make(site, command, wanted);
    await job.submit();
    return job;
  }

  /** Runs a shell's script as a job. */
  static script(site: Site, text: string, wanted?: Wanted): Promise<Job> {
    return Job.submit(site, ["sh", "-c", text], wanted);
  }

  /** Changes the limits of the job. */
  async update(limits: Limits): Promise<Limits> {
    const names = new Set(Object.keys(limits) as (keyof Limits)[]);
    return await this.#site.executor.update(this.request, { limits, names });
  }

  get id(): string {
    return this.request.jobId;
  }

  get folder(): string {
    return this.request.folder;
  }

  async submit(): Promise<void> {
    this.tracked = await inTime("the submission", this.#site.executor.submit(this.request));
  }

  begun(): Promise<Begun> {
    return inTime("the job's beginning", this.#known.whenBegun);
  }

  ended(): Promise<Ending> {
    return inTime("the job's end", this.#known.ended, this.#site.endDeadlineMs);
  }

  /** Waits for its end, which is an exit. */
  async exited(): Promise<Extract<Ending, { kind: "exited" }>> {
    const ending = await this.ended();
    assert(ending.kind === "exited", JSON.stringify(ending));
    return ending;
  }

  async output(): Promise<string> {
    return await Deno.readTextFile(this.request.output);
  }

  async hasPrinted(text: string): Promise<void> {
    await until(`the output to have ${text}`, async () => (await this.output()).includes(text));
  }

  /** Its standard error, where that is kept apart. */
  async errors(): Promise<string> {
    const { errors } = this.request;
    assert(errors !== undefined);
    return await Deno.readTextFile(errors);
  }

  /** Sends its stop signal now, and SIGKILL later. */
  async stop(graceMs: number, mainOnly = false): Promise<void> {
    const { settings: { stopSignal: signal } } = this.request;
    const killAtMs = Date.now() + graceMs;
    await this.#site.executor.stop(this.request, { signal, killAtMs, mainOnly });
  }

  signal(name: SignalName, mainOnly = false): Promise<boolean> {
    return this.#site.executor.signal(this.request, name, { mainOnly });
  }

  /** What it uses, as far as that is known now. */
  async usage(): Promise<Usage> {
    const [usage] = await this.#site.executor.usages([this.request]);
    assert(usage !== undefined);
    return usage;
  }

  async adopt(phase: Phase): Promise<Adoption> {
    const request = this.asLeft(phase);
    const adoptions = await inTime("the adoption", this.#site.executor.adopt([request]));
    const adoption = adoptions.get(this.id);
    assert(adoption !== undefined, "it does not answer for each job");
    if (adoption.kind === "tracked") this.tracked = adoption;
    return adoption;
  }

  /** The job as an earlier server has left it. */
  asLeft(phase: Phase, handle = this.request.handle): AdoptionRequest {
    return { ...this.request, handle, phase, submittedAtMs: Date.now() };
  }

  /** The command lines of processes that have a word in them. */
  async processesWith(word: string): Promise<string[]> {
    const { node } = await this.begun();
    return (await this.#site.commandLines(node)).split("\n").filter((line) => line.includes(word));
  }

  get #known(): Tracked {
    assert(this.tracked !== undefined, "it was not submitted");
    return this.tracked;
  }
}
