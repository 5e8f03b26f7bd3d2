/** A job on the cluster by its batch script alone: what a node does, without our server. */
import { strict as assert } from "node:assert";
import { basename, join } from "node:path";
import { batchOf, type BatchRequest } from "../../../lib/executor/slurm/batch.ts";
import {
  answerTo,
  type Order,
  order,
  type OrderAnswer,
} from "../../../lib/executor/slurm/control.ts";
import { DEFAULT_SETTINGS, type JobSettings } from "../../../lib/model/settings.ts";
import { PROGRAM_PATH } from "../../../lib/shim/shell.ts";
import { until } from "../wait.ts";
import type { Cluster } from "./cluster.ts";

/** How often the listener is woken until it answers. */
const WAKE_AGAIN_MS = 4_000;

/** What a job of a test is; the rest is as by default. */
export interface BatchJobOptions {
  readonly command: readonly string[];
  readonly settings?: Partial<JobSettings>;
  readonly environment?: Readonly<Record<string, string>>;
  readonly input?: string;
  readonly limits?: BatchRequest["limits"];
  readonly graceMs?: number;
  /** Further arguments of sbatch. */
  readonly flags?: readonly string[];
  /** The Unix user that it runs as. */
  readonly uid?: number;
}

/** A job that was submitted. */
export class BatchJob {
  readonly #cluster: Cluster;
  readonly folder: string;
  /** Slurm's number of it. */
  readonly number: string;

  private constructor(cluster: Cluster, folder: string, number: string) {
    this.#cluster = cluster;
    this.folder = folder;
    this.number = number;
  }

  static async submit(cluster: Cluster, options: BatchJobOptions): Promise<BatchJob> {
    const { command: [name = "", ...args], uid = 0 } = options;
    const jobId = crypto.randomUUID();
    const folder = join(cluster.folder, "jobs", jobId);
    await Deno.mkdir(folder, { recursive: true, mode: 0o755 });
    const { script, files } = batchOf({
      jobId,
      folder,
      output: join(folder, "output"),
      gaps: join(folder, "gaps"),
      orders: join(folder, "control"),
      watch: join(folder, "watch"),
      command: { name, args },
      settings: { ...DEFAULT_SETTINGS, ...options.settings },
      secrets: {
        environment: options.environment ?? {},
        input: new TextEncoder().encode(options.input ?? ""),
      },
      limits: options.limits ?? {},
      graceMs: options.graceMs ?? 1000,
      runsAsRoot: uid === 0,
    });
    for (
      const { name, mode, content } of [...files, { name: "output", mode: 0o600, content: "" }]
    ) {
      const path = join(folder, name);
      if (typeof content === "string") await Deno.writeTextFile(path, content, { mode });
      else await Deno.writeFile(path, content, { mode });
      await Deno.chown(path, uid, uid);
    }
    await Deno.chown(folder, uid, uid);
    await Deno.writeTextFile(join(folder, "script"), script);
    const flags = [...uid === 0 ? [] : [`--uid=${uid}`, `--gid=${uid}`], ...options.flags ?? []];
    return await BatchJob.#sbatch(cluster, folder, flags);
  }

  static async #sbatch(
    cluster: Cluster,
    folder: string,
    flags: readonly string[],
  ): Promise<BatchJob> {
    const { code, stdout, stderr } = await cluster.run([
      "env",
      "--ignore-environment",
      `SLURM_CONF=${cluster.confFile}`,
      `PATH=${PROGRAM_PATH}`,
      "sbatch",
      "--parsable",
      "--no-requeue",
      "--chdir=/",
      "--export=ALL",
      "--propagate=NONE",
      "--open-mode=append",
      `--job-name=${basename(folder)}`,
      `--output=${folder}/engine.out`,
      ...flags,
      join(folder, "script"),
    ]);
    assert.equal(code, 0, stderr);
    return new BatchJob(cluster, folder, stdout.trim());
  }

  /** The same job once more, as an engine that has forgotten of it might run it. */
  submitAgain(): Promise<BatchJob> {
    return BatchJob.#sbatch(this.#cluster, this.folder, []);
  }

  /** Lets a job run that was submitted with `--hold`. */
  async release(): Promise<void> {
    const { code, stderr } = await this.#cluster.run(["scontrol", "release", this.number]);
    assert.equal(code, 0, stderr);
  }

  /** A file of its folder; empty where there is none. */
  async text(name: string): Promise<string> {
    return await Deno.readTextFile(join(this.folder, name)).catch(() => "");
  }

  /** The lines of the launch record, without the blanks that it was filled with. */
  async record(): Promise<string[]> {
    return (await this.text("launch")).split("\n").slice(0, -1);
  }

  /** Waits until the output has a text. */
  async hasPrinted(text: string): Promise<void> {
    await until(
      `the output to have ${text}`,
      async () => (await this.text("output")).includes(text),
    );
  }

  /** Waits for the end as the launch record tells it. @returns The record's lines. */
  async ended(): Promise<string[]> {
    return await until("the job's end", async () => {
      const lines = await this.record();
      return lines.at(-1) === "end" && lines;
    });
  }

  /** Waits until Slurm, too, has done with it. @returns Its last state, and its exit status. */
  async left(): Promise<string> {
    return await until("Slurm to have done with the job", async () => {
      const { stdout } = await this.#cluster.run(["scontrol", "-o", "show", "job", this.number]);
      const [, state = "", status] = /JobState=(\S+).* ExitCode=(\S+)/.exec(stdout) ?? [];
      return !/PENDING|RUNNING|COMPLETING|^$/.test(state) && `${state} ${status}`;
    });
  }

  /** Gives an order, wakes the listener, again as the server does, and waits for its answer. */
  async order(what: Order): Promise<OrderAnswer> {
    const number = await order(this.folder, what);
    let wakeAtMs = 0;
    return await until("an answer to the order", async () => {
      if (Date.now() >= wakeAtMs) {
        await this.#cluster.run(["scancel", "--full", "--signal=USR1", this.number]);
        wakeAtMs = Date.now() + WAKE_AGAIN_MS;
      }
      return await answerTo(this.folder, number);
    });
  }
}

/** The line of a record that begins with a word, without the word. */
export function lineOf(record: readonly string[], word: string): string | undefined {
  return record.find((line) => line.startsWith(`${word} `))?.slice(word.length + 1);
}
