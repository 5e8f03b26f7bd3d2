/** Lines by `--format`, such as `{jobID} {state}`. Pure. */
import type {
  JobLimits__Output,
  JobUsage__Output,
  QueryResponse__Output,
} from "../../proto/contract.ts";
import { ClientError, oneLine } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { JOB_FIELD_NAMES, toJson } from "./format.ts";

/** The names that a template may have. */
export interface TemplateNames {
  /** Whose fields they are, for the error. */
  readonly what: string;
  readonly names: readonly string[];
}

/** Those of a job, in `list` and `query`. */
export const JOB_NAMES: TemplateNames = { what: "a job", names: ["context", ...JOB_FIELD_NAMES] };

const LIMITS = {
  cpuCores: true,
  allowedCpus: true,
  memoryBytes: true,
  memoryHighBytes: true,
  readBytesPerSecond: true,
  writeBytesPerSecond: true,
  readOperationsPerSecond: true,
  writeOperationsPerSecond: true,
  processes: true,
  disks: true,
} as const satisfies Record<keyof JobLimits__Output, true>;

const USAGE = {
  memoryBytes: true,
  memoryPeakBytes: true,
  cpuUsec: true,
  cpuThrottledUsec: true,
  readBytes: true,
  writtenBytes: true,
  processes: true,
  asOfMs: true,
} as const satisfies Record<keyof JobUsage__Output, true>;

const ISOLATION = {
  privateTmp: true,
  noNetwork: true,
  ownProcesses: true,
} as const satisfies Record<keyof NonNullable<QueryResponse__Output["isolation"]>, true>;

/** The fields that have fields of their own. A job need not have all of them. */
const PARTS: ReadonlyMap<string, readonly string[]> = new Map([
  ["limits", Object.keys(LIMITS)],
  ["askedLimits", Object.keys(LIMITS)],
  ["usage", Object.keys(USAGE)],
  ["isolation", Object.keys(ISOLATION)],
]);

/** The fields whose parts are the user's own: a label's name, the number of an argument. */
const OPEN: ReadonlySet<string> = new Set(["labels", "args"]);

/**
 * Whether a text of `--format` stands for JSON, as with other tools.
 *
 * @throws {ClientError} It names no field, so that each line would be the same, or one that is unknown.
 */
export function isJsonFormat(template: string, known: TemplateNames): boolean {
  if (template === "json") return true;
  const paths = [...template.matchAll(FIELD)].map(([, path = ""]) => path);
  if (paths.every((path) => path === "")) {
    throw wrong(
      `--format ${JSON.stringify(template)} names no field: write "{jobID} {state}", or --json.`,
    );
  }
  for (const path of paths) checkPath(path, known);
  return false;
}

/** A name in braces. */
const FIELD = /\{([^{}]*)\}/g;

function checkPath(path: string, { what, names }: TemplateNames): void {
  const [name = "", ...rest] = path.split(".");
  if (!names.includes(name)) {
    throw wrong(
      `${JSON.stringify(path)} is not a field of ${what}. The fields are ${names.join(", ")}.`,
    );
  }
  if (rest.length === 0 || OPEN.has(name)) return;
  const parts = PARTS.get(name);
  if (parts === undefined) {
    throw wrong(`${JSON.stringify(path)} is not a field of ${what}: write {${name}}.`);
  }
  if (parts.includes(rest.join("."))) return;
  throw wrong(
    `${JSON.stringify(path)} is not a field of ${what}. ` +
      `The fields of ${name} are ${parts.map((part) => `${name}.${part}`).join(", ")}.`,
  );
}

/**
 * Fills in a line such as `{jobID} {state}`.
 *
 * @param context The server's context, where it has one.
 */
export function formatTemplate(
  template: string,
  job: QueryResponse__Output,
  context?: string,
): string {
  return fillTemplate(template, { context, ...toJson(job, job.jobID) });
}

/** Fills in a line from fields by name, which {@linkcode isJsonFormat} has checked; `-`: there is none. */
export function fillTemplate(template: string, fields: Readonly<Record<string, unknown>>): string {
  return template
    .replaceAll(/\\([nt])/g, (_, letter) => letter === "n" ? "\n" : "\t")
    .replaceAll(FIELD, (_, path: string) => {
      const value = valueAt(fields, path);
      if (value === undefined || value === null) return "-";
      return oneLine(typeof value === "object" ? JSON.stringify(value) : String(value));
    });
}

/** A label's name may hold dots. */
function valueAt(fields: object, path: string): unknown {
  const [name = "", ...rest] = path.split(".");
  const value = valueOf(fields, name);
  if (rest.length === 0) return value;
  return typeof value === "object" && value !== null ? valueOf(value, rest.join(".")) : undefined;
}

function valueOf(record: object, name: string): unknown {
  return Object.hasOwn(record, name) ? (record as Record<string, unknown>)[name] : undefined;
}

function wrong(problem: string): ClientError {
  return new ClientError(problem, ExitStatus.usage);
}
