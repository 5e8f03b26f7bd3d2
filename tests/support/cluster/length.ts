/** How long tests of a cluster may take. */

/** Whether they also do what takes minutes: `deno task test:cluster -- --long`. */
export const isLong = (Deno.env.get("JOB_WORKER_TEST_LONG") ?? "") !== "";
