/** worker-server: wiring, signals and exit statuses. */
import { CommanderError } from "commander";
import { AuditTrail } from "./lib/access/audit.ts";
import { VERSION } from "./lib/server/build_info.ts";
import { readConfig, type ServerConfig } from "./lib/server/config.ts";
import { examine, formatFindings } from "./lib/server/doctor.ts";
import { messageOf } from "./lib/errors.ts";
import { HealthService } from "./lib/grpc/health.ts";
import { ReflectionService } from "./lib/grpc/reflection.ts";
import { listen } from "./lib/grpc/server.ts";
import { Housekeeper } from "./lib/server/housekeeping.ts";
import { JobManager } from "./lib/job.ts";
import { LocalExecutor } from "./lib/executor/local.ts";
import { log } from "./lib/log.ts";
import { openLogFolder } from "./lib/server/log_directory.ts";
import { Metrics, type MetricSources, StreamTotals } from "./lib/server/metrics.ts";
import { serveMetrics } from "./lib/server/metrics_server.ts";
import { MemoryWatch } from "./lib/server/memory_watch.ts";
import { tellReady } from "./lib/server/readiness.ts";
import { requireHolePunching } from "./lib/logs/rotation.ts";
import { RuleFile } from "./lib/access/rule_file.ts";
import { createHandlers } from "./lib/service.ts";
import { JobStore } from "./lib/store.ts";
import { readServerIdentity } from "./lib/tls/server_identity.ts";
import { Renewal } from "./lib/tls/renewal.ts";

const USAGE_STATUS = 2;
const FAILURE_STATUS = 1;

/** EX_TEMPFAIL (sysexits.h): nothing is wrong, and another start is asked for. */
const HAND_OVER_STATUS = 75;

/** How often the memory is looked at. */
const MEMORY_INTERVAL_MS = 1000;

/** @returns The exit status. */
async function run(config: ServerConfig): Promise<number> {
  const identity = await readServerIdentity(config);
  await requireFolder(config.limitsDir);
  const rules = await RuleFile.open(config.rules, config.jobUser);
  const logFolder = await openLogFolder(config.logDir);
  const store = new JobStore(logFolder);
  // Behind the store's lock, which keeps a second server off the folder.
  const renewal = await Renewal.open(config, { identity, logFolder });
  if (Number.isFinite(config.maxOutputBytes)) await requireHolePunching(logFolder);
  const executor = await LocalExecutor.open(config.cgroupParent);
  const trail = new AuditTrail(logFolder, config.auditSizeBytes);
  try {
    const exitStatus = await serve(config, { renewal, rules, logFolder, store, executor, trail });
    log.info("stopped; running jobs go on");
    return exitStatus;
  } finally {
    // Also where the start fails, so that it leaves no empty control groups.
    await executor.close();
    trail.close();
    store.close();
  }
}

/** What a server stands on, opened. */
interface Foundation {
  renewal: Renewal;
  rules: RuleFile;
  logFolder: string;
  store: JobStore;
  executor: LocalExecutor;
  trail: AuditTrail;
}

/**
 * Takes calls until a signal says to end, or the memory has grown too far.
 *
 * @returns The exit status.
 */
async function serve(config: ServerConfig, foundation: Foundation): Promise<number> {
  const { renewal, rules, logFolder, store, executor, trail } = foundation;
  const manager = await JobManager.open({
    executor,
    store,
    logFolder,
    limitsFolder: config.limitsDir,
    graceMs: config.gracePeriodMs,
    maxProcesses: config.maxProcesses,
    bounds: config,
    maxOutputBytes: config.maxOutputBytes,
  });
  const streams = new StreamTotals();
  const housekeeper = new Housekeeper(manager, store, config);
  const begun = new AbortController();
  const overdue = new AbortController();
  const shutdown = { begun: begun.signal, overdue: overdue.signal };
  const server = await listen(config.listen, {
    credentials: renewal,
    roleOid: config.roleOid,
    bounds: config,
    trail,
    handlers: createHandlers({
      manager,
      rules,
      streams,
      about: {
        version: VERSION,
        cgroup: executor.host.kind,
        controllers: executor.host.controllers,
      },
      defaultUser: config.jobUser,
      shutdown,
    }),
    companions: [new HealthService(rules, shutdown), new ReflectionService(rules, shutdown)],
  });
  await using metrics = openMetrics(config.metricsListen, {
    version: VERSION,
    activeStates: () => [...manager.active].map(({ record }) => record.state.kind),
    endedCount: () => store.endedTotals().count,
    connectionCount: () => server.connectionCount,
    expiries: () => renewal.expiries,
    streams,
    residentBytes: () => Deno.memoryUsage().rss,
  }, { trail, isServing: () => !begun.signal.aborted });
  using following = renewal.follow((credentials) => server.renew(credentials));
  Deno.addSignalListener("SIGHUP", following.look);
  if (executor.inheritedDescriptors.length > 0) {
    log.warn(
      "jobs inherit open descriptors that this server was started with; start it without them",
      { descriptors: executor.inheritedDescriptors.join(" ") },
    );
  }
  log.info("ready", {
    version: VERSION,
    listen: config.listen,
    port: server.port,
    cgroup: executor.host.kind,
    controllers: executor.host.controllers.join(" "),
    logs: logFolder,
    metricsPort: metrics.port,
    revoked: renewal.revokedCount,
  });
  surviveMistakes();
  await tellReady();
  const exitStatus = await Promise.race([untilSignal(), untilGrown(config.memoryLimitBytes)]);
  begun.abort();
  await server.close(() => overdue.abort());
  housekeeper.stop();
  return exitStatus;
}

/** Counts, and lets Prometheus and probes read, where an address is given for that. */
function openMetrics(
  address: string,
  sources: MetricSources,
  { trail, isServing }: { trail: AuditTrail; isServing: () => boolean },
) {
  if (address === "") return { port: undefined, [Symbol.asyncDispose]: async () => {} };
  const metrics = new Metrics(sources);
  trail.onEntry = (event, fields) => metrics.count(event, fields);
  const server = serveMetrics(address, { metrics, isServing });
  return {
    port: server.port,
    async [Symbol.asyncDispose]() {
      await server.close();
      metrics[Symbol.dispose]();
    },
  };
}

/**
 * Waits for SIGTERM, SIGINT or SIGQUIT. What is listened for here is not ignored, so that jobs do not
 * inherit a signal that was ignored when the server was started (a shell does that with `&`).
 */
function untilSignal(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT", "SIGQUIT"] as const) {
      Deno.addSignalListener(signal, () => {
        log.info("stopping", { signal });
        resolve(0);
      });
    }
  });
}

/** Waits until a fresh process should take this one's place; each connection leaks on this runtime. */
function untilGrown(limitBytes: number): Promise<number> {
  const watch = new MemoryWatch(limitBytes);
  return new Promise((resolve) => {
    const timer = setInterval(() => {
      const residentBytes = Deno.memoryUsage().rss;
      if (!watch.isTimeToHandOver(residentBytes, performance.now())) return;
      clearInterval(timer);
      log.info("handing over to a fresh process", { residentBytes, limitBytes });
      resolve(HAND_OVER_STATUS);
    }, MEMORY_INTERVAL_MS);
  });
}

async function requireFolder(folder: string): Promise<void> {
  const info = await Deno.stat(folder).catch(() => undefined);
  if (info?.isDirectory === true) return;
  const problem = info === undefined ? "does not exist" : "is not a folder";
  throw new Error(
    `the limits folder ${folder} ${problem}; say where it is with --limits-dir, or make it with ` +
      `the files cpu_limit.txt, memory_limit.txt and disk_io_limit.txt ("max" in each: no limit)`,
  );
}

/**
 * A mistake in the handling of one call or connection is a line of the log, and no reason to leave
 * all others: until here nothing is known of it that an end of the process would mend.
 */
function surviveMistakes(): void {
  const tell = (event: Event, error: unknown) => {
    event.preventDefault();
    log.error("a mistake of the server", {
      error: messageOf(error),
      stack: error instanceof Error ? error.stack : undefined,
    });
  };
  addEventListener("error", (event) => tell(event, event.error));
  addEventListener("unhandledrejection", (event) => tell(event, event.reason));
}

function fail(error: unknown): never {
  if (error instanceof CommanderError) {
    Deno.exit(error.exitCode === 0 ? 0 : USAGE_STATUS);
  }
  console.error(`worker-server: ${messageOf(error)}`);
  Deno.exit(FAILURE_STATUS);
}

/** Prints what this host has and lacks. */
async function doctor(config: ServerConfig): Promise<number> {
  const { text, isHealthy } = formatFindings(await examine(config));
  console.log(text);
  return isHealthy ? 0 : FAILURE_STATUS;
}

try {
  const { verb, config } = readConfig(Deno.args);
  if (verb === "doctor") Deno.exit(await doctor(config));
  Deno.exit(await run(config));
} catch (error) {
  fail(error);
}
