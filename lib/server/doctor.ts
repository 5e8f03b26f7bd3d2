/**
 * `worker-server doctor`: reports what this host has and lacks, and how to get it. Makes the log
 * directory where it is missing, and changes nothing else.
 */
import { findExposures } from "../access/exposure.ts";
import type { Controller } from "../cgroup/types.ts";
import { defaultUserOf, type ServerConfig } from "./config.ts";
import { guardedFiles } from "./guarded_files.ts";
import { messageOf } from "../errors.ts";
import { LIMIT_FILES, readLimits } from "../limits.ts";
import { QUEUES_FILE, readQueues } from "../limits/queue_file.ts";
import { requireDisk } from "./disk.ts";
import { openLogFolder } from "./log_directory.ts";
import { examineCluster } from "./cluster_findings.ts";
import { ownAccount, ROOT } from "./own_account.ts";
import { LocalExecutor } from "../executor/local.ts";
import { RuleFile } from "../access/rule_file.ts";
import { UserMapFile } from "../access/user_map_file.ts";
import { scripts } from "../shim/scripts.ts";
import { runScript } from "../shim/shell.ts";
import { requireHolePunching } from "../logs/rotation.ts";
import { formatTimeLeft, isExpirySoon } from "../tls/expiry.ts";
import { readServerIdentity } from "../tls/server_identity.ts";
import { UNIT, type UnitSettings } from "./unit_settings.ts";
import { readRevocationFile } from "../tls/revocation_file.ts";

/** One line of the report. */
export interface Finding {
  state: "ok" | "warning" | "missing";
  /** What was checked. */
  subject: string;
  /** What was found, and what to do where something is missing. */
  text: string;
}

/** A warning instead of a success. */
interface Warning {
  warning: string;
}

/** What each controller is needed for, and the kernel's switch where it can be off. */
const CONTROLLER_USES: Record<Exclude<Controller, "cpuacct">, string> = {
  cpu: LIMIT_FILES.cpu,
  memory: `${LIMIT_FILES.memory} (some kernels need cgroup_enable=memory on their command line)`,
  io: LIMIT_FILES.diskIo,
  pids: "--max-processes",
  cpuset: "--cpus-allowed (on cgroup v2 the groups above the jobs' parent have to hand it down)",
};

/**
 * Examines the host with the server's own settings.
 *
 * @param unit Where some of them come from; undefined: the server has no unit here.
 * @returns One finding for each thing that the server needs.
 */
export async function examine(
  config: ServerConfig,
  unit: UnitSettings | undefined,
): Promise<Finding[]> {
  const isLocal = config.engine === "local";
  const { uid } = isLocal ? ROOT : await ownAccount();
  return [
    { state: "ok", subject: "settings", text: describeSettings(unit) },
    ...isLocal ? await examineHost(config) : await examineCluster({
      sharedFolder: config.sharedDir,
      configurationFile: config.slurmConf,
      isForUsers: config.userMap !== "",
      maxOutputBytes: config.maxOutputBytes,
      maxProcesses: config.maxProcesses,
    }),
    await check("log directory", async () => {
      await requireDisk(config.logDir);
      const { path, readable } = await openLogFolder(config.logDir, uid);
      if (isLocal && Number.isFinite(config.maxOutputBytes)) await requireHolePunching(path);
      const [folder] = readable;
      if (folder === undefined) {
        return isLocal
          ? `${path} is private, and output there can be bounded`
          : `${path} is private`;
      }
      return { warning: `others can look into ${folder}: the server closes it when it starts` };
    }),
    ...isLocal ? [await check("job user", () => examineUser(config))] : [],
    ...config.userMap === ""
      ? []
      : [await check("user map", () => examineUserMap(config.userMap, [ROOT.uid, uid]))],
    await check("rule file", async () => {
      await RuleFile.open(config.rules, defaultUserOf(config));
      return config.rules === "" ? "none: roles alone decide" : `${config.rules} is valid`;
    }),
    await check("limit files", () => {
      const limits = Object.entries(readLimits(config.limitsDir));
      const text = limits.map(([name, value]) => `${name} ${value}`).join(", ");
      return `${config.limitsDir}: ${text === "" ? "no limits" : text}`;
    }),
    ...isLocal ? [await check("queues", () => examineQueues(config))] : [],
    await check("certificates", () => examineCertificates(config)),
    await check("revocation list", () => examineRevocations(config)),
    ...await examineExposures(config, uid),
  ];
}

function describeSettings(unit: UnitSettings | undefined): string {
  const own = "of the command line and the environment";
  if (unit === undefined) return `${own}: systemd has no ${UNIT} here`;
  return `${own}, then of ${[UNIT, ...unit.files].join(", ")}`;
}

/** The report as text, and whether the server can run. */
export function formatFindings(findings: readonly Finding[]): { text: string; isHealthy: boolean } {
  const width = Math.max(...findings.map(({ subject }) => subject.length));
  const lines = findings.map(({ state, subject, text }) =>
    `${state.padEnd("warning".length)}  ${subject.padEnd(width)}  ${text}`
  );
  const missing = findings.filter(({ state }) => state === "missing").length;
  const verdict = missing === 0
    ? "worker-server can run here."
    : `worker-server cannot run here: see the ${missing} missing above.`;
  return { text: [...lines, "", verdict].join("\n"), isHealthy: missing === 0 };
}

async function examineHost({ cgroupParent, maxProcesses }: ServerConfig): Promise<Finding[]> {
  let host: LocalExecutor["host"];
  try {
    const executor = await LocalExecutor.open(cgroupParent);
    host = executor.host;
    // A server that runs, or its unit, may need those that were there.
    await executor.close({ keepsFoundGroups: true });
  } catch (error) {
    return [{ state: "missing", subject: "control groups", text: messageOf(error) }];
  }
  const { kind, controllers } = host;
  const findings: Finding[] = [
    { state: "ok", subject: "control groups", text: `cgroup ${kind}, jobs below ${cgroupParent}` },
    kind === "v1"
      ? { state: "warning", subject: "kill", text: KILL_WARNING }
      : { state: "ok", subject: "kill", text: "a whole job is killed at once" },
  ];
  for (const [controller, use] of Object.entries(CONTROLLER_USES)) {
    const subject = `controller ${controller}`;
    if (controllers.includes(controller as Controller)) {
      findings.push({ state: "ok", subject, text: `can hold ${use.split(" ")[0]}` });
    } else {
      // Every start sets the process limit, and would fail without its controller.
      const isNeeded = controller === "pids" && Number.isFinite(maxProcesses);
      const state = isNeeded ? "missing" : "warning";
      findings.push({ state, subject, text: `not available: needed for ${use}` });
    }
  }
  return findings;
}

const KILL_WARNING =
  "no cgroup v2 tree is mounted: a job's processes are frozen and killed one by one";

async function check(
  subject: string,
  look: () => string | Warning | Promise<string | Warning>,
): Promise<Finding> {
  try {
    const text = await look();
    if (typeof text === "string") return { state: "ok", subject, text };
    return { state: "warning", subject, text: text.warning };
  } catch (error) {
    return { state: "missing", subject, text: messageOf(error) };
  }
}

async function examineQueues({ limitsDir }: ServerConfig): Promise<string | Warning> {
  try {
    const queues = [...await readQueues(limitsDir)].map(([name, count]) => `${name} ${count}`);
    return queues.length > 0 ? queues.join(", ") : `none are named in ${limitsDir}/${QUEUES_FILE}`;
  } catch (error) {
    // The server runs, with the queues that it had.
    return { warning: messageOf(error) };
  }
}

async function examineUser({ jobUser, ownerUids }: ServerConfig): Promise<string | Warning> {
  const lines = (await runScript(scripts.user, [jobUser])).trim().split("\n");
  const missing = lines.flatMap((line) => /^missing (.+)$/.exec(line)?.[1] ?? []);
  const canTell = !missing.some((program) => program.startsWith("getent"));
  if (canTell && !lines.some((line) => line.startsWith("user "))) {
    throw new Error(`this host has no user ${jobUser}: make it, or name another with --job-user`);
  }
  if (missing.length === 0) {
    return ownerUids === undefined
      ? `jobs run as ${jobUser}`
      : `jobs run as a uid of their owner's, ${ownerUids.first} to ${ownerUids.last}`;
  }
  const problem = `missing: ${missing.join(", ")} (Debian's util-linux and libc-bin)`;
  // Every start would fail.
  if (jobUser !== "root" || ownerUids !== undefined) throw new Error(problem);
  return { warning: `${problem}: jobs cannot run as another user or be isolated` };
}

/** Accounts that are not there are told: a start as one of them is refused. */
async function examineUserMap(
  path: string,
  owners: readonly number[],
): Promise<string | Warning> {
  const map = await (await UserMapFile.open(path, owners)).current();
  const missing: string[] = [];
  for (const account of map?.accounts ?? []) {
    const printed = await runScript(scripts.user, [account]);
    if (!/^user /m.test(printed)) missing.push(account);
  }
  if (missing.length === 0) return `${path} is valid, and its accounts are there`;
  return { warning: `this host has no user ${missing.join(", ")}, whom ${path} names` };
}

async function examineExposures(config: ServerConfig, uid: number): Promise<Finding[]> {
  const subject = "file permissions";
  const problems = await findExposures(guardedFiles(config), [ROOT.uid, uid]);
  if (problems.length > 0) {
    return problems.map((text) => ({ state: "warning", subject, text }));
  }
  const who = uid === ROOT.uid ? "only root" : "only root and the server's own user";
  const text = `${who} can read the key and change what decides who may do what`;
  return [{ state: "ok", subject, text }];
}

async function examineCertificates(config: ServerConfig): Promise<string | Warning> {
  const { expiries } = await readServerIdentity(config);
  const { file, atMs } = expiries.reduce((one, other) => one.atMs < other.atMs ? one : other);
  const leftMs = atMs - Date.now();
  if (!isExpirySoon(leftMs)) {
    return `fit together, valid until ${new Date(atMs).toISOString().slice(0, 10)}`;
  }
  return { warning: `${file} ${formatTimeLeft(leftMs)}: issue a new one with worker-certs` };
}

async function examineRevocations({ crl, ...config }: ServerConfig): Promise<string | Warning> {
  const { authorities, intermediates } = await readServerIdentity(config);
  const nowMs = Date.now();
  const found = await readRevocationFile(crl, {
    authorities: [...authorities, ...intermediates],
    nowMs,
  });
  if (found === undefined) return `${crl} does not exist: no certificate is revoked`;
  const leftMs = Math.min(...found.map(({ nextUpdateMs = Infinity }) => nextUpdateMs)) -
    nowMs;
  const count = found.reduce((sum, { serials }) => sum + serials.size, 0);
  if (!isExpirySoon(leftMs)) return `${crl}: ${count} revoked`;
  return { warning: `${crl} ${formatTimeLeft(leftMs)}: make a new one with worker-certs revoke` };
}
