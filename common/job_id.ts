/** Ids of jobs: what a text must look like to be one. */

/** Job ids are the only part of a group's path that is not configuration. */
export const JOB_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Whether a text has the form of a job id; nothing else ever becomes part of a path. */
export function isJobId(text: string): boolean {
  return JOB_ID.test(text);
}

/** Whether a text could be the beginning of an id: a name must not stand in the way of one. */
export function looksLikeId(text: string): boolean {
  return /^[0-9a-f]{8}(-[0-9a-f-]*)?$/.test(text);
}
