import type { QueryResponse__Output } from "../../proto/contract.ts";
import { ClientError, oneLine } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";
import { toJson } from "./format.ts";

/**
 * Whether a text of `--format` stands for JSON, as with other tools.
 *
 * @throws {ClientError} It names no field: each line would be the same.
 */
export function isJsonFormat(template: string): boolean {
  if (template === "json") return true;
  if (/\{[^{}]+\}/.test(template)) return false;
  throw new ClientError(
    `--format ${JSON.stringify(template)} names no field: write "{jobID} {state}", or --json.`,
    ExitStatus.usage,
  );
}

/**
 * Fills in a line such as `{jobID} {state}`.
 *
 * @param context The server's context, where it has one.
 * @throws {ClientError} It names an unknown field.
 */
export function formatTemplate(
  template: string,
  job: QueryResponse__Output,
  context?: string,
): string {
  return fillTemplate(template, { context: context ?? null, ...toJson(job, job.jobID) }, "a job");
}

/**
 * Fills in a line from fields by name.
 *
 * @param what Whose fields they are, for the error.
 * @throws {ClientError} It names an unknown field.
 */
export function fillTemplate(
  template: string,
  fields: Readonly<Record<string, unknown>>,
  what: string,
): string {
  return template
    .replaceAll(/\\([nt])/g, (_, letter) => letter === "n" ? "\n" : "\t")
    .replaceAll(/\{([^{}]*)\}/g, (_, path: string) => {
      const value = path.split(".").reduce<unknown>(
        (at, name) => typeof at === "object" && at !== null ? valueOf(at, name) : undefined,
        fields,
      );
      if (value === undefined && !isOptional(path)) {
        throw unknownField(path, Object.keys(fields), what);
      }
      if (value === undefined || value === null) return "-";
      return oneLine(typeof value === "object" ? JSON.stringify(value) : String(value));
    });
}

function valueOf(record: object, name: string): unknown {
  return Object.hasOwn(record, name) ? (record as Record<string, unknown>)[name] : undefined;
}

/** Labels, limits and counters differ from job to job. */
function isOptional(path: string): boolean {
  return /^(labels|limits|usage|isolation)\./.test(path);
}

function unknownField(path: string, known: readonly string[], what: string): ClientError {
  return new ClientError(
    `"${path}" is not a field of ${what}. The fields are ${known.join(", ")}.`,
    ExitStatus.usage,
  );
}
