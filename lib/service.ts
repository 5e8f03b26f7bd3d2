/** The RPC handlers: translate requests and answers, and map errors. Nothing else. */
import type {
  handleServerStreamingCall,
  handleUnaryCall,
  Metadata,
  ServerUnaryCall,
  ServerWritableStream,
} from "@grpc/grpc-js";
import type {
  JobServiceHandlers,
  ListRequest__Output,
  StartRequest__Output,
  StreamRequest__Output,
  StreamResponse,
} from "../proto/contract.ts";
import type { RuleFile } from "./access/rule_file.ts";
import type { AccessRules } from "./access/rules.ts";
import { callerOf } from "./grpc/authorization.ts";
import { interruptionOf, onInterruption, type Shutdown, toStatus } from "./grpc/endings.ts";
import { sendOutput, type StreamCounts } from "./grpc/send_output.ts";
import { toJobQuery, toJobRequest, toQueryResponse, withTrace } from "./grpc/translate.ts";
import type { JobManager } from "./job.ts";
import { readSignal } from "./model/settings.ts";
import type { Caller } from "./rbac.ts";

/** What the handlers work with. */
export interface HandlerOptions {
  readonly manager: JobManager;
  /** What narrows the roles. */
  readonly rules: RuleFile;
  readonly streams: StreamCounts;
  /** What Info says of the server. */
  readonly about: { version: string; cgroup: string; controllers: readonly string[] };
  /** Whom jobs run as where a request says nothing. */
  readonly defaultUser: string;
  /** When calls end before their time. */
  readonly shutdown: Shutdown;
}

/** The handlers of JobService. */
export function createHandlers(options: HandlerOptions): JobServiceHandlers {
  const { manager, shutdown, defaultUser } = options;
  const access = new Access(manager, options.rules);
  const start = unary(
    async (request: StartRequest__Output, caller: Caller, metadata: Metadata) => {
      const asked = toJobRequest(request, defaultUser);
      (await access.rules(caller, "Start")).requireStart(caller, asked);
      const { idempotencyKey } = request;
      const traced = withTrace(asked, metadata);
      return { jobID: await manager.start(traced, { owner: caller.name, idempotencyKey }) };
    },
    shutdown,
  );
  const stop = unary(async (request: StopRequest, caller: Caller) => {
    await manager.stop(await access.job(request, caller, "Stop"), request.gracePeriodMs);
    return {};
  }, shutdown);
  const signal = unary(async (request: SignalRequest, caller: Caller) => {
    const name = readSignal(request.signal);
    await manager.signal(await access.job(request, caller, "Signal"), name);
    return {};
  }, shutdown);
  const query = unary(
    async (request: IdRequest, caller: Caller) =>
      toQueryResponse(await manager.query(await access.job(request, caller, "Query"))),
    shutdown,
  );
  const list = unary(async (request: ListRequest__Output, caller: Caller) => {
    const ownOnly = (await access.rules(caller, "List")).ownJobsOnly(caller);
    const { jobs, nextPageToken } = await manager.list(
      toJobQuery(request, ownOnly ? caller.name : undefined),
    );
    return { jobs: jobs.map(toQueryResponse), nextPageToken };
  }, shutdown);
  const info = unary(async (_request: object, caller: Caller) => {
    await access.rules(caller, "Info");
    const { version, cgroup, controllers } = options.about;
    return {
      version,
      cgroup,
      controllers: [...controllers],
      yourName: caller.name,
      yourRoles: [...caller.roles],
      jobUser: defaultUser,
      runningJobs: [...manager.active].length,
      timeMs: Date.now(),
    };
  }, shutdown);
  // A job may run for days, so its end is not waited for when the server goes.
  const wait = unary(async (request: IdRequest, caller: Caller) => {
    const id = await access.job(request, caller, "Wait");
    await manager.wait(id);
    return toQueryResponse(await manager.query(id));
  }, { begun: shutdown.begun, overdue: shutdown.begun });
  const remove = unary(async (request: IdRequest, caller: Caller) => {
    await manager.remove(await access.job(request, caller, "Remove"));
    return {};
  }, shutdown);
  return {
    Start: start,
    Stop: stop,
    Signal: signal,
    Query: query,
    List: list,
    Info: info,
    Wait: wait,
    Remove: remove,
    Stream: stream({ ...options, access, shutdown: shutdown.begun }),
  };
}

/** What the rule file lets callers do. */
class Access {
  readonly #manager: JobManager;
  readonly #file: RuleFile;

  constructor(manager: JobManager, file: RuleFile) {
    this.#manager = manager;
    this.#file = file;
  }

  /** @throws {JobError} "denied" when the caller may not call the method at all. */
  async rules(caller: Caller, method: string): Promise<AccessRules> {
    const rules = await this.#file.current();
    rules.requireMethod(caller, method);
    return rules;
  }

  /**
   * The id of the job that a request names.
   *
   * @throws {JobError} "not-found", also for a job that the caller has nothing to do with.
   */
  async job(request: IdRequest, caller: Caller, method: string): Promise<string> {
    const rules = await this.rules(caller, method);
    const id = this.#manager.resolve(
      request.jobID,
      (owner) => rules.mayTouchJobsOf(caller, owner),
    );
    // From here on the id stands for the name, in the audit trail as well.
    request.jobID = id;
    return id;
  }
}

interface IdRequest {
  jobID: string;
}

interface SignalRequest extends IdRequest {
  signal: string;
}

interface StopRequest extends IdRequest {
  gracePeriodMs?: number;
}

function unary<Request, Response>(
  handle: (request: Request, caller: Caller, metadata: Metadata) => Promise<Response>,
  { begun, overdue }: Shutdown,
): handleUnaryCall<Request, Response> {
  return (call: ServerUnaryCall<Request, Response>, respond) => {
    const { caller, access } = callerOf(call);
    let isAnswered = false;
    const answer: typeof respond = (error, response) => {
      if (isAnswered) return;
      isAnswered = true;
      interruption[Symbol.dispose]();
      respond(error, response);
    };
    const interrupt = () => answer(toStatus(interruptionOf({ shutdown: overdue, access })));
    const interruption = onInterruption({ shutdown: overdue, access }, interrupt);
    if (begun.aborted) return interrupt();
    handle(call.request, caller, call.metadata).then(
      (response) => answer(null, response),
      (error: unknown) => answer(toStatus(error)),
    );
  };
}

function stream(
  { manager, streams, access: rules, shutdown }: Pick<HandlerOptions, "manager" | "streams"> & {
    access: Access;
    shutdown: AbortSignal;
  },
): handleServerStreamingCall<StreamRequest__Output, StreamResponse> {
  return async (call: ServerWritableStream<StreamRequest__Output, StreamResponse>) => {
    const { caller, access } = callerOf(call);
    const ended = new AbortController();
    const end = () => ended.abort();
    call.on("cancelled", end);
    call.on("close", end);
    using _interruption = onInterruption({ shutdown, access }, end);
    streams.open += 1;
    try {
      const output = manager.output(await rules.job(call.request, caller, "Stream"));
      await sendOutput(call, output, { signal: ended.signal, streams });
      if (shutdown.aborted || access.aborted) throw interruptionOf({ shutdown, access });
      call.end();
    } catch (error) {
      call.emit("error", toStatus(error));
    } finally {
      streams.open -= 1;
      ended.abort();
    }
  };
}
