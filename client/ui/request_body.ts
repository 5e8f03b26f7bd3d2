/** Reads the bodies of the page's requests. */
import * as v from "valibot";
import { ClientError } from "../errors.ts";
import { ExitStatus } from "../exit_status.ts";

/** A start with the longest standard input (2 MiB), which JSON may double, and a reserve. */
export const MAX_BODY_BYTES = 6 * 1024 ** 2;

/** The body is too long. */
export class LongBodyError extends Error {
  override name = "LongBodyError";
}

/**
 * Reads a request's JSON.
 *
 * @throws {LongBodyError} It is longer than {@linkcode MAX_BODY_BYTES}; the rest is not read.
 * @throws {ClientError} It is not JSON, or does not match the schema.
 */
export async function readJson<Schema extends v.GenericSchema>(
  request: Request,
  schema: Schema,
): Promise<v.InferOutput<Schema>> {
  let value: unknown;
  try {
    value = JSON.parse(await readText(request));
  } catch (error) {
    if (error instanceof LongBodyError) throw error;
    throw new ClientError("Cannot read the request: it is not JSON.", ExitStatus.usage);
  }
  const result = v.safeParse(schema, value);
  if (result.success) return result.output;
  const [issue] = result.issues;
  const place = v.getDotPath(issue) ?? "it";
  throw new ClientError(`Cannot read the request: ${place}: ${issue.message}.`, ExitStatus.usage);
}

async function readText(request: Request): Promise<string> {
  if (Number(request.headers.get("content-length") ?? 0) > MAX_BODY_BYTES) {
    throw new LongBodyError();
  }
  const decoder = new TextDecoder("utf-8", { fatal: true });
  let text = "";
  let length = 0;
  for await (const bytes of request.body ?? []) {
    length += bytes.length;
    if (length > MAX_BODY_BYTES) throw new LongBodyError();
    text += decoder.decode(bytes, { stream: true });
  }
  return text + decoder.decode();
}
