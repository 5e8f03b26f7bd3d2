/** Where the binaries under test are: `deno task test integration` builds them there. */
import { resolve } from "node:path";

/** The folder of the binaries, which are built apart from those in bin/. */
export const BIN_DIR = resolve(import.meta.dirname ?? ".", "../../build/test-bin");

/** The log directory that is built into them; a test's server takes a folder of its own below. */
export const LOG_DIR = "/tmp/job-worker-test";
