/** A compiled server with folders of its own; it ends and vanishes with `using`. */
import type { Client } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { BIN_DIR, LOG_DIR } from "./binaries.ts";
import { TestClient } from "./client.ts";
import { residentBytes } from "./process_memory.ts";
import { type Pki, testPki } from "./pki.ts";
import { run } from "./run.ts";
import { until } from "./wait.ts";

const decoder = new TextDecoder();

/** What a test's server is given. */
export interface ServerOptions {
  /** Contents of the limit files; `max` unless given. */
  limits?: { cpu?: string; memory?: string; diskIo?: string };
  /** Further flags. */
  flags?: readonly string[];
  /** The log directory, below {@linkcode LOG_DIR}; a new one unless given. */
  logDir?: string;
  /** A certificate and key (file names of the PKI) other than the server's. */
  certificate?: string;
  /** What bash does before it becomes the server. */
  prelude?: string;
}

/** A compiled server that runs. */
export class TestServer implements AsyncDisposable {
  readonly pki: Pki;
  readonly folder: string;
  readonly logDir: string;
  readonly cgroupParent: string;
  #options: ServerOptions;
  #child: Deno.ChildProcess | undefined;
  #exited: Promise<Deno.CommandStatus> | undefined;
  /** Settles when all that the process has written is read. */
  #drained: Promise<void> | undefined;
  #port = 0;
  #log = "";
  #clients: Client[] = [];

  private constructor(pki: Pki, folder: string, options: ServerOptions) {
    this.pki = pki;
    this.folder = folder;
    this.#options = options;
    this.logDir = options.logDir ?? join(LOG_DIR, folder.slice(folder.lastIndexOf("-") + 1));
    this.cgroupParent = `job-worker-test-${folder.slice(folder.lastIndexOf("-") + 1)}`;
  }

  /** Starts a server on a free port of the loopback, with folders of its own. */
  static async start(options: ServerOptions = {}): Promise<TestServer> {
    const pki = await testPki();
    const folder = await Deno.makeTempDir({ prefix: "job-worker-server-" });
    const server = new TestServer(pki, folder, options);
    try {
      await server.setLimits(options.limits ?? {});
      await server.launch();
    } catch (error) {
      await server[Symbol.asyncDispose]();
      throw error;
    }
    return server;
  }

  /** The server's process id. */
  get pid(): number {
    assert(this.#child, "the server does not run");
    return this.#child.pid;
  }

  /** Whether a process was started whose end was not waited for. */
  get isRunning(): boolean {
    return this.#child !== undefined;
  }

  get port(): number {
    return this.#port;
  }

  /** `HOST:PORT` for clients. */
  get address(): string {
    return `localhost:${this.#port}`;
  }

  /** All that the server has written to its standard error. */
  get log(): string {
    return this.#log;
  }

  /** Writes the limit files; what is not given is `max`. */
  async setLimits(limits: NonNullable<ServerOptions["limits"]>): Promise<void> {
    await Deno.writeTextFile(join(this.folder, "cpu_limit.txt"), limits.cpu ?? "max");
    await Deno.writeTextFile(join(this.folder, "memory_limit.txt"), limits.memory ?? "max");
    await Deno.writeTextFile(join(this.folder, "disk_io_limit.txt"), limits.diskIo ?? "max");
  }

  /** The command line of the server. */
  args(): string[] {
    const certificate = this.#options.certificate ?? "server";
    return [
      "--listen",
      `127.0.0.1:${this.#port}`,
      "--ca",
      this.pki.file("ca.crt"),
      "--cert",
      this.pki.file(`${certificate}.crt`),
      "--key",
      this.pki.file(`${certificate}.key`),
      "--limits-dir",
      this.folder,
      "--log-dir",
      this.logDir,
      "--cgroup-parent",
      this.cgroupParent,
      ...this.#options.flags ?? [],
    ];
  }

  /** Starts the server (again), on the port it had, and waits until it is ready. */
  async launch(flags?: readonly string[]): Promise<void> {
    if (flags !== undefined) this.#options = { ...this.#options, flags };
    const server = join(BIN_DIR, "worker-server");
    const { prelude } = this.#options;
    const child = new Deno.Command(prelude === undefined ? server : "bash", {
      args: prelude === undefined
        ? this.args()
        : ["-c", `${prelude}; exec "$0" "$@"`, server, ...this.args()],
      stdin: "null",
      stdout: "null",
      stderr: "piped",
    }).spawn();
    this.#child = child;
    const begin = this.#log.length;
    this.#exited = child.status;
    this.#drained = this.#readLog(child.stderr);
    let isGone = false;
    child.status.then(() => isGone = true);
    const port = await until(
      "the server to be ready",
      () => isGone ? "none" : /"message":"ready".*"port":(\d+)/.exec(this.#log.slice(begin))?.[1],
    );
    if (port === "none") {
      await this.ended();
      throw new Error(`the server ended at once: ${this.#log.slice(begin)}`);
    }
    this.#port = Number(port);
  }

  /** Ends the server with a signal, and returns its exit status when it is gone. */
  async end(signal: Deno.Signal = "SIGTERM"): Promise<Deno.CommandStatus> {
    assert(this.#child && this.#exited, "the server does not run");
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
    const status = await this.#exited;
    this.#child = undefined;
    return status;
  }

  /** Waits until the server ends by itself and its log is whole, and returns its exit status. */
  async ended(): Promise<Deno.CommandStatus> {
    assert(this.#exited, "the server does not run");
    const status = await this.#exited;
    await this.#drained;
    this.#child = undefined;
    return status;
  }

  /** A gRPC client with the contract's types. */
  client(identity = "alice"): TestClient {
    const read = (name: string) => Deno.readTextFileSync(this.pki.file(name));
    const client = new TestClient(this.address, {
      ca: read("ca.crt"),
      cert: read(`${identity}.crt`),
      key: read(`${identity}.key`),
    });
    this.#clients.push(client.raw);
    return client;
  }

  /** Runs the compiled client. */
  cli(args: readonly string[], identity = "alice"): ReturnType<typeof run> {
    return run(join(BIN_DIR, "worker-client"), args, { env: this.cliEnvironment(identity) });
  }

  /** What tells the compiled client where the server is and who calls. */
  cliEnvironment(identity = "alice"): Record<string, string> {
    return {
      JOB_WORKER_SERVER: this.address,
      JOB_WORKER_IDENTITY: this.pki.file(`${identity}.pem`),
    };
  }

  /** How many file descriptors the server has open, and its resident memory in bytes. */
  async resources(): Promise<{ descriptors: number; residentBytes: number }> {
    let descriptors = 0;
    for await (const _ of Deno.readDir(`/proc/${this.pid}/fd`)) descriptors++;
    return { descriptors, residentBytes: await residentBytes(this.pid) };
  }

  /** Ends the server, every job that is left, and every folder and group that was made. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    if (this.#child !== undefined) await this.end();
    await this.#drained;
    await removeJobs(this.cgroupParent);
    if (this.#options.logDir === undefined) {
      await Deno.remove(this.logDir, { recursive: true }).catch(() => {});
    }
    await Deno.remove(this.folder, { recursive: true });
  }

  async #readLog(stderr: ReadableStream<Uint8Array>): Promise<void> {
    for await (const bytes of stderr) this.#log += decoder.decode(bytes, { stream: true });
  }
}

/** Kills what is left in a test's groups, and removes them. The launchers end by themselves. */
export async function removeJobs(cgroupParent: string): Promise<void> {
  await run("/bin/sh", [
    "-c",
    'for g in /sys/fs/cgroup/unified/"$1"/*-* /sys/fs/cgroup/"$1"/*-*; do ' +
    '[ -e "$g/cgroup.kill" ] && echo 1 >"$g/cgroup.kill"; done; ' +
    "for try in 1 2 3 4 5 6 7 8 9; do left=; " +
    'for d in /sys/fs/cgroup/*/"$1" /sys/fs/cgroup/"$1"; do [ -d "$d" ] || continue; ' +
    'rmdir "$d"/*-* "$d"/launchers "$d" 2>/dev/null; [ -d "$d" ] && left=1; done; ' +
    '[ -n "$left" ] || exit 0; sleep 0.1; done',
    "sh",
    cgroupParent,
  ]);
}
