/** The server's settings: flags, environment variables, defaults. */
import {
  Argument,
  Command,
  InvalidArgumentError,
  Option,
  type OutputConfiguration,
} from "commander";
import * as v from "valibot";
import { parseBytes, parseCount, parseDurationMs } from "../../common/quantities.ts";
import { MAPPED_USER } from "../model/mapped_user.ts";
import { OWNER_UID, parseUidRange, type UidRange } from "../model/owner_uids.ts";
import { DEFAULT_ROLE_OID } from "../rbac.ts";
import { LOG_DIR, VERSION } from "./build_info.ts";
import {
  checkAddress,
  checkGroup,
  checkLogDir,
  checkOid,
  checkOwnerUids,
  checkUser,
  parseBound,
  parseGraceMs,
  parseKeptBytes,
  parseMemoryLimitBytes,
  parseStreams,
} from "./option_values.ts";

/** What an operator sets. Bounds are Infinity where there is no bound. */
export interface ServerConfig {
  /** `HOST:PORT` */
  readonly listen: string;
  readonly ca: string;
  readonly cert: string;
  readonly key: string;
  /** The file of revocation lists, which need not exist. */
  readonly crl: string;
  readonly limitsDir: string;
  readonly logDir: string;
  /** Between SIGTERM and SIGKILL. */
  readonly gracePeriodMs: number;
  readonly cgroupParent: string;
  /** Where jobs run. */
  readonly engine: "local" | "slurm";
  /** With a cluster: a folder on its shared file system, with the same path on each node; else empty. */
  readonly sharedDir: string;
  /** slurm.conf; empty: where Slurm looks for it. */
  readonly slurmConf: string;
  /** The file that says which users of the cluster clients' jobs run as; empty: as the server's own. */
  readonly userMap: string;
  /** The user that jobs run as, unless a start names another. */
  readonly jobUser: string;
  /** Uids for owners, one each, that jobs run as instead of `jobUser`; undefined: none. */
  readonly ownerUids: UidRange | undefined;
  /** The rule file; empty: none. */
  readonly rules: string;
  readonly roleOid: string;
  /** Processes and threads of each job. */
  readonly maxProcesses: number;
  /** Jobs that run at once. */
  readonly maxJobs: number;
  /** Those of one user, by the certificate's name. */
  readonly maxJobsPerUser: number;
  /** Jobs that wait on this host. */
  readonly maxWaitingJobs: number;
  /** Those of one user, by the certificate's name. */
  readonly maxWaitingJobsPerUser: number;
  /** Connections that are open at once. */
  readonly maxConnections: number;
  /** Those of one user, by the certificate's name. */
  readonly maxConnectionsPerUser: number;
  /** Connections whose handshake has not ended. */
  readonly maxHandshakes: number;
  /** Streams that one connection has open at once; never Infinity. */
  readonly maxStreams: number;
  /** Calls of one user that are open at once, streams included. */
  readonly maxOpenCalls: number;
  /** Calls of one user in a second. */
  readonly maxCallRate: number;
  /** `HOST:PORT` of the metrics; empty: none. */
  readonly metricsListen: string;
  /** Newest bytes of the audit trail that are kept. */
  readonly auditSizeBytes: number;
  /** Newest bytes of output that are kept of each job. */
  readonly maxOutputBytes: number;
  /** How long a finished job is kept. */
  readonly retainAgeMs: number;
  /** How many finished jobs are kept. */
  readonly retainCount: number;
  /** Bytes of output that are kept of all finished jobs. */
  readonly retainBytes: number;
  /** Resident memory above which the server exits to be restarted. */
  readonly memoryLimitBytes: number;
}

/** The user of jobs that ask for none. */
export function defaultUserOf({ jobUser, ownerUids, userMap }: ServerConfig): string {
  if (userMap !== "") return MAPPED_USER;
  return ownerUids === undefined ? jobUser : OWNER_UID;
}

const DEFAULT_JOB_USER = "root";

const NAME = "worker-server:";

const EXAMPLES = `
Examples:
  worker-server
  worker-server doctor
  worker-server --listen 0.0.0.0:50051 --limits-dir /etc/job-worker/limits
  JOB_WORKER_GRACE_PERIOD=30s worker-server

Exit status: 0 after SIGTERM or SIGINT (running jobs go on, and the next server takes them over),
1 when the server cannot start or doctor finds something missing, 2 for wrong usage,
75 above --memory-limit: no job and no call is lost when the server is restarted at once.`;

/**
 * Reads the settings: a flag goes before its environment variable, which goes before the default.
 *
 * @param args The command line without the program's name.
 * @param output Where help and errors are written; the process's own streams unless given.
 * @param unit Variables of the server's unit: they go before the defaults alone.
 * @throws {CommanderError} Help was printed (its exit code is 0), or an error.
 */
export function readConfig(
  args: readonly string[],
  output: Pick<OutputConfiguration, "writeOut" | "writeErr"> = {},
  unit: Readonly<Record<string, string>> = {},
): { verb: "serve" | "doctor"; config: ServerConfig } {
  const command = createCommand(output, unit);
  command.parse([...args], { from: "user" });
  const config = toConfig(command.opts());
  const problem = problemOf(config);
  if (problem !== undefined) command.error(`error: ${problem}`);
  return { verb: command.args[0] === "doctor" ? "doctor" : "serve", config };
}

/** The command line's definition, for what is made of it: its manual page. */
export function describeServer(): Command {
  return createCommand({}, {});
}

function createCommand(
  output: Pick<OutputConfiguration, "writeOut" | "writeErr">,
  unit: Readonly<Record<string, string>>,
): Command {
  const command = new Command("worker-server")
    .description(
      "Runs commands as jobs within control groups, keeps their output, and serves them over mutual TLS.",
    )
    .version(VERSION)
    .helpOption("-h, --help", "print this help")
    .addHelpText("after", EXAMPLES)
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({
      ...output,
      outputError: (text, write) => write(text.replace(/^error:/, NAME)),
    });
  command.addArgument(
    new Argument("[verb]", "doctor: check what this host has and lacks, and exit")
      .choices(["doctor"]),
  );
  for (const option of options()) {
    const text = unit[option.envVar ?? ""];
    command.addOption(text === undefined ? option : withDefault(command, option, text));
  }
  return command;
}

/** @throws {CommanderError} The text is not a value of the option. */
function withDefault(command: Command, option: Option, text: string): Option {
  try {
    return option.default(option.parseArg === undefined ? text : option.parseArg(text, undefined));
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    return command.error(`error: ${option.envVar} of the unit is "${text}": ${error.message}`);
  }
}

const amount = v.pipe(v.number(), v.minValue(0));

/** The options as the parser gives them: one for each flag, and none besides. */
const OPTIONS = v.strictObject({
  listen: v.string(),
  ca: v.string(),
  cert: v.string(),
  key: v.string(),
  crl: v.string(),
  limitsDir: v.string(),
  logDir: v.string(),
  gracePeriod: amount,
  cgroupParent: v.string(),
  jobUser: v.string(),
  ownerUids: v.string(),
  rules: v.string(),
  engine: v.picklist(["local", "slurm"]),
  sharedDir: v.string(),
  slurmConf: v.string(),
  userMap: v.string(),
  roleOid: v.string(),
  maxProcesses: amount,
  maxJobs: amount,
  maxJobsPerUser: amount,
  maxWaitingJobs: amount,
  maxWaitingJobsPerUser: amount,
  maxConnections: amount,
  maxConnectionsPerUser: amount,
  maxHandshakes: amount,
  maxStreams: amount,
  maxOpenCalls: amount,
  maxCallRate: amount,
  metricsListen: v.string(),
  auditSize: amount,
  maxOutput: amount,
  retainAge: amount,
  retainCount: amount,
  retainBytes: amount,
  memoryLimit: amount,
});

/** @throws {v.ValiError} The options and {@link OPTIONS} differ, which is a defect. */
function toConfig(parsed: unknown): ServerConfig {
  const { gracePeriod, auditSize, maxOutput, retainAge, memoryLimit, ...others } = v.parse(
    OPTIONS,
    parsed,
  );
  return {
    ...others,
    ownerUids: parseUidRange(others.ownerUids),
    gracePeriodMs: gracePeriod,
    auditSizeBytes: auditSize,
    maxOutputBytes: maxOutput,
    retainAgeMs: retainAge,
    memoryLimitBytes: memoryLimit,
  };
}

/** @returns What of the options does not go together; undefined: all do. */
function problemOf(
  { engine, sharedDir, slurmConf, userMap, jobUser, ownerUids }: ServerConfig,
): string | undefined {
  if (engine === "local") {
    if (userMap !== "") {
      return "--user-map is for --engine slurm: on one host, --rules says whom jobs may run as";
    }
    return sharedDir === "" && slurmConf === ""
      ? undefined
      : "--shared-dir and --slurm-conf are for --engine slurm: give that too, or leave them out";
  }
  if (sharedDir === "") {
    return "--engine slurm needs --shared-dir, a folder that all nodes have under the same path";
  }
  return jobUser === DEFAULT_JOB_USER && ownerUids === undefined
    ? undefined
    : "with --engine slurm jobs run as the server's own user, or as --user-map says: leave --job-user and " +
      "--owner-uids out";
}

function options(): Option[] {
  return [
    text("listen", "<host:port>", "the address to listen on", "127.0.0.1:50051", checkAddress),
    text("ca", "<file>", "certificate of the CA that signs clients", "/etc/job-worker/ca.crt"),
    text("cert", "<file>", "the server's certificate", "/etc/job-worker/server.crt"),
    text("key", "<file>", "the key of the server's certificate", "/etc/job-worker/server.key"),
    text("crl", "<file>", "revocation lists of the CA, if there are any", "/etc/job-worker/ca.crl"),
    text("limits-dir", "<dir>", "folder of the limit files", "/etc/job-worker/limits"),
    text(
      "log-dir",
      "<dir>",
      `folder of output and records: ${LOG_DIR} or below`,
      LOG_DIR,
      checkLogDir,
    ),
    number("grace-period", "<time>", "between SIGTERM and SIGKILL", "10s", parseGraceMs),
    number("max-processes", "<n>", "processes and threads of each job, or max", "4096", parseBound),
    number("max-jobs", "<n>", "jobs running at once, or max", "4000", parseBound),
    number("max-jobs-per-user", "<n>", "jobs of one user at once, or max", "2000", parseBound),
    number("max-waiting-jobs", "<n>", "jobs that wait on this host, or max", "10000", parseBound),
    number(
      "max-waiting-jobs-per-user",
      "<n>",
      "waiting jobs of one user, or max",
      "5000",
      parseBound,
    ),
    number("max-connections", "<n>", "connections open at once, or max", "10000", parseBound),
    number(
      "max-connections-per-user",
      "<n>",
      "connections of one user at once, or max",
      "2000",
      parseBound,
    ),
    number("max-handshakes", "<n>", "unfinished handshakes at once, or max", "2000", parseBound),
    number("max-streams", "<n>", "streams open on one connection", "2000", parseStreams),
    number(
      "max-open-calls",
      "<n>",
      "open calls and streams of one user, or max",
      "5000",
      parseBound,
    ),
    number("max-call-rate", "<n>", "calls of one user in a second, or max", "5000", parseBound),
    number(
      "max-output",
      "<size>",
      "newest output kept of each job, or max",
      "256M",
      parseKeptBytes,
    ),
    number("retain-age", "<time>", "how long finished jobs are kept", "30d", parseDurationMs),
    number("retain-count", "<n>", "how many finished jobs are kept", "100000", parseCount),
    number("retain-bytes", "<size>", "output kept of finished jobs", "50G", parseBytes),
    number(
      "memory-limit",
      "<size>",
      "memory above which the server exits with status 75 to be restarted, or max",
      "1G",
      parseMemoryLimitBytes,
    ),
    text(
      "job-user",
      "<name>",
      "the user that jobs run as, unless a start names another",
      DEFAULT_JOB_USER,
      checkUser,
    ),
    text(
      "owner-uids",
      "<first-last>",
      "a range of uids: jobs that ask for no user run as their owner's own one, instead of as " +
        "--job-user (default: none)",
      "",
      checkOwnerUids,
    ),
    text("rules", "<file>", "rules in JSON that restrict roles and users (default: no file)", ""),
    text(
      "metrics-listen",
      "<host:port>",
      "the address of metrics for Prometheus, without authentication (default: none)",
      "",
      (address) => address === "" ? address : checkAddress(address),
    ),
    number("audit-size", "<size>", "newest audit trail kept, or max", "256M", parseKeptBytes),
    text(
      "cgroup-parent",
      "<group>",
      "control group that holds the jobs' groups",
      "job-worker",
      checkGroup,
    ),
    new Option("--engine <name>", "where jobs run: on this host, or on a cluster of Slurm's")
      .env(environmentName("engine"))
      .choices(["local", "slurm"])
      .default("local"),
    text(
      "shared-dir",
      "<dir>",
      `with --engine slurm: folder on the cluster's shared file system, with the same path on each ` +
        `node: ${LOG_DIR} or below (default: none)`,
      "",
      (folder) => folder === "" ? folder : checkLogDir(folder),
    ),
    text(
      "slurm-conf",
      "<file>",
      "with --engine slurm: the site's slurm.conf (default: where Slurm looks for it)",
      "",
    ),
    text(
      "user-map",
      "<file>",
      "with --engine slurm, as root: which users of the cluster the jobs of which clients run as (default: no " +
        "file: as the server's own user)",
      "",
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
