/**
 * What each compiled binary may do. Everything that is not listed here is refused at run time.
 *
 * tests/integration/build_test.ts reads the permissions back out of the binaries and holds them
 * against a literal list, so that a permission is never widened by accident.
 */

/** The binaries that the build makes. */
export type BinaryName = "worker-server" | "worker-client" | "worker-certs";

/** Permissions of one binary: `"any"` is without bounds, a list names what is allowed. */
export interface Permissions {
  readonly run: readonly string[];
  readonly read: "any" | readonly string[];
  readonly write: "any" | readonly string[];
  readonly net: "any" | readonly string[];
  readonly env: readonly string[];
  readonly sys: readonly string[];
}

const SERVER_ENVIRONMENT = [
  "JOB_WORKER_LISTEN",
  "JOB_WORKER_CA",
  "JOB_WORKER_CERT",
  "JOB_WORKER_KEY",
  "JOB_WORKER_CRL",
  "JOB_WORKER_LIMITS_DIR",
  "JOB_WORKER_LOG_DIR",
  "JOB_WORKER_GRACE_PERIOD",
  "JOB_WORKER_CGROUP_PARENT",
  "JOB_WORKER_ROLE_OID",
  "JOB_WORKER_MAX_OUTPUT",
  "JOB_WORKER_RETAIN_AGE",
  "JOB_WORKER_RETAIN_COUNT",
  "JOB_WORKER_RETAIN_BYTES",
  "JOB_WORKER_MAX_PROCESSES",
  "JOB_WORKER_MAX_JOBS",
  "JOB_WORKER_MAX_JOBS_PER_USER",
  "JOB_WORKER_MAX_WAITING_JOBS",
  "JOB_WORKER_MAX_WAITING_JOBS_PER_USER",
  "JOB_WORKER_MAX_CONNECTIONS",
  "JOB_WORKER_MAX_CONNECTIONS_PER_USER",
  "JOB_WORKER_MAX_HANDSHAKES",
  "JOB_WORKER_MAX_STREAMS",
  "JOB_WORKER_MAX_OPEN_CALLS",
  "JOB_WORKER_MAX_CALL_RATE",
  "JOB_WORKER_MEMORY_LIMIT",
  "JOB_WORKER_JOB_USER",
  "JOB_WORKER_OWNER_UIDS",
  "JOB_WORKER_RULES",
  "JOB_WORKER_AUDIT_SIZE",
  "JOB_WORKER_METRICS_LISTEN",
  "JOB_WORKER_ENGINE",
  "JOB_WORKER_SHARED_DIR",
  "JOB_WORKER_SLURM_CONF",
  "JOB_WORKER_USER_MAP",
  "NOTIFY_SOCKET",
  "JOURNAL_STREAM",
];

const CLIENT_ENVIRONMENT = [
  "JOB_WORKER_CONTEXT",
  "JOB_WORKER_SERVER",
  "JOB_WORKER_CA",
  "JOB_WORKER_CERT",
  "JOB_WORKER_KEY",
  "JOB_WORKER_IDENTITY",
  "HOME",
  "XDG_CONFIG_HOME",
  // Where Windows has the folder of settings.
  "APPDATA",
  "USERPROFILE",
  "LC_ALL",
  "LC_CTYPE",
  "LANG",
  "NO_COLOR",
  "TERM",
];

/**
 * The permissions of a binary.
 *
 * @param binary Which binary.
 * @param logDir The log directory that the build fixes, an absolute path.
 */
export function permissionsOf(binary: BinaryName, logDir: string): Permissions {
  switch (binary) {
    case "worker-server":
      return {
        // The launcher of the jobs, and all that touches kernel files, is one shell.
        run: ["/bin/sh"],
        // Certificates, keys and limit files may lie anywhere an operator puts them.
        read: "any",
        write: ["/sys/fs/cgroup", logDir],
        net: "any",
        env: SERVER_ENVIRONMENT,
        sys: [],
      };
    case "worker-client":
      return {
        run: [],
        read: "any",
        // For its config file, which lies where the user says; given up before anybody is dialed.
        write: "any",
        net: "any",
        env: CLIENT_ENVIRONMENT,
        sys: [],
      };
    case "worker-certs":
      return {
        run: [],
        read: "any",
        write: "any",
        net: [],
        env: ["JOB_WORKER_CERTS_DIR"],
        sys: [],
      };
  }
}

/**
 * The flags of `deno compile` for a set of permissions.
 *
 * An environment variable that is not named reads as unset rather than throwing, because the
 * libraries look up names of their own; code is never imported from anywhere, and nothing asks.
 */
export function compileFlags(permissions: Permissions): string[] {
  const flags = ["--no-prompt", "--deny-import", "--ignore-env"];
  for (const name of ["run", "read", "write", "net", "env", "sys"] as const) {
    const allowed = permissions[name];
    if (allowed === "any") flags.push(`--allow-${name}`);
    else if (allowed.length > 0) flags.push(`--allow-${name}=${allowed.join(",")}`);
  }
  return flags;
}
