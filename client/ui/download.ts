/** A job's output as a file that the browser saves: all of it, at the pace at which it is saved. */
import { isJobId } from "../../common/job_id.ts";
import { DEFAULT_RETRY_FOR_MS } from "../connection/retry_policy.ts";
import type { Session } from "../connection/session.ts";
import { pacedStream } from "./paced_stream.ts";
import { reply } from "./replies.ts";

/** Where the files of a job are. */
const PLACE = /^\/download\/([^/]+)(\/stderr)?$/;

/** What is saved. */
export interface Download {
  readonly jobID: string;
  /** Whether it is the job's standard error, which it keeps apart. */
  readonly stderr: boolean;
}

/** The output that is at a path; undefined: none is. */
export function downloadAt(path: string): Download | undefined {
  const [, jobID = "", stderr] = PLACE.exec(path) ?? [];
  return isJobId(jobID) ? { jobID, stderr: stderr !== undefined } : undefined;
}

/**
 * What the job has printed so far, from the first byte that the server still has.
 *
 * @throws {ClientError} The server's refusal, or the connection's failure.
 */
export async function downloadOutput(
  { jobID, stderr }: Download,
  { session, signal }: { session: Session; signal: AbortSignal },
): Promise<Response> {
  const { title } = await session.call("Query", { jobID }, { retryForMs: 0 });
  // Loaded when needed, like everything that uses gRPC.
  const { readJobOutput } = await import("../jobs/read_output.ts");
  const range = { jobID, stderr, offset: 0, follow: false, retryForMs: DEFAULT_RETRY_FOR_MS };
  // A failure cuts the answer off, so that the browser knows that the file is not whole.
  const output = pacedStream((sink, left) =>
    readJobOutput(range, { session, sink, signal: AbortSignal.any([signal, left]) })
  );
  return reply(output, {
    type: "application/octet-stream",
    fileName: fileNameOf(jobID, title, { stderr }),
  });
}

/** A file name that needs no quotes anywhere. */
export function fileNameOf(
  jobID: string,
  title: string,
  { stderr = false }: { stderr?: boolean } = {},
): string {
  const name = title.replaceAll(/[^\w.-]+/g, "_").replace(/^[._]+/, "");
  return `${name === "" ? "" : `${name}-`}${jobID.slice(0, 8)}.${stderr ? "err" : "log"}`;
}
