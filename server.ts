/** worker-server: wiring, signals and exit statuses. */
import { CommanderError } from "commander";
import { AuditTrail } from "./lib/access/audit.ts";
import { AccessEvents } from "./lib/access/events.ts";
import { findExposures } from "./lib/access/exposure.ts";
import { VERSION } from "./lib/server/build_info.ts";
import { defaultUserOf, readConfig, type ServerConfig } from "./lib/server/config.ts";
import { guardedFiles } from "./lib/server/guarded_files.ts";
import { type Account, ownAccount, ROOT } from "./lib/server/own_account.ts";
import { fitBounds, raiseDescriptorLimit } from "./lib/server/descriptors.ts";
import { examine, formatFindings } from "./lib/server/doctor.ts";
import { messageOf } from "./lib/errors.ts";
import { HealthService } from "./lib/grpc/health.ts";
import { ReflectionService } from "./lib/grpc/reflection.ts";
import { listen } from "./lib/grpc/server.ts";
import { toldOf } from "./lib/server/told_capabilities.ts";
import { requireDisk } from "./lib/server/disk.ts";
import { Housekeeper } from "./lib/server/housekeeping.ts";
import { requireLimitsFolder } from "./lib/server/limits_folder.ts";
import { JobManager } from "./lib/job.ts";
import { type Engine, openEngine } from "./lib/server/engine.ts";
import { log, logQueue } from "./lib/log.ts";
import { WriteEvents } from "./lib/logs/write_events.ts";
import { closeLogFolder, openLogFolder, openSharedFolder } from "./lib/server/log_directory.ts";
import type { Metrics, MetricSources } from "./lib/server/metrics.ts";
import { serveMetrics } from "./lib/server/metrics_server.ts";
import { tellReady } from "./lib/server/readiness.ts";
import { untilGrown, untilSignal } from "./lib/server/stop_reasons.ts";
import { StreamTotals } from "./lib/server/stream_totals.ts";
import { readUnitSettings } from "./lib/server/unit_settings.ts";
import { logUncaughtErrors } from "./lib/server/uncaught_errors.ts";
import { RuleFile } from "./lib/access/rule_file.ts";
import { UserMapFile } from "./lib/access/user_map_file.ts";
import { createHandlers } from "./lib/service.ts";
import { JobStore } from "./lib/store.ts";
import { readServerIdentity } from "./lib/tls/server_identity.ts";
import { Renewal } from "./lib/tls/renewal.ts";

const SUCCESS_STATUS = 0;
const FAILURE_STATUS = 1;
const USAGE_STATUS = 2;

/** EX_TEMPFAIL (sysexits.h): nothing is wrong; the server is to be started again. */
const HAND_OVER_STATUS = 75;

/** The time at the end for lines of the log, and of the audit trail, that wait to be written. */
const FLUSH_TIMEOUT_MS = 1000;

/**
 * Opens the server's resources, and serves.
 *
 * @returns The exit status.
 */
async function run(wanted: ServerConfig): Promise<number> {
  const descriptors = await raiseDescriptorLimit();
  const account = wanted.engine === "slurm" ? await ownAccount() : ROOT;
  const config = {
    ...wanted,
    ...fitBounds(wanted, descriptors.present),
    // A cluster's jobs run as the server.
    ...(wanted.engine === "slurm" && { jobUser: account.name }),
  };
  const identity = await readServerIdentity(config);
  await requireLimitsFolder(config.limitsDir);
  const rules = await RuleFile.open(config.rules, defaultUserOf(config));
  const userMap = await UserMapFile.open(config.userMap, [ROOT.uid, account.uid]);
  await requireDisk(config.logDir);
  if (config.sharedDir !== "") {
    const isEntered = config.userMap !== "";
    await openSharedFolder(config.sharedDir, { ownUid: account.uid, isEntered });
  }
  const opened = await openLogFolder(config.logDir, account.uid);
  await closeLogFolder(opened);
  const { path: logFolder } = opened;
  const store = new JobStore(logFolder);
  store.watchDisk();
  // After the store, whose lock keeps a second server from using the folder.
  const renewal = await Renewal.open(config, { identity, logFolder });
  const engine = await openEngine(config, {
    logFolder,
    maxDescriptors: descriptors.startedWith,
  });
  const trail = await AuditTrail.open(logFolder, config.auditSizeBytes);
  try {
    const exitStatus = await serve(config, {
      account,
      renewal,
      rules,
      userMap,
      logFolder,
      store,
      engine,
      trail,
    });
    log.info("stopped; running jobs go on");
    return exitStatus;
  } finally {
    // Also where the start fails, so that it leaves no empty control groups.
    await engine.executor.close();
    await trail.close(FLUSH_TIMEOUT_MS);
    store.close();
  }
}

/** What a server uses while it runs. */
interface ServerResources {
  account: Account;
  renewal: Renewal;
  rules: RuleFile;
  userMap: UserMapFile;
  logFolder: string;
  store: JobStore;
  engine: Engine;
  trail: AuditTrail;
}

/**
 * Serves calls until a signal ends the server, or its memory has grown too far.
 *
 * @returns The exit status.
 */
async function serve(config: ServerConfig, resources: ServerResources): Promise<number> {
  const { account, renewal, rules, userMap, logFolder, store, engine, trail } = resources;
  const { executor, jobsParent, cgroup, controllers, inheritedDescriptors } = engine;
  const manager = await JobManager.open({
    executor,
    store,
    logFolder,
    jobsParent,
    limitsFolder: config.limitsDir,
    graceMs: config.gracePeriodMs,
    maxProcesses: config.maxProcesses,
    bounds: config,
    ownerUids: config.ownerUids,
    maxOutputBytes: config.maxOutputBytes,
  });
  // Before "ready" is told: whoever reads it may send a signal at once.
  const signalled = untilSignal();
  const streams = new StreamTotals();
  const events = new AccessEvents();
  events.observe((event) => trail.record(event));
  const housekeeper = new Housekeeper(manager, store, config);
  const begun = new AbortController();
  const overdue = new AbortController();
  const shutdown = { begun: begun.signal, overdue: overdue.signal };
  const health = new HealthService(rules, shutdown);
  // Only where somebody asks for them; and before calls are taken, so that none is missing in them.
  const counted = config.metricsListen === "" ? undefined : await import("./lib/server/metrics.ts");
  const server = await listen(config.listen, {
    credentials: renewal,
    roleOid: config.roleOid,
    bounds: config,
    report: events.report,
    handlers: createHandlers({
      manager,
      rules,
      streams,
      about: {
        version: VERSION,
        cgroup,
        controllers,
        ...toldOf(executor.capabilities),
      },
      defaultUser: defaultUserOf(config),
      userMap,
      shutdown,
    }),
    additionalServices: [health, new ReflectionService(rules, shutdown)],
    onAccepting: (isAccepting) => health.setServing(isAccepting),
  });
  await using metrics = openMetrics(config.metricsListen, counted?.Metrics, {
    version: VERSION,
    activeStates: () => [...manager.active].map(({ record }) => record.state.kind),
    endedCount: () => store.endedTotals().count,
    connectionCount: () => server.connectionCount,
    expiries: () => renewal.expiries,
    streams,
    residentBytes: () => Deno.memoryUsage().rss,
  }, { events, isServing: () => !begun.signal.aborted && server.isAccepting });
  using following = renewal.follow((credentials) => server.renew(credentials));
  Deno.addSignalListener("SIGHUP", following.look);
  if (inheritedDescriptors.length > 0) {
    log.warn(
      "jobs inherit open descriptors that this server was started with; start it without them",
      { descriptors: inheritedDescriptors.join(" ") },
    );
  }
  if (Deno.pid === 1) {
    log.warn(
      "this server is process 1 of a container, and what jobs leave behind stays as zombies: " +
        "start the container with --init (docker and podman have it), or this server by " +
        "deploy/container_init.sh",
    );
  }
  const owners = [ROOT.uid, account.uid];
  for (const problem of await findExposures(guardedFiles(config), owners)) log.warn(problem);
  log.info("ready", {
    version: VERSION,
    listen: config.listen,
    port: server.port,
    ...(config.engine === "slurm"
      ? { engine: executor.capabilities.engine, shared: jobsParent }
      : { cgroup, controllers: controllers.join(" ") }),
    logs: logFolder,
    metricsPort: metrics.port,
    revoked: renewal.revokedCount,
  });
  logUncaughtErrors();
  await tellReady();
  const exitStatus = await Promise.race([
    signalled.then(() => SUCCESS_STATUS),
    untilGrown(config.memoryLimitBytes).then(() => HAND_OVER_STATUS),
  ]);
  begun.abort();
  void manager.close();
  await server.close(() => overdue.abort());
  await WriteEvents.endAll();
  housekeeper.stop();
  return exitStatus;
}

/** Counts calls, and serves metrics and health, where an address for them is configured. */
function openMetrics(
  address: string,
  Counted: typeof Metrics | undefined,
  sources: MetricSources,
  { events, isServing }: { events: AccessEvents; isServing: () => boolean },
) {
  if (Counted === undefined) return { port: undefined, [Symbol.asyncDispose]: async () => {} };
  const metrics = new Counted(sources);
  events.observe((event) => metrics.count(event));
  const server = serveMetrics(address, { metrics, isServing });
  return {
    port: server.port,
    async [Symbol.asyncDispose]() {
      await server.close();
      metrics[Symbol.dispose]();
    },
  };
}

/** Prints why the server ends, after what waits to be logged. */
async function fail(error: unknown): Promise<never> {
  if (error instanceof CommanderError) {
    Deno.exit(error.exitCode === 0 ? SUCCESS_STATUS : USAGE_STATUS);
  }
  logQueue.add(`worker-server: ${messageOf(error)}\n`, { mustKeep: true });
  return await exit(FAILURE_STATUS);
}

/** Ends the process when the log is written, or its time is over. */
async function exit(status: number): Promise<never> {
  await logQueue.flush(FLUSH_TIMEOUT_MS);
  Deno.exit(status);
}

/**
 * Prints what this host has and lacks for the server as its unit starts it; what the command line and
 * this shell's environment say goes before that.
 *
 * @returns The exit status.
 */
async function doctor(): Promise<number> {
  const unit = await readUnitSettings();
  const { config } = readConfig(Deno.args, {}, unit?.variables);
  const { text, isHealthy } = formatFindings(await examine(config, unit));
  console.log(text);
  return isHealthy ? SUCCESS_STATUS : FAILURE_STATUS;
}

try {
  const { verb, config } = readConfig(Deno.args);
  if (verb === "doctor") Deno.exit(await doctor());
  await exit(await run(config));
} catch (error) {
  await fail(error);
}
