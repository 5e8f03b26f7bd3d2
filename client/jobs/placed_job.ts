/** A job and the server that has it. */
import type { QueryResponse__Output } from "../../proto/contract.ts";

/** Separates a context from a job's id or name; neither can contain it. */
const SEPARATOR = "/";

/** A job of one of several servers, in a form that every verb accepts. */
export function placedID(context: string | undefined, jobID: string): string {
  return context === undefined ? jobID : `${context}${SEPARATOR}${jobID}`;
}

/** The context in front of a job's id or name, where there is one. */
export function splitPlacedID(text: string): { context: string | undefined; jobID: string } {
  const index = text.indexOf(SEPARATOR);
  return index < 0
    ? { context: undefined, jobID: text }
    : { context: text.slice(0, index), jobID: text.slice(index + 1) };
}

/** A job, and the context of the server that has it. */
export interface PlacedJob {
  readonly context: string | undefined;
  readonly job: QueryResponse__Output;
}
