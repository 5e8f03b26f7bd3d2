/** The bound for what a job is given to read. */

/** The most that a Start carries as the job's standard input, in bytes: 2 MiB. */
export const MAX_INPUT_BYTES = 2 * 1024 ** 2;
