/** worker-server: wiring, signals and exit statuses. */
import { CommanderError } from "commander";
import { VERSION } from "./lib/build_info.ts";
import { readConfig, type ServerConfig } from "./lib/config.ts";
import { messageOf } from "./lib/errors.ts";
import { listen } from "./lib/grpc_server.ts";
import { Housekeeper } from "./lib/housekeeping.ts";
import { JobManager } from "./lib/job.ts";
import { LocalExecutor } from "./lib/local_executor.ts";
import { log } from "./lib/log.ts";
import { openLogFolder } from "./lib/log_folder.ts";
import { requireHolePunching } from "./lib/rotation.ts";
import { createHandlers } from "./lib/service.ts";
import { JobStore } from "./lib/store.ts";
import { readServerIdentity } from "./lib/tls_identity.ts";

const USAGE_STATUS = 2;
const FAILURE_STATUS = 1;

async function run(config: ServerConfig): Promise<void> {
  const identity = await readServerIdentity(config);
  await requireFolder(config.limitsDir);
  const logFolder = await openLogFolder(config.logDir);
  const store = new JobStore(logFolder);
  if (Number.isFinite(config.maxOutput)) await requireHolePunching(logFolder);
  const executor = await LocalExecutor.open(config.cgroupParent);
  const manager = await JobManager.open({
    executor,
    store,
    logFolder,
    limitsFolder: config.limitsDir,
    graceMs: config.gracePeriod,
    maxProcesses: config.maxProcesses,
    maxOutputBytes: config.maxOutput,
  });
  const housekeeper = new Housekeeper(manager, store, config);
  const shutdown = new AbortController();
  const server = await listen(config.listen, {
    identity,
    roleOid: config.roleOid,
    handlers: createHandlers(manager, shutdown.signal),
  });
  log.info("ready", {
    version: VERSION,
    listen: config.listen,
    port: server.port,
    host: executor.description,
    logs: logFolder,
  });
  await untilSignal();
  shutdown.abort();
  await server.close();
  housekeeper.stop();
  await executor.close();
  store.close();
  log.info("stopped; running jobs go on");
}

/** Waits for SIGTERM or SIGINT. */
function untilSignal(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      Deno.addSignalListener(signal, () => {
        log.info("stopping", { signal });
        resolve();
      });
    }
  });
}

async function requireFolder(folder: string): Promise<void> {
  const info = await Deno.stat(folder).catch(() => undefined);
  if (info?.isDirectory === true) return;
  throw new Error(
    `the limits folder ${folder} does not exist; say where it is with --limits-dir, or make it with ` +
      `the files cpu_limit.txt, memory_limit.txt and disk_io_limit.txt ("max" in each: no limit)`,
  );
}

function fail(error: unknown): never {
  if (error instanceof CommanderError) {
    Deno.exit(error.exitCode === 0 ? 0 : USAGE_STATUS);
  }
  console.error(`worker-server: ${messageOf(error)}`);
  Deno.exit(FAILURE_STATUS);
}

try {
  await run(readConfig(Deno.args));
  Deno.exit(0);
} catch (error) {
  fail(error);
}
