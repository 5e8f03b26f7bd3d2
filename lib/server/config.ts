/** The server's settings: flags, environment variables, defaults. */
import { Argument, Command, InvalidArgumentError, Option } from "commander";
import { isAbsolute, relative } from "node:path";
import { countWithin, parseBytes, parseCount, parseDurationMs } from "../../common/quantities.ts";
import { LOG_DIR, VERSION } from "./build_info.ts";
import { isUserName, MAX_GRACE_MS } from "../model/settings.ts";
import { DEFAULT_ROLE_OID, isRoleOid } from "../rbac.ts";

/** What an operator sets. */
export interface ServerConfig {
  /** `HOST:PORT` */
  listen: string;
  ca: string;
  cert: string;
  key: string;
  /** Revocation lists; the file need not exist. */
  crl: string;
  limitsDir: string;
  logDir: string;
  /** Milliseconds between SIGTERM and SIGKILL. */
  gracePeriod: number;
  cgroupParent: string;
  /** Whom jobs run as, where a start does not say. */
  jobUser: string;
  /** The rule file; empty: none. */
  rules: string;
  roleOid: string;
  /** The bound for each job's processes and threads; Infinity: none. */
  maxProcesses: number;
  /** How many jobs run at once; Infinity: no bound. */
  maxJobs: number;
  /** How many of them may be one user's, by the certificate's name; Infinity: no bound. */
  maxJobsPerUser: number;
  /** Connections that are open at once; Infinity: no bound. */
  maxConnections: number;
  /** How many of them may be one user's, by the certificate's name; Infinity: no bound. */
  maxConnectionsPerUser: number;
  /** Connections whose handshake is under way; Infinity: no bound. */
  maxHandshakes: number;
  /** Streams that one connection has open at once. */
  maxStreams: number;
  /** Calls of one user that are open at once, streams included; Infinity: no bound. */
  maxOpenCalls: number;
  /** Calls of one user in a second; Infinity: no bound. */
  maxCallRate: number;
  /** `HOST:PORT` where Prometheus reads; empty: nowhere. */
  metricsListen: string;
  /** Newest bytes of the audit trail that are kept; Infinity: all. */
  auditSize: number;
  /** Newest bytes of output kept of each job; Infinity: all. */
  maxOutput: number;
  /** Milliseconds that a finished job is kept. */
  retainAge: number;
  /** How many finished jobs are kept. */
  retainCount: number;
  /** Bytes of output kept of all finished jobs. */
  retainBytes: number;
  /** Bytes of resident memory past which a fresh process is to take over; Infinity: none. */
  memoryLimit: number;
}

/** Below this a job could not be started and watched at all. */
const MIN_OUTPUT_BYTES = 64 * 1024;

/** Any server takes more than that: below it would be handed over for a handful of connections. */
const MIN_MEMORY_LIMIT_BYTES = 64 * 1024 ** 2;

const EXAMPLES = `
Examples:
  worker-server
  worker-server doctor
  worker-server --listen 0.0.0.0:50051 --limits-dir /etc/job-worker/limits
  JOB_WORKER_GRACE_PERIOD=30s worker-server

Exit status: 0 after SIGTERM or SIGINT (running jobs go on, and the next server takes them over),
1 when the server cannot start or doctor finds something missing, 2 for wrong usage,
75 past --memory-limit: no job and no call is lost when the server is started again at once.`;

/**
 * Reads the settings. Prints help or an error and ends the process where that is asked for.
 *
 * @param args The command line without the program's name.
 */
export function readConfig(
  args: readonly string[],
): { verb: "serve" | "doctor"; config: ServerConfig } {
  const command = new Command("worker-server")
    .description(
      "Runs commands as jobs within control groups, keeps their output, and serves them over mutual TLS.",
    )
    .version(VERSION)
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, NAME)) });
  command.addArgument(
    new Argument("[verb]", "doctor: say what this host has and lacks, and end").choices(["doctor"]),
  );
  for (const option of options()) command.addOption(option);
  command.parse([...args], { from: "user" });
  return { verb: command.args[0] === "doctor" ? "doctor" : "serve", config: command.opts() };
}

const NAME = "worker-server:";

function options(): Option[] {
  return [
    text("listen", "<host:port>", "where to take calls", "127.0.0.1:50051", checkAddress),
    text("ca", "<file>", "certificate of the CA that signs clients", "/etc/job-worker/ca.crt"),
    text("cert", "<file>", "the server's certificate", "/etc/job-worker/server.crt"),
    text("key", "<file>", "the key of the server's certificate", "/etc/job-worker/server.key"),
    text("crl", "<file>", "revocation lists of the CA, if there are any", "/etc/job-worker/ca.crl"),
    text("limits-dir", "<dir>", "folder of the limit files", "/etc/job-worker/limits"),
    text(
      "log-dir",
      "<dir>",
      `where output and records go: ${LOG_DIR} or below`,
      LOG_DIR,
      checkLogDir,
    ),
    number("grace-period", "<time>", "between SIGTERM and SIGKILL", "10s", checkGrace),
    number(
      "max-processes",
      "<n>",
      "processes and threads of each job, or max",
      "4096",
      checkBound,
    ),
    number("max-jobs", "<n>", "jobs running at once, or max", "4000", checkBound),
    number("max-jobs-per-user", "<n>", "those of one user, or max", "2000", checkBound),
    number("max-connections", "<n>", "connections open at once, or max", "10000", checkBound),
    number("max-connections-per-user", "<n>", "those of one user, or max", "2000", checkBound),
    number("max-handshakes", "<n>", "handshakes under way at once, or max", "2000", checkBound),
    number("max-streams", "<n>", "streams open on one connection", "2000", checkStreams),
    number(
      "max-open-calls",
      "<n>",
      "calls and streams a user has open, or max",
      "5000",
      checkBound,
    ),
    number("max-call-rate", "<n>", "calls a second a user makes, or max", "5000", checkBound),
    number("max-output", "<size>", "newest output kept of each job, or max", "256M", checkKept),
    number("retain-age", "<time>", "how long finished jobs are kept", "30d", parseDurationMs),
    number("retain-count", "<n>", "how many finished jobs are kept", "100000", parseCount),
    number("retain-bytes", "<size>", "output kept of finished jobs", "50G", parseBytes),
    number(
      "memory-limit",
      "<size>",
      "server memory past which it ends with 75 to be started afresh, or max",
      "1G",
      checkMemoryLimit,
    ),
    text("job-user", "<name>", "whom jobs run as, unless a start says another", "root", checkUser),
    text(
      "rules",
      "<file>",
      "what narrows roles and people further, as JSON (default: no file)",
      "",
    ),
    text(
      "metrics-listen",
      "<host:port>",
      "where Prometheus reads, without authentication (default: nowhere)",
      "",
      (address) => address === "" ? address : checkAddress(address),
    ),
    number("audit-size", "<size>", "newest audit trail kept, or max", "256M", checkKept),
    text(
      "cgroup-parent",
      "<group>",
      "control group that holds the jobs' groups",
      "job-worker",
      checkGroup,
    ),
    text(
      "role-oid",
      "<oid>",
      "certificate extension that names the role",
      DEFAULT_ROLE_OID,
      checkOid,
    ),
  ];
}

function text(
  flag: string,
  value: string,
  description: string,
  fallback: string,
  check: (text: string) => string = (given) => given,
): Option {
  return new Option(`--${flag} ${value}`, description)
    .env(environmentName(flag))
    .default(fallback)
    .argParser(check);
}

function number(
  flag: string,
  value: string,
  description: string,
  fallback: string,
  parse: (text: string) => number,
): Option {
  return new Option(`--${flag} ${value}`, description)
    .env(environmentName(flag))
    .default(parse(fallback), fallback)
    .argParser((given) => {
      try {
        return parse(given);
      } catch (error) {
        if (error instanceof RangeError) throw new InvalidArgumentError(error.message);
        throw error;
      }
    });
}

function environmentName(flag: string): string {
  return `JOB_WORKER_${flag.toUpperCase().replaceAll("-", "_")}`;
}

function checkAddress(address: string): string {
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[^:\s]+):(\d{1,5})$/.exec(address)?.[1]);
  if (port <= 65_535) return address;
  throw new InvalidArgumentError("Expected HOST:PORT, such as 0.0.0.0:50051 or [::]:50051.");
}

function checkLogDir(folder: string): string {
  const below = relative(LOG_DIR, folder);
  if (isAbsolute(folder) && below !== ".." && !below.startsWith("../")) return folder;
  throw new InvalidArgumentError(
    `This binary may write to ${LOG_DIR} and below only; another place is chosen when it is built.`,
  );
}

function checkGrace(given: string): number {
  const graceMs = parseDurationMs(given);
  if (graceMs <= MAX_GRACE_MS) return graceMs;
  throw new InvalidArgumentError("Expected at most 1h.");
}

function checkBound(given: string): number {
  if (given === "max") return Infinity;
  const count = countWithin(given, 1, Number.MAX_SAFE_INTEGER);
  if (count !== undefined) return count;
  throw new InvalidArgumentError('Expected a whole number, 1 or more, or "max" for no bound.');
}

/** The protocol has no word for "no bound". */
function checkStreams(given: string): number {
  const count = countWithin(given, 1, 1_000_000);
  if (count !== undefined) return count;
  throw new InvalidArgumentError("Expected 1 to 1000000.");
}

function checkKept(given: string): number {
  if (given === "max") return Infinity;
  const bytes = parseBytes(given);
  if (bytes >= MIN_OUTPUT_BYTES) return bytes;
  throw new InvalidArgumentError("Expected 64K or more.");
}

function checkMemoryLimit(given: string): number {
  if (given === "max") return Infinity;
  const bytes = parseBytes(given);
  if (bytes === 0) return Infinity;
  if (bytes >= MIN_MEMORY_LIMIT_BYTES) return bytes;
  throw new InvalidArgumentError("Expected 64M or more, or max.");
}

/** No component may lead out of the hierarchy, or be taken for one of the kernel's files. */
function checkGroup(group: string): string {
  if (
    group.split("/").every((name) =>
      /^[A-Za-z0-9_][A-Za-z0-9_@:-]*(\.(slice|service|scope))?$/.test(name)
    )
  ) {
    return group;
  }
  throw new InvalidArgumentError(
    "Expected a group such as job-worker or system.slice/job-worker.service.",
  );
}

function checkUser(user: string): string {
  if (isUserName(user)) return user;
  throw new InvalidArgumentError("Expected the name of a user of this host, such as nobody.");
}

function checkOid(oid: string): string {
  if (isRoleOid(oid)) return oid;
  throw new InvalidArgumentError(
    "Expected an OID such as 1.2.840.10070.8.1, outside 2.5.29 and 1.3.6.1.5.5.7.1.",
  );
}
