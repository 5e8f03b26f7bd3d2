/** Finds jobs: by id, by the beginning of an id, by name. */
import { isIdPrefix, isJobId } from "../../common/job_id.ts";
import { JobError, quoted } from "../errors.ts";
import type { OutputLog } from "../logs.ts";
import { hasEnded, type JobRecord, type JobState } from "../model/record.ts";
import type { JobStore } from "../store.ts";
import type { ActiveJob, ActiveJobs } from "./active_jobs.ts";
import type { JobFolders } from "./folder.ts";

/** Of jobs whose ids begin alike, no more than this are read to find one that the caller may see. */
const MAX_SAME_PREFIX = 100;

/** What {@linkcode Lookup} works with. */
export interface LookupParts {
  readonly store: JobStore;
  readonly folders: JobFolders;
  readonly active: ActiveJobs;
}

/** Whether the caller may know of the jobs of an owner. */
export type IsVisible = (owner: string) => boolean;

/** Finds jobs in memory and in the store. */
export class Lookup {
  readonly #parts: LookupParts;

  constructor(parts: LookupParts) {
    this.#parts = parts;
  }

  /** The record with an id, in its latest state; also of a job that is only being started. */
  find(id: string): JobRecord | undefined {
    const { store, active } = this.#parts;
    return isJobId(id) ? active.get(id)?.record ?? store.get(id) : undefined;
  }

  /** @throws {JobError} "not-found" where there is no such job, or it is only being started. */
  begun(id: string): JobRecord {
    return requireBegun(this.find(id), id);
  }

  /** @throws {JobError} "not-found", or "precondition" for a job that has ended. */
  running(id: string, verb: string): ActiveJob {
    const { state } = this.begun(id);
    const job = this.#parts.active.get(id);
    if (job !== undefined && !hasEnded(state)) return job;
    throw new JobError("precondition", `Cannot ${verb} job ${id}: it ${howEnded(state)}`);
  }

  /** The output of a job: of an active one always the same object, which its readers share. */
  outputOf(record: JobRecord): OutputLog {
    const { folders, active } = this.#parts;
    return active.get(record.id)?.output ?? folders.outputOf(record, { finished: true });
  }

  /** The same of its standard error; undefined where that is not kept apart. */
  errorsOf(record: JobRecord): OutputLog | undefined {
    const { folders, active } = this.#parts;
    const job = active.get(record.id);
    return job === undefined ? folders.errorsOf(record, { finished: true }) : job.errors;
  }

  /** See {@linkcode JobManager.resolve}. */
  resolve(text: string, isVisible: IsVisible, caller: string | undefined): string {
    const found = this.find(text) ?? this.#named(text, isVisible, caller);
    if (found !== undefined) {
      return requireBegun(isVisible(found.owner) ? found : undefined, text).id;
    }
    const records = this.#withPrefix(text, isVisible);
    if (records.length > 1) {
      throw new JobError("invalid", `More than one job's id begins with ${text}; give more of it`);
    }
    return requireBegun(records[0], text).id;
  }

  /**
   * The job with a name: the caller's own newest one; else, among those that the caller may see, the one
   * that runs, or the newest one. So nobody takes the place of another's job by its name.
   */
  #named(title: string, isVisible: IsVisible, caller: string | undefined): JobRecord | undefined {
    const { store, active } = this.#parts;
    const own = caller === undefined ? undefined : store.getByTitleOf(caller, title);
    if (own !== undefined) return own;
    const running = [...active].map(({ record }) => record)
      .filter(({ owner, settings }) =>
        title !== "" && settings?.title === title && isVisible(owner)
      );
    if (running.length > 1) {
      throw new JobError(
        "invalid",
        `More than one user runs a job with the name ${title}; give the id of the one that you mean`,
      );
    }
    return running[0] ?? this.#newest(title, isVisible);
  }

  #newest(title: string, isVisible: IsVisible): JobRecord | undefined {
    const hidden: string[] = [];
    for (;;) {
      const record = this.#parts.store.getByTitle(title, hidden);
      if (record === undefined || isVisible(record.owner)) return record;
      hidden.push(record.owner);
    }
  }

  #withPrefix(prefix: string, isVisible: IsVisible): JobRecord[] {
    if (!isIdPrefix(prefix)) return [];
    return this.#parts.store.withPrefix(prefix, MAX_SAME_PREFIX)
      .map((record) => this.#parts.active.get(record.id)?.record ?? record)
      .filter(({ owner, state }) => isVisible(owner) && state.kind !== "starting");
  }
}

function howEnded({ kind }: JobState): string {
  if (kind === "never-ran") return "never ran";
  return kind === "lost" ? "is lost" : "has already exited";
}

function requireBegun(record: JobRecord | undefined, name: string): JobRecord {
  if (record !== undefined && record.state.kind !== "starting") return record;
  throw new JobError("not-found", `No job has the id ${quoted(name, 64)}`);
}
