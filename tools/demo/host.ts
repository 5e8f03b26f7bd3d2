/** What the demo makes on this host, and how all of it goes away again. */
import { join } from "node:path";
import { findGroups } from "../test/leftovers.ts";

/** Only root may write here, so no other user can put a link where the demo works. */
const BASE_DIR = "/run/job-worker-demo";

/** How long jobs, launchers and the server are given to end. */
const END_DEADLINE_MS = 10_000;

/** How often it is looked whether they have. */
const LOOK_INTERVAL_MS = 20;

/** A demo that cannot run here: the message says why and what to do. */
export class DemoError extends Error {
  override name = "DemoError";
}

/** The folder, the control groups and the server of one demo. */
export class DemoHost {
  /** The log directory that the demo's binaries are built with: every demo's folder is below. */
  static readonly logDir = BASE_DIR;

  /** Where certificates, limits and logs of this demo are. */
  readonly folder: string;
  /** The control group of this demo's jobs, unlike any other server's. */
  readonly cgroupParent: string = `job-worker-demo-${Deno.pid}`;
  #server: Deno.ChildProcess | undefined;

  private constructor(folder: string) {
    this.folder = folder;
  }

  /**
   * Looks whether the demo can run here and makes its folder.
   *
   * @throws {DemoError} where this is not Linux, not root, or there are no control groups to make.
   */
  static async open(): Promise<DemoHost> {
    if (Deno.build.os !== "linux") throw new DemoError("jobs run in control groups: use Linux");
    if (Deno.uid() !== 0) throw new DemoError("making control groups takes root; run it as root");
    await checkControlGroups();
    await Deno.mkdir(BASE_DIR, { recursive: true, mode: 0o700 });
    return new DemoHost(await Deno.makeTempDir({ dir: BASE_DIR, prefix: "demo-" }));
  }

  /**
   * Starts the server and waits until it takes calls.
   *
   * It runs in a session of its own, so that Ctrl-C ends the demo first and the server last.
   *
   * @returns The port it chose.
   * @throws {DemoError} where it ends before it is ready, with what it said.
   */
  async startServer(binary: string, args: readonly string[]): Promise<number> {
    const server = new Deno.Command(binary, {
      args: [...args],
      cwd: this.folder,
      stdin: "null",
      stdout: "null",
      stderr: "piped",
      detached: true,
    }).spawn();
    this.#server = server;
    const decoder = new TextDecoder();
    let log = "";
    for await (const chunk of server.stderr.values({ preventCancel: true })) {
      log += decoder.decode(chunk, { stream: true });
      const port = readPort(log);
      if (port === undefined) continue;
      // Read on, or a full pipe would stop the server.
      void server.stderr.pipeTo(new WritableStream()).catch(() => {});
      return port;
    }
    throw new DemoError(`the server did not start: ${log.trim()}`);
  }

  /** Ends the jobs, then the server, and removes the groups and the folder. */
  async close(): Promise<void> {
    await this.#endJobs();
    await this.#endServer();
    for (const group of (await this.#groups()).reverse()) await removeGroup(group);
    await Deno.remove(this.folder, { recursive: true });
    // Another demo may be at work beside this one.
    await Deno.remove(BASE_DIR).catch(() => {});
  }

  /** The server's launchers see the end of each job and remove its groups themselves. */
  async #endJobs(): Promise<void> {
    await waitUntil(async () => {
      const jobs = await this.#jobGroups();
      for (const group of jobs) await killMembers(group);
      return jobs.length === 0;
    });
  }

  async #endServer(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const kill = setTimeout(() => server.kill("SIGKILL"), END_DEADLINE_MS);
    try {
      server.kill("SIGTERM");
    } catch {
      // It has ended by itself.
    }
    await server.status;
    clearTimeout(kill);
  }

  async #groups(): Promise<string[]> {
    const found: string[] = [];
    for (const parent of await findGroups(new RegExp(`^${this.cgroupParent}$`))) {
      found.push(parent, ...await findGroups(/^/, parent));
    }
    return found;
  }

  async #jobGroups(): Promise<string[]> {
    return (await this.#groups()).filter((group) => !group.endsWith(`/${this.cgroupParent}`));
  }
}

/** The port in the server's log line "ready", once that is there. */
function readPort(log: string): number | undefined {
  for (const line of log.split("\n").slice(0, -1)) {
    if (!line.startsWith("{")) continue;
    const entry = JSON.parse(line) as { message?: string; port?: number };
    if (entry.message === "ready") return entry.port;
  }
  return undefined;
}

/** Makes a group and removes it, where the host's control groups are. */
async function checkControlGroups(): Promise<void> {
  const root = "/sys/fs/cgroup";
  const isPureV2 = await Deno.stat(join(root, "cgroup.controllers")).catch(() => undefined);
  // Version 1 and hybrid hosts mount one folder for each controller, and every one has this one.
  const group = join(root, isPureV2 ? "" : "memory", `job-worker-demo-${Deno.pid}`);
  try {
    await Deno.mkdir(group);
    await Deno.remove(group);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new DemoError(
      `control groups cannot be made below ${root} (${reason}); ` +
        "in a container, start that with --privileged",
    );
  }
}

async function killMembers(group: string): Promise<void> {
  const members = await Deno.readTextFile(join(group, "cgroup.procs")).catch(() => "");
  for (const pid of members.split("\n").filter((line) => line !== "")) {
    try {
      Deno.kill(Number(pid), "SIGKILL");
    } catch {
      // It has ended meanwhile.
    }
  }
}

async function removeGroup(group: string): Promise<void> {
  try {
    await Deno.remove(group);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  const deadlineMs = performance.now() + END_DEADLINE_MS;
  while (!await condition() && performance.now() < deadlineMs) {
    await new Promise((resolve) => setTimeout(resolve, LOOK_INTERVAL_MS));
  }
}
