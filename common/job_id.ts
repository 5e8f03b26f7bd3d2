/** Ids of jobs, and what a text must look like to be one or the beginning of one. Pure. */

/** An id is a UUID (RFC 9562) in lower case, and the only part of a path that a client may name. */
const JOB_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** From 4 characters on, where several jobs hardly share one, to the length of an id. */
const ID_PREFIX = /^[0-9a-f][0-9a-f-]{3,35}$/;

/** The first group of an id, alone or with more of the id after it. */
const ID_LOOKALIKE = /^[0-9a-f]{8}(-[0-9a-f-]*)?$/;

/** Whether a text has the form of a job id; nothing else ever becomes part of a path. */
export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}

/** Whether a text is long enough, and of the right form, to look for the one id that begins so. */
export function isIdPrefix(text: string): boolean {
  return ID_PREFIX.test(text);
}

/** Whether a name could be mistaken for an id or its first group, and so must not be given to a job. */
export function looksLikeId(text: string): boolean {
  return ID_LOOKALIKE.test(text);
}
