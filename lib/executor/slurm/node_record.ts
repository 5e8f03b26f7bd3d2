/**
 * The launch record of a job that a node runs: the one authority on whether its command has begun and how it
 * ended. lib/shim/batch.sh writes it as lib/shim/launch.sh does, with lines of its own:
 *
 *   node NAME            after `launcher`
 *   refused KIND         and details, a line each, until `end`: the command has not begun and will not
 *   timed-out            before `exit`: the launcher has stopped the job since its timeout was over
 *   output BYTES         before `exit`: the size of the output file when its last byte was written. A node's
 *                        last writes may become visible elsewhere after the record's (attribute caches)
 */
import { join } from "node:path";
import type { Ending } from "../../model/ending.ts";
import { LAUNCH_RECORD_FILE, WITHDRAWN } from "../job_files.ts";
import { endingOf, EXIT_LINE, parseLaunchRecord } from "../launch_record.ts";
import { parseLaunchReport } from "../launch_report.ts";
import { escapeUnprintable } from "../../../common/printable.ts";
import { ForgedFileError } from "../../regular_file.ts";
import { readNodeFile } from "./node_file.ts";

/** A launcher fills 4 KiB with blanks, and its counters take a little more. */
export const MAX_RECORD_BYTES = 64 * 1024;

/** Of a node's reason for a refusal: whoever may write the record may write a long one. */
const MAX_REASON_CHARACTERS = 500;

/** Said of a job that a server has taken back, and could not say why any more. */
const TAKEN_BACK = "it was taken back before its command began";

/** Said of one that was stopped so early. */
export const STOPPED_BEFORE = "it was stopped before its command began";

/** What a launch record says so far. */
export interface NodeRecord {
  /** Absent: its launcher has only just created it. */
  readonly node?: string;
  /** Present once the command runs. */
  readonly pid?: number;
  /** Present when it is complete. */
  readonly ending?: Exclude<Ending, { kind: "lost" }>;
  /** Of a job that has ended: how large its output file is; absent: the launcher did not tell. */
  readonly outputBytes?: number;
  /** When it was last written, by the clock of the file system: milliseconds since 1970-01-01 UTC. */
  readonly writtenAtMs: number;
  /** What is in its place, such as "a symbolic link": it says nothing then. */
  readonly forged?: string;
}

/**
 * Reads a job's launch record.
 *
 * @param folder The folder of what the node writes.
 * @param options `commandName`: for the words of a refusal. `owner`: who may own it besides root.
 * @returns undefined when there is none.
 */
export async function readNodeRecord(
  folder: string,
  { commandName, owner }: { readonly commandName: string; readonly owner?: number | undefined },
): Promise<NodeRecord | undefined> {
  try {
    const path = join(folder, LAUNCH_RECORD_FILE);
    const file = await readNodeFile(path, { maxBytes: MAX_RECORD_BYTES, owner });
    return file && parseNodeRecord(file.text, { commandName, writtenAtMs: file.writtenAtMs });
  } catch (error) {
    if (!(error instanceof ForgedFileError)) throw error;
    return { writtenAtMs: Date.now(), forged: error.found };
  }
}

/** Parses a launch record; what is half-written counts as not written. */
export function parseNodeRecord(
  text: string,
  { commandName, writtenAtMs }: { readonly commandName: string; readonly writtenAtMs: number },
): NodeRecord {
  if (text === WITHDRAWN) {
    return {
      writtenAtMs,
      ending: { kind: "never-ran", reason: TAKEN_BACK, endedAtMs: writtenAtMs },
    };
  }
  const lines = text.split("\n");
  // The rest of the last line, and the blanks that the record was filled with.
  lines.pop();
  const node = /^node ([\w.-]{1,255})$/.exec(lines[1] ?? "")?.[1];
  const known = { writtenAtMs, ...(node !== undefined && { node }) };
  const refusal = refusalOf(lines, commandName);
  if (refusal !== undefined) {
    return { ...known, ending: { kind: "never-ran", reason: refusal, endedAtMs: writtenAtMs } };
  }
  const exitLine = lines.findIndex((line) => EXIT_LINE.test(line));
  const before = exitLine === -1 ? lines : lines.slice(0, exitLine);
  const own = /^(?:node \S+|timed-out|output \d{1,15})$/;
  const rest = [
    ...before.filter((line, index) => index === 0 || !own.test(line)),
    ...(exitLine === -1 ? [] : lines.slice(exitLine)),
  ];
  const record = parseLaunchRecord(`${rest.join("\n")}\n`);
  if (record.job === undefined) return known;
  if (record.exit === undefined) return { ...known, pid: record.job.pid };
  const outputBytes = before.map((line) => /^output (\d{1,15})$/.exec(line)?.[1]).find(Boolean);
  return {
    ...known,
    pid: record.job.pid,
    ...(outputBytes !== undefined && { outputBytes: Number(outputBytes) }),
    ending: {
      ...endingOf(record.exit, writtenAtMs),
      ...(before.includes("timed-out") && { timedOut: true as const }),
    },
  };
}

/** @returns Why the node has refused the job, in the words of a refusal on one host; undefined: it has not. */
function refusalOf(lines: readonly string[], commandName: string): string | undefined {
  const begin = lines.findIndex((line) => line.startsWith("refused "));
  const end = lines.indexOf("end", begin);
  if (begin === -1 || end === -1) return undefined;
  const details = lines.slice(begin, end).filter((line) => !/^exit \d+$/.test(line));
  if (details[0] === "refused stopped") return STOPPED_BEFORE;
  const report = parseLaunchReport(`${details.join("\n")}\n`, commandName);
  if (report.kind !== "refused") return undefined;
  return escapeUnprintable(report.error.message.slice(0, MAX_REASON_CHARACTERS));
}
