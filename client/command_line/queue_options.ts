/** The options of a start that waits, and those that only a server over a cluster takes. */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { QueueSpec } from "../jobs/job_spec.ts";
import { countWithin } from "../../common/quantities.ts";
import { splitPlacedID } from "../jobs/placed_job.ts";
import { CPUS_RANGE, isGpuRequest, NICE_RANGE } from "../jobs/queue.ts";
import { parseBeginMs } from "./begin_time.ts";
import { parsedOption } from "./options.ts";

/** As they are parsed. */
export interface QueueOptions extends Omit<QueueSpec, "beginAtMs"> {
  /** Milliseconds since 1970-01-01 UTC. */
  readonly begin?: number;
}

/** Adds the options. */
export function defineQueueOptions(command: Command): void {
  defineWaitOptions(command);
  const add = (option: Option) => command.addOption(option.helpGroup("Cluster:"));
  const addText = (flags: string, description: string) =>
    add(parsedOption(flags, description, { parse: parseText }));
  addText("--partition <name>", "the part of the cluster (default: the cluster's own)");
  addText("--account <name>", "whom the job is charged to");
  addText("--qos <name>", "its quality of service");
  add(
    parsedOption("--cpus <n>", "whole cores (default: as many as --cpu needs)", {
      parse: parseCpus,
    }),
  );
  add(
    parsedOption("--gpus <n>", "GPUs: a number, or TYPE:NUMBER", { parse: parseGpus }),
  );
  addText("--constraint <features>", "what the node must have, in the cluster's notation");
}

/** Adds those that make a job wait, on a host or a cluster. */
function defineWaitOptions(command: Command): void {
  const add = (option: Option) => command.addOption(option.helpGroup("Waiting:"));
  add(
    parsedOption("--queue <name>", "wait for its turn in this queue of the server's host", {
      parse: parseText,
    }),
  );
  add(
    parsedOption(
      "--begin <time>",
      "not before 14:30, 2026-05-04T14:30 or +2h, by the clock and time zone of this computer",
      { parse: (text) => parseBeginMs(text, Date.now()) },
    ),
  );
  add(
    new Option(
      "--after <job>",
      "not before this job has ended with exit code 0; may be repeated",
    ).argParser((text: string, earlier: string[] = []) => [...earlier, parseJob(text)]),
  );
}

/** What the options ask of the queue. */
export function toQueueSpec({ begin, ...options }: QueueOptions): QueueSpec {
  const { queue, partition, account, qos, nice, cpus, gpus, constraint, after } = options;
  return { queue, partition, account, qos, nice, cpus, gpus, constraint, beginAtMs: begin, after };
}

function parseText(text: string): string {
  if (text.trim() !== "") return text;
  throw new RangeError("Expected a text that is not empty.");
}

/** The number of `--nice`. */
export function parseNice(text: string): number {
  const nice = /^[+-]?\d+$/.test(text) ? Number(text) : NaN;
  if (nice >= NICE_RANGE.min && nice <= NICE_RANGE.max) return nice;
  throw new RangeError("Expected a whole number such as 100 or -5.");
}

/** Reads a number of whole cores. @throws {RangeError} It is none. */
export function parseCpus(text: string): number {
  const cpus = countWithin(text, CPUS_RANGE.min, CPUS_RANGE.max);
  if (cpus === undefined) throw new RangeError("Expected a whole number, 1 or more.");
  return cpus;
}

/** Reads a number of GPUs, perhaps with their type. @throws {RangeError} It is none. */
export function parseGpus(text: string): string {
  if (isGpuRequest(text)) return text;
  throw new RangeError("Expected a number, or TYPE:NUMBER, such as 2 or a100:2.");
}

/** Reads the id or the name of a job of the same server. @throws {InvalidArgumentError} It is none. */
export function parseJob(text: string): string {
  if (text.trim() === "") throw new InvalidArgumentError("Expected a job's id or name.");
  if (splitPlacedID(text).context === undefined) return text;
  throw new InvalidArgumentError(
    "Expected a job without a context: it has to be on the server of the start.",
  );
}
