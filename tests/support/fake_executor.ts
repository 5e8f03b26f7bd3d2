/**
 * A fake Executor: it runs nothing and knows no kernel. Unit tests of the job manager use it to end jobs
 * as they like, to see what the manager asks for, and to let each of its calls fail.
 */
import type {
  Adoption,
  AdoptionRequest,
  Executor,
  LaunchRequest,
  Running,
  SignalOptions,
} from "../../lib/executor.ts";
import type { Ending } from "../../lib/model/ending.ts";
import type { JobRecord } from "../../lib/model/record.ts";
import type { SignalName } from "../../common/signals.ts";
import { Failures } from "./failures.ts";

type Placement = JobRecord["placement"];

/** A process id that the host of the tests does not have. */
export const FAKE_PID = 4_194_305;

/** A job as the executor is told of it. */
type Target = { readonly placement: Placement };

/** Runs jobs in name only. */
export class FakeExecutor implements Executor {
  /** What was asked for, in order, as `METHOD ID` with what belongs to it. */
  readonly calls: string[] = [];
  readonly launches: LaunchRequest[] = [];
  readonly adoptionRequests: AdoptionRequest[] = [];
  /** What {@linkcode adopt} finds of a job, by id; what is not here never started. */
  readonly adoptions = new Map<string, Adoption>();
  /** What {@linkcode populated} finds. */
  strays: string[] = [];
  readonly failures = new Failures<keyof Executor>();
  /** Called when a job is launched, before the answer. */
  onLaunch: (request: LaunchRequest) => void | Promise<void> = () => {};
  /** Called when a job is killed, before the answer. */
  onKill: () => void | Promise<void> = () => {};
  /** Called when a job is sent its stop signal, before the answer. */
  onTerminate: () => void | Promise<void> = () => {};
  /** Called when counters are read, before the answer. */
  onUsages: () => void | Promise<void> = () => {};
  /** Whether a signal finds a process of the job. */
  reaches = true;
  /** Whether a job ends when it is killed. */
  endsWhenKilled = true;
  readonly #ends = new Map<string, PromiseWithResolvers<Ending>>();

  place(jobId: string): Placement {
    this.failures.check("place");
    return placementOf(jobId);
  }

  async launch(request: LaunchRequest): Promise<Running> {
    this.calls.push(`launch ${request.jobId}`);
    this.launches.push(request);
    await this.onLaunch(request);
    this.failures.check("launch");
    return { pid: FAKE_PID, ended: this.begin(request.jobId) };
  }

  async adopt(requests: readonly AdoptionRequest[]): Promise<Map<string, Adoption>> {
    await Promise.resolve();
    this.calls.push("adopt");
    this.adoptionRequests.push(...requests);
    this.failures.check("adopt");
    return new Map(requests.map(({ jobId }) => [
      jobId,
      this.adoptions.get(jobId) ?? { kind: "never-started" },
    ]));
  }

  async populated(): Promise<string[]> {
    await Promise.resolve();
    this.failures.check("populated");
    return this.strays;
  }

  async terminate(job: Target, signal: SignalName, options: SignalOptions = {}): Promise<void> {
    await Promise.resolve();
    this.calls.push(`terminate ${idOf(job)} ${signal}${audience(options)}`);
    await this.onTerminate();
    this.failures.check("terminate");
  }

  async signal(job: Target, signal: SignalName, options: SignalOptions = {}): Promise<boolean> {
    await Promise.resolve();
    this.calls.push(`signal ${idOf(job)} ${signal}${audience(options)}`);
    this.failures.check("signal");
    return this.reaches;
  }

  async kill(job: Target): Promise<void> {
    this.calls.push(`kill ${idOf(job)}`);
    await this.onKill();
    this.failures.check("kill");
    if (this.endsWhenKilled) this.end(idOf(job), { exitCode: 137, signal: 9 });
  }

  async holdDiskLimits(jobs: readonly { jobId: string; limits: unknown }[]): Promise<void> {
    await Promise.resolve();
    this.calls.push(`holdDiskLimits ${JSON.stringify(jobs)}`);
    this.failures.check("holdDiskLimits");
  }

  async remaining() {
    await Promise.resolve();
    this.failures.check("remaining");
    return [{ pid: FAKE_PID, state: "D" }, { pid: 1, state: "R" }];
  }

  async usages(placements: readonly Placement[]) {
    await this.onUsages();
    this.calls.push(`usages ${placements.length}`);
    this.failures.check("usages");
    return placements.map((_, index) => ({ processes: index + 1 }));
  }

  /** Lets a job run that is adopted. @returns Its end. */
  begin(id: string): Promise<Ending> {
    const end = Promise.withResolvers<Ending>();
    this.#ends.set(id, end);
    return end.promise;
  }

  /** Ends a job that runs; one that has ended stays as it is. */
  end(id: string, ending: Partial<Extract<Ending, { kind: "exited" }>> = {}): void {
    this.#ends.get(id)?.resolve(exited(ending));
  }

  /** Fails to tell how a job ended. */
  failToTellEnd(id: string, error: Error): void {
    this.#ends.get(id)?.reject(error);
  }
}

/** The ending of a job that has exited with status 0, unless told otherwise. */
export function exited(ending: Partial<Extract<Ending, { kind: "exited" }>> = {}): Ending {
  return {
    kind: "exited",
    exitCode: 0,
    signal: 0,
    oomKilled: false,
    usage: { cpuUsec: 5 },
    endedAtMs: 0,
    ...ending,
  };
}

/** Where a job would be: no such group exists. */
export function placementOf(jobId: string): Placement {
  return {
    groups: [`/fake/${jobId}`],
    tracker: `/fake/${jobId}`,
    populatedFile: `/fake/${jobId}/cgroup.events`,
    counters: [],
  };
}

function audience({ mainOnly }: SignalOptions): string {
  return mainOnly === true ? " main" : "";
}

function idOf({ placement }: Target): string {
  return placement.tracker.slice("/fake/".length);
}
