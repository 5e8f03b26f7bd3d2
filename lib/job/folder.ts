/** The folders of jobs, `jobs/<id>/` below the log directory, or below the folder that nodes share. */
import { join } from "node:path";
import type { Capabilities } from "../executor.ts";
import { OutputLog } from "../logs.ts";
import { folderNames } from "../logs/folder_names.ts";
import { findKeptPart } from "../logs/kept_part.ts";
import { findKeptSegments } from "../logs/segments.ts";
import { removeFolder } from "../logs/remove_folder.ts";
import type { JobRecord } from "../model/record.ts";
import { readRegularText } from "../regular_file.ts";
import { parseRecord, storedText } from "../store/stored_record.ts";

type OutputNews = Capabilities["output"]["news"];

/** Where jobs' folders are, below that directory. */
const JOBS_FOLDER = "jobs";

/** The file that a job's output goes to. */
const OUTPUT_FILE = "output";

/** The file that says what is missing in the output; its launcher and its readers write it. */
const GAPS_FILE = "gaps";

/** The file that says when the output grew; the server writes it. */
const TIMES_FILE = "times";

/** The same three of the standard error, where that is kept apart. */
const ERRORS_FILE = "errors";
const ERROR_GAPS_FILE = "error-gaps";
const ERROR_TIMES_FILE = "error-times";

/** The job's record as it was at its start: where the records are lost, it is put on record again. */
const RECORD_FILE = "job";

/** A larger one is not read: what a start may ask for takes less (4 MiB of a message, as JSON). */
const MAX_RECORD_BYTES = 32 * 1024 ** 2;

/** The folders of all jobs of a server. */
export class JobFolders {
  readonly #root: string;
  readonly #news: OutputNews;

  /**
   * @param parent The log directory, or the folder that nodes share.
   * @param news How readers learn that an output has grown.
   */
  constructor(parent: string, news: OutputNews) {
    this.#root = join(parent, JOBS_FOLDER);
    this.#news = news;
  }

  /** Makes the folder that holds the jobs' folders, if it is missing. */
  async prepare(): Promise<void> {
    await Deno.mkdir(this.#root, { recursive: true, mode: 0o700 });
  }

  /** The path of a job's folder. */
  pathOf(id: string): string {
    return join(this.#root, id);
  }

  /** Where launchers of a job write, and what they read: its folder, or that of a later attempt in it. */
  launchPathOf({ id, attempt = 1 }: Pick<JobRecord, "id" | "attempt">): string {
    return attempt === 1 ? this.pathOf(id) : join(this.pathOf(id), `attempt-${attempt}`);
  }

  /** Makes the folder of a later attempt; one that is there is no error. */
  async makeLaunchPath(record: JobRecord): Promise<void> {
    await Deno.mkdir(this.launchPathOf(record), { recursive: true, mode: 0o700 });
  }

  /** The last attempt that has a folder. */
  async lastAttempt(id: string): Promise<number> {
    for (let attempt = 1;; attempt++) {
      const next = this.launchPathOf({ id, attempt: attempt + 1 });
      try {
        await Deno.lstat(next);
      } catch (error) {
        if (error instanceof Deno.errors.NotFound) return attempt;
        throw error;
      }
    }
  }

  /** The path of a job's output file. */
  outputPathOf(id: string): string {
    return join(this.pathOf(id), OUTPUT_FILE);
  }

  /** The path of the file with a job's standard error, where that is kept apart. */
  errorsPathOf(id: string): string {
    return join(this.pathOf(id), ERRORS_FILE);
  }

  /** The files that a job's launcher copies to. */
  outputFilesOf({ id, settings }: JobRecord): { output: string; errors?: string } {
    return {
      output: this.outputPathOf(id),
      ...(settings?.separateStderr && { errors: this.errorsPathOf(id) }),
    };
  }

  /** The standard error of a job that keeps it apart, for readers and for rotation. */
  errorsOf(record: JobRecord, { finished }: { readonly finished: boolean }): OutputLog | undefined {
    const { id, settings, stderrFirstOffset = 0, stderrBytes } = record;
    if (!settings?.separateStderr) return undefined;
    return new OutputLog(this.errorsPathOf(id), {
      firstOffset: stderrFirstOffset,
      finished,
      gapsPath: join(this.launchPathOf(record), ERROR_GAPS_FILE),
      timesPath: join(this.pathOf(id), ERROR_TIMES_FILE),
      news: this.#news,
      totalBytes: stderrBytes,
    });
  }

  /** The output of a job, for readers and for rotation. */
  outputOf(
    record: JobRecord,
    { finished }: { readonly finished: boolean },
  ): OutputLog {
    const { id, firstOffset, outputBytes } = record;
    return new OutputLog(this.outputPathOf(id), {
      firstOffset,
      finished,
      gapsPath: join(this.launchPathOf(record), GAPS_FILE),
      timesPath: join(this.pathOf(id), TIMES_FILE),
      news: this.#news,
      totalBytes: outputBytes,
    });
  }

  /**
   * Makes a job's folder with a copy of its record and empty output files.
   *
   * @throws When the disk is full, or the folder exists.
   */
  make(record: JobRecord): void {
    const { id } = record;
    Deno.mkdirSync(this.pathOf(id), { mode: 0o700 });
    Deno.writeTextFileSync(this.#recordPathOf(id), storedText(record), {
      createNew: true,
      mode: 0o600,
    });
    for (const path of Object.values(this.outputFilesOf(record))) {
      Deno.openSync(path, { write: true, createNew: true, mode: 0o600 }).close();
    }
  }

  /** The names of all folders and files where jobs' folders are, some at a time. */
  names(): AsyncGenerator<string[]> {
    return folderNames(this.#root);
  }

  /**
   * Reads the copy of a job's record.
   *
   * @throws When there is none, or it is damaged.
   */
  async readRecord(id: string): Promise<Omit<JobRecord, "firstOffset">> {
    return parseRecord(id, await readRegularText(this.#recordPathOf(id), MAX_RECORD_BYTES));
  }

  /** The offset from which on an output is kept, found in its file; 0: there is none. */
  async findFirstOffset(path: string): Promise<number> {
    try {
      return await (this.#news === "polling" ? findKeptSegments : findKeptPart)(path);
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return 0;
      throw error;
    }
  }

  #recordPathOf(id: string): string {
    return join(this.pathOf(id), RECORD_FILE);
  }

  /**
   * Removes a job's folder with all that is in it; one that is gone already is no error.
   *
   * @throws When something in it cannot be removed.
   */
  async remove(id: string): Promise<void> {
    // On a cluster, nodes write into it as the users of jobs.
    if (this.#news === "polling") return await removeFolder(this.pathOf(id));
    try {
      await Deno.remove(this.pathOf(id), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
}
