/** What benchmarks are run with: compiled binaries, OpenSSH, and the runtime's own floor. */
import { join } from "node:path";
import { BIN_DIR, type ServerOptions, TestServer } from "../tests/integration/harness.ts";
import { findRuntime, realSources } from "../tools/denort.ts";
import { SshHost } from "./ssh_host.ts";

const BUILD_DIR = join(import.meta.dirname ?? ".", "..", "build");

/** Where the compiled client is. */
export const CLIENT = join(BIN_DIR, "worker-client");

/** Made once for all benchmarks of a run; what one does not need is not made. */
export class World implements AsyncDisposable {
  /** A folder for what benchmarks write. */
  readonly folder: string;
  readonly #report: (line: string) => void;
  #ssh: Promise<SshHost> | undefined;
  #floor: Promise<string> | undefined;
  #bareCall: Promise<string> | undefined;

  private constructor(folder: string, report: (line: string) => void) {
    this.folder = folder;
    this.#report = report;
  }

  /** @param report Says what takes long. */
  static async open(report: (line: string) => void): Promise<World> {
    return new World(await Deno.makeTempDir({ prefix: "job-worker-bench-" }), report);
  }

  /** A server of the caller's own. */
  server(options: ServerOptions = {}): Promise<TestServer> {
    return TestServer.start(options);
  }

  /** The OpenSSH server. */
  ssh(): Promise<SshHost> {
    return this.#ssh ??= SshHost.start(this.#report);
  }

  /** A program that does nothing, compiled as ours are: what the runtime costs by itself. */
  floor(): Promise<string> {
    return this.#floor ??= compile(this.folder, { name: "floor", code: "" });
  }

  /** `bench/bare_call.ts`, compiled: what a call costs on this runtime with nothing of ours. */
  bareCall(): Promise<string> {
    return this.#bareCall ??= Deno.readTextFile(join(import.meta.dirname ?? ".", "bare_call.ts"))
      .then((code) => compile(this.folder, { name: "bare_call", code }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#ssh)?.[Symbol.asyncDispose]();
    await Deno.remove(this.folder, { recursive: true });
  }
}

/** A program of one file, compiled as ours are. */
async function compile(
  folder: string,
  { name, code }: { name: string; code: string },
): Promise<string> {
  const runtime = await findRuntime(realSources(BUILD_DIR, () => {}));
  const program = join(folder, `${name}.ts`);
  await Deno.writeTextFile(program, code);
  const out = join(folder, name);
  const { success } = await new Deno.Command(Deno.execPath(), {
    args: [
      ...["compile", "--quiet", "--no-config", "--node-modules-dir=none", "--no-code-cache"],
      ...["--allow-net", "--allow-read", "--output", out, program],
    ],
    cwd: folder,
    env: runtime.kind === "file" ? { DENORT_BIN: runtime.path } : {},
    stdin: "null",
  }).output();
  if (!success) throw new Error(`Cannot compile ${name}`);
  return out;
}
