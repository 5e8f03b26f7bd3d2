/** The names of a job's files, in `jobs/<id>/` below the log directory. */

/** Where jobs' folders are, below the log directory. */
export const JOBS_FOLDER = "jobs";

/** The file that a job's output goes to. */
export const OUTPUT_FILE = "output";
