/** What benchmarks are run with: compiled binaries, OpenSSH, and the runtime's own floor. */
import { stop as stopBundler } from "esbuild";
import { join, parse } from "node:path";
import { BIN_DIR } from "../tests/support/binaries.ts";
import { type ServerOptions, TestServer } from "../tests/support/server.ts";
import { bundleFile } from "../tools/build/bundle.ts";
import { compileProgram } from "../tools/build/compile.ts";
import { findRuntime, realSources } from "../tools/build/denort.ts";
import { targetOf } from "../tools/build/targets.ts";
import { SshHost } from "./ssh_host.ts";

const BUILD_DIR = join(import.meta.dirname ?? ".", "..", "build");

/** Where the compiled client is. */
export const CLIENT = join(BIN_DIR, "worker-client");

/** Made once for all benchmarks of a run; what one does not need is not made. */
export class World implements AsyncDisposable {
  /** A folder for what benchmarks write. */
  readonly folder: string;
  /** Says what a run should know of. */
  readonly report: (line: string) => void;
  readonly #isShort: boolean;
  #ssh: Promise<SshHost> | undefined;
  #floor: Promise<string> | undefined;
  #bareCall: Promise<string> | undefined;
  #bareServer: Promise<string> | undefined;

  private constructor(folder: string, report: (line: string) => void, isShort: boolean) {
    this.folder = folder;
    this.report = report;
    this.#isShort = isShort;
  }

  /**
   * @param report Says what takes long.
   * @param isShort Whether each thing is measured once: shows that a benchmark runs, not what it measures.
   */
  static async open(report: (line: string) => void, isShort: boolean): Promise<World> {
    return new World(await Deno.makeTempDir({ prefix: "job-worker-bench-" }), report, isShort);
  }

  /** How often a thing is measured. */
  runs(usual: number): number {
    return this.#isShort ? 1 : usual;
  }

  /** A server of the caller's own. */
  server(options: ServerOptions = {}): Promise<TestServer> {
    return TestServer.start(options);
  }

  /** The OpenSSH server. */
  ssh(): Promise<SshHost> {
    return this.#ssh ??= SshHost.start(this.report);
  }

  /** A program that does nothing, compiled as ours are: what the runtime costs by itself. */
  floor(): Promise<string> {
    return this.#floor ??= this.#compileFloor();
  }

  /** `bench/bare_call.ts`, compiled: what a call costs on this runtime with nothing of ours. */
  bareCall(): Promise<string> {
    return this.#bareCall ??= this.#compile(join(import.meta.dirname ?? ".", "bare_call.ts"));
  }

  /** `bench/bare_server.ts`, compiled: what a gRPC server costs on this runtime with nothing of ours. */
  bareServer(): Promise<string> {
    return this.#bareServer ??= this.#compileBareServer();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#ssh)?.[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }

  async #compileFloor(): Promise<string> {
    const code = join(this.folder, "floor.js");
    await Deno.writeTextFile(code, "");
    return await this.#compile(code);
  }

  async #compileBareServer(): Promise<string> {
    const code = join(this.folder, "bare_server.js");
    await Deno.writeTextFile(code, (await bundleFile("bench/bare_server.ts")).code);
    await stopBundler();
    return await this.#compile(code);
  }

  async #compile(code: string): Promise<string> {
    const runtime = await findRuntime(
      realSources(BUILD_DIR, targetOf(Deno.build.target), () => {}),
    );
    const out = join(this.folder, parse(code).name);
    const flags = ["--allow-net", "--allow-read", "--ignore-env"];
    await compileProgram(code, { out, flags, runtime });
    return out;
  }
}
