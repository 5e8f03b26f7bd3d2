/**
 * W3C Trace Context (https://www.w3.org/TR/trace-context/): passed from a call to its job. Pure.
 */

const TRACE_PARENT = /^(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/;

/** Section 3.3.1.5: a state of this length, at least, must be passed on. */
const MAX_STATE_CHARACTERS = 512;

const TRACE_STATE = /^[\x20-\x7e]+$/;

/**
 * The environment variables that make a job's trace a part of the caller's; OpenTelemetry's tools
 * read them. A malformed header is ignored, as the specification asks for.
 *
 * @param valueOf Reads a header of the call by its name.
 */
export function traceVariables(
  valueOf: (header: "traceparent" | "tracestate") => string | undefined,
): Record<string, string> {
  const parent = valueOf("traceparent") ?? "";
  if (!TRACE_PARENT.test(parent)) return {};
  const state = valueOf("tracestate") ?? "";
  const isGood = TRACE_STATE.test(state) && state.length <= MAX_STATE_CHARACTERS;
  return { TRACEPARENT: parent, ...(isGood && { TRACESTATE: state }) };
}
