/** Requests to the local worker-client, which passes them on to the server. */
import type { QueryResponse__Output } from "../../../proto/contract.ts";
import { type Frame, FrameReader } from "../output_frames.ts";
import type {
  About,
  FoundJobs,
  JobsRequest,
  OutputRequest,
  ReadJob,
  StartForm,
} from "../protocol.ts";

/** A job as the server returns it. */
export type Job = QueryResponse__Output;

/** A request that did not succeed; the message is for the user. */
export class RequestError extends Error {
  override name = "RequestError";
  /** Whether the server could not be reached, so that another try may succeed. */
  readonly isTemporary: boolean;

  constructor(message: string, { isTemporary }: { isTemporary: boolean }) {
    super(message);
    this.isTemporary = isTemporary;
  }
}

/** No answer: the program that serves the page has ended. */
const GONE =
  'The program "worker-client ui" has ended. Start it again, and open the address that it prints.';

/** HTTP status: the server cannot be reached. */
const UNAVAILABLE = 503;

async function post(
  path: string,
  body: object,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(`api/${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
      ...(signal && { signal }),
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new RequestError(GONE, { isTemporary: true });
  }
  if (response.ok) return response;
  const answer: { error?: unknown } = await response.json().catch(() => ({}));
  throw new RequestError(
    typeof answer.error === "string" ? answer.error : `The request failed (${response.status}).`,
    { isTemporary: response.status === UNAVAILABLE },
  );
}

async function ask<Answer>(path: string, body: object): Promise<Answer> {
  return await (await post(path, body)).json();
}

export const requests = {
  about: () => ask<About>("about", {}),
  jobs: (request: JobsRequest) => ask<FoundJobs>("jobs", request),
  job: (jobID: string) => ask<ReadJob>("job", { jobID }),
  start: (form: StartForm) => ask<{ jobID: string }>("start", form),
  stop: (jobID: string, grace: string) => ask<object>("stop", { jobID, grace }),
  signal: (jobID: string, signal: string) => ask<object>("signal", { jobID, signal }),
  remove: (jobID: string) => ask<object>("remove", { jobID }),
  async find(
    wanted: { jobID: string; text: string; offset: number; stderr: boolean },
    signal: AbortSignal,
  ): Promise<number | null> {
    const answer: { offset: number | null } = await (await post("find", wanted, { signal })).json();
    return answer.offset;
  },
};

/** A job's output, frame by frame; it is read only as fast as the caller takes it. */
export async function* readOutput(
  request: OutputRequest,
  signal: AbortSignal,
): AsyncGenerator<readonly Frame[]> {
  const { body } = await post("output", request, { signal });
  if (body === null) return;
  const reader = body.getReader();
  const frames = new FrameReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield frames.read(value);
    }
  } catch (error) {
    if (signal.aborted) throw error;
    throw new RequestError(GONE, { isTemporary: true });
  }
}
