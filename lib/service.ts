/** The RPC handlers of JobService: they authorize calls, and translate requests and answers. */
import type {
  Event,
  EventsRequest__Output,
  InputRequest__Output,
  InputResponse,
  JobServiceHandlers,
  ListRequest__Output,
  StartRequest__Output,
  StreamRequest__Output,
  StreamResponse,
  UpdateRequest__Output,
} from "../proto/contract.ts";
import { Turns } from "../common/turns.ts";
import type { RuleFile } from "./access/rule_file.ts";
import { startDetails } from "./access/start_details.ts";
import { type CallContext, rulesFor } from "./grpc/call_context.ts";
import { CallSink } from "./grpc/call_sink.ts";
import type { Shutdown } from "./grpc/endings.ts";
import { duplexHandler, streamHandler, unaryHandler } from "./grpc/handlers.ts";
import { InputAnswers } from "./grpc/input_answers.ts";
import { receiveInput } from "./grpc/receive_input.ts";
import { sendOutput, type StreamCounts } from "./grpc/send_output.ts";
import { sendEvents } from "./grpc/send_events.ts";
import {
  ownerToList,
  START_FIELDS,
  toEventQuery,
  toJobQuery,
  toJobRequest,
  toLimitChange,
  toQueryResponse,
  toReadRange,
  toTiming,
  withJobsFound,
  withTrace,
} from "./grpc/translate.ts";
import type { JobManager } from "./job.ts";
import type { UserMapFile } from "./access/user_map_file.ts";
import { changesOwnLimits, describeChange } from "./model/limit_change.ts";
import { OWNER_UID } from "./model/owner_uids.ts";
import { readSignal } from "./model/settings.ts";

/** What the handlers use of the manager. */
export type Jobs = Pick<
  JobManager,
  | "active"
  | "events"
  | "input"
  | "list"
  | "output"
  | "query"
  | "queues"
  | "remove"
  | "resolve"
  | "signal"
  | "start"
  | "stop"
  | "update"
  | "wait"
  | "withUserNamed"
>;

/** What the handlers work with. */
export interface HandlerOptions {
  readonly manager: Jobs;
  /** The rules that narrow the roles. */
  readonly rules: Pick<RuleFile, "current">;
  readonly streams: StreamCounts;
  /** What Info answers about the server. */
  readonly about: {
    readonly version: string;
    readonly cgroup: string;
    readonly controllers: readonly string[];
    readonly engine: string;
    readonly partitions: readonly string[];
    /** Limits that a start may not ask for, each with the reason. */
    readonly limitsNotHeld: readonly string[];
    /** Whether a job may be sent its input while it runs. */
    readonly openStdin: boolean;
  };
  /** The user that jobs run as where a request names none. */
  readonly defaultUser: string;
  /** Says which users of a cluster the jobs of clients run as; none, where there is no such map. */
  readonly userMap: Pick<UserMapFile, "current">;
  /** Ends calls early. */
  readonly shutdown: Shutdown;
}

/**
 * Calls under way at once whose work grows with what is stored, or is a process of its own: searches
 * through records and output, signals and changes of limits. The others wait.
 */
const MAX_COSTLY = 16;

/** The same of one user. */
const MAX_COSTLY_EACH = 2;

/** One that takes longer waits for a disk, and holds up no other. */
const MAX_COSTLY_MS = 10_000;

/** The handlers of JobService. */
export function createHandlers(options: HandlerOptions): JobServiceHandlers {
  const { manager, rules, streams, shutdown, defaultUser, userMap } = options;
  const costly = new Turns(MAX_COSTLY, MAX_COSTLY_MS, MAX_COSTLY_EACH);
  /** Authorizes a call about one job, and finds the job's id. */
  const authorize = async (request: JobCall, context: CallContext): Promise<string> => {
    const { caller } = context;
    const access = await rulesFor(context, rules);
    const isVisible = (owner: string) => access.mayTouchJobsOf(caller, owner);
    return context.job = manager.resolve(request.jobID, isVisible, caller.name);
  };
  return {
    Start: unaryHandler(async (request: StartRequest__Output, context, metadata) => {
      const { caller } = context;
      const read = toJobRequest(request, defaultUser);
      context.details = startDetails(read);
      const access = await rulesFor(context, rules);
      const mapped = (await userMap.current())?.place(caller, read) ?? read;
      const asked = await manager.withUserNamed(mapped);
      context.details = startDetails(asked);
      access.requireStart(caller, asked);
      const { idempotencyKey } = request;
      const isVisible = (owner: string) => access.mayTouchJobsOf(caller, owner);
      const after = (name: string) => manager.resolve(name, isVisible, caller.name);
      const placed = withJobsFound(asked, after);
      const traced = withTrace(placed, metadata, (name) => access.mayPassVariable(caller, name));
      const onBegin = context.beginChange;
      const jobID = await manager.start(traced, { owner: caller.name, idempotencyKey, onBegin });
      return { jobID: context.job = jobID };
    }, shutdown),
    Stop: unaryHandler(async (request: StopCall, context) => {
      const id = await authorize(request, context);
      const { gracePeriodMs: graceMs, mainOnly } = request;
      const stop = { graceMs, mainOnly, stoppedBy: context.caller.name };
      await manager.stop(id, stop, () => context.beginChange(id));
      return {};
    }, shutdown),
    Signal: unaryHandler(async (request: SignalCall, context, _metadata, ended) => {
      const name = readSignal(request.signal);
      context.details = { signal: name };
      const id = await authorize(request, context);
      using _turn = await costly.take(context.caller.name, ended);
      await manager.signal(id, name, { mainOnly: request.mainOnly }, () => context.beginChange(id));
      return {};
    }, shutdown),
    Update: unaryHandler(async (request: UpdateRequest__Output, context, _metadata, ended) => {
      const { caller } = context;
      const change = toLimitChange(request);
      context.details = { limits: describeChange(change) };
      const id = await authorize(request, context);
      if (changesOwnLimits(change)) (await rulesFor(context, rules)).requireLimits(caller);
      using _turn = await costly.take(caller.name, ended);
      await manager.update(id, change, { by: caller.name }, () => context.beginChange(id));
      return toQueryResponse(await manager.query(id));
    }, shutdown),
    Query: unaryHandler(
      async (request: JobCall, context) =>
        toQueryResponse(await manager.query(await authorize(request, context))),
      shutdown,
    ),
    List: unaryHandler(async (request: ListRequest__Output, context, _metadata, ended) => {
      const { caller } = context;
      const ownOnly = (await rulesFor(context, rules)).ownJobsOnly(caller);
      const query = toJobQuery(request, ownOnly ? caller.name : undefined);
      using _turn = await costly.take(caller.name, ended);
      const { jobs, nextPageToken } = await manager.list(query, ended);
      return { jobs: jobs.map(toQueryResponse), nextPageToken };
    }, shutdown),
    Info: unaryHandler(async (_request: object, context) => {
      const { caller } = context;
      const access = await rulesFor(context, rules);
      const visible = [...manager.active].filter(({ record }) =>
        access.mayTouchJobsOf(caller, record.owner)
      );
      const { version, cgroup, controllers, engine, partitions, limitsNotHeld } = options.about;
      return {
        version,
        cgroup,
        controllers: [...controllers],
        yourName: caller.name,
        yourRoles: [...caller.roles],
        jobUser: jobUserOf(defaultUser, (await userMap.current())?.accountsOf(caller)),
        runningJobs: visible.filter(({ record: { state } }) => state.kind !== "pending").length,
        timeMs: Date.now(),
        engine,
        partitions: [...partitions],
        limitsNotHeld: [...limitsNotHeld],
        queues: await manager.queues(),
        jobsWait: true,
        openStdin: options.about.openStdin,
        startFields: [...START_FIELDS],
      };
    }, shutdown),
    // A job may run for days: a shutdown does not wait for its end.
    Wait: unaryHandler(async (request: JobCall, context) => {
      const id = await authorize(request, context);
      await manager.wait(id);
      return toQueryResponse(await manager.query(id));
    }, { begun: shutdown.begun, overdue: shutdown.begun }),
    Remove: unaryHandler(async (request: JobCall, context) => {
      const id = await authorize(request, context);
      await manager.remove(id, { by: context.caller.name }, () => context.beginChange(id));
      return {};
    }, shutdown),
    Events: streamHandler<EventsRequest__Output, Event>(
      async ({ call, context, ended }) => {
        const { request } = call;
        const { caller } = context;
        const query = {
          ...toEventQuery(request, Date.now()),
          jobId: request.jobID === "" ? undefined : await authorize(request, context),
          // The rules of today, also for a reader of yesterday.
          owners: async () => {
            const ownOnly = (await rulesFor(context, rules)).ownJobsOnly(caller);
            const owner = ownerToList(
              request.owner,
              ownOnly ? caller.name : undefined,
              "tell events",
            );
            return (name: string) => owner === undefined || name === owner;
          },
        };
        await query.owners();
        using sink = new CallSink(call);
        await sendEvents((signal) => manager.events(query, signal), {
          sink,
          signal: ended,
          untilMs: query.follow ? query.untilMs : Infinity,
          heartbeatMs: request.heartbeatSeconds * 1000,
        });
      },
      shutdown.begun,
    ),
    Input: duplexHandler<InputRequest__Output, InputResponse>(
      async ({ call, context, ended, first, listen }) => {
        const { jobID, sender } = await first;
        context.job = jobID;
        const id = await authorize({ jobID }, context);
        const { name: caller } = context.caller;
        using sending = await manager.input(id, { caller, sender, signal: ended });
        context.beginChange(id);
        using answers = new InputAnswers(call);
        const signal = AbortSignal.any([ended, sending.over]);
        const { input, heard } = sending;
        const isOver = () => sending.isOver;
        const begin = input.heldBytes;
        try {
          await receiveInput({
            input,
            source: { listen },
            answers,
            isOver,
            onMessage: heard,
            signal,
          });
        } finally {
          context.details = { inputBytes: input.heldBytes - begin };
        }
        if (sending.over.aborted && !isOver()) throw sending.over.reason;
      },
      shutdown.begun,
    ),
    Stream: streamHandler<StreamRequest__Output, StreamResponse>(
      async ({ call, context, ended }) => {
        streams.open += 1;
        try {
          const output = manager.output(await authorize(call.request, context), {
            stderr: call.request.stderr,
          });
          const range = toReadRange(call.request);
          const timing = toTiming(call.request);
          using sink = new CallSink(call);
          const heartbeatMs = call.request.heartbeatSeconds * 1000;
          const takeTurn = () => costly.take(context.caller.name, ended);
          await sendOutput(output, {
            range,
            timing,
            sink,
            signal: ended,
            heartbeatMs,
            counts: streams,
            takeTurn,
          });
        } finally {
          streams.open -= 1;
        }
      },
      shutdown.begun,
    ),
  };
}

/** Whom a caller is told that its jobs run as, by default. */
function jobUserOf(defaultUser: string, accounts: readonly string[] | undefined): string {
  if (accounts !== undefined) return accounts[0] ?? "nobody: the user map has no line for you";
  return defaultUser === OWNER_UID ? "a uid of each owner's own" : defaultUser;
}

/** A request about one job. */
interface JobCall {
  readonly jobID: string;
}

interface SignalCall extends JobCall {
  readonly signal: string;
  readonly mainOnly: boolean;
}

interface StopCall extends JobCall {
  readonly gracePeriodMs?: number;
  readonly mainOnly: boolean;
}
