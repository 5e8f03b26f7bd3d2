/** What is known about a call, from its authorization to its line in the audit trail. */
import type { ServerHttp2Stream } from "node:http2";
import type { ChangeDetails } from "../access/events.ts";
import type { RuleFile } from "../access/rule_file.ts";
import type { AccessRules } from "../access/rules.ts";
import { JobError } from "../errors.ts";
import { http2StreamOf } from "./internals.ts";
import type { Peer } from "./peers.ts";

/**
 * One call. The caller is the one that was authorized, even if the connection is lost meanwhile.
 */
export interface CallContext extends Peer {
  /** The method's name in rules, such as `Start` or `Health/Check`. */
  readonly method: string;
  /**
   * The job that the call is about, for the audit trail: first the text in the request, then the id
   * that was found by it.
   */
  job: string | undefined;
  /** What it is to change, for the audit trail, as soon as it is read. */
  details: ChangeDetails;
  /** Tells the audit trail that the call begins to change a job, given by its id. */
  readonly beginChange: (job: string) => void;
  /** Tells it the status of work that has ended after its call. */
  readonly endLate: (code: string) => void;
}

/** A caller without a certificate. */
export const UNAUTHENTICATED: Peer = {
  caller: { name: "", serial: "", roles: [] },
  access: AbortSignal.abort(new JobError("unauthenticated", "a client certificate is required")),
};

const contexts = new WeakMap<ServerHttp2Stream, CallContext>();

/** Remembers the context of a call for its handler. */
export function setContext(stream: ServerHttp2Stream, context: CallContext): void {
  contexts.set(stream, context);
}

/**
 * The context of a call; one without any access where no interceptor has seen the call.
 *
 * @param call The handler's call.
 */
export function contextOf(call: unknown): CallContext {
  return contexts.get(http2StreamOf(call)) ??
    { ...UNAUTHENTICATED, method: "", job: undefined, details: {}, beginChange() {}, endLate() {} };
}

/**
 * The rules in force, for a caller who may call the method.
 *
 * @throws {JobError} "denied" when the rule file does not allow the method, "unauthenticated" when
 * the caller has lost access since the call began.
 */
export async function rulesFor(
  { caller, access, method }: CallContext,
  file: Pick<RuleFile, "current">,
): Promise<AccessRules> {
  const rules = await file.current();
  if (access.aborted) throw access.reason;
  rules.requireMethod(caller, method);
  return rules;
}
