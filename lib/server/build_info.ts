/** Values that are fixed when the binary is built. */
import config from "../../deno.json" with { type: "json" };

/** Put in by the build (tools/build/main.ts). */
declare const BUILD_LOG_DIR: string | undefined;

/** The version of this program. */
export const VERSION: string = config.version;

/** The log directory: below it, and below /sys/fs/cgroup, the server may write, and nowhere else. */
export const LOG_DIR: string = typeof BUILD_LOG_DIR === "string"
  ? BUILD_LOG_DIR
  : "/var/log/job-worker";
