/** The executor of this host holds what every executor does (tests/conformance/). */
import { registerSuite } from "../conformance/suite.ts";
import type { Site } from "../conformance/site.ts";
import type { Executor } from "../../lib/executor.ts";
import { LocalExecutor } from "../../lib/executor/local.ts";
import { run } from "../support/run.ts";

/** This host. */
class LocalSite implements Site {
  readonly #parent: string;
  readonly folder: string;
  executor: Executor;

  private constructor(parent: string, folder: string, executor: Executor) {
    this.#parent = parent;
    this.folder = folder;
    this.executor = executor;
  }

  static async open(): Promise<LocalSite> {
    const parent = `job-worker-test-${crypto.randomUUID().slice(0, 8)}`;
    const executor = await LocalExecutor.open(parent);
    return new LocalSite(parent, await Deno.makeTempDir({ prefix: "job-worker-site-" }), executor);
  }

  async restart(): Promise<void> {
    await this.executor.close();
    this.executor = await LocalExecutor.open(this.#parent);
  }

  async commandLines(): Promise<string> {
    return (await run("ps", ["-eo", "args"])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.executor.close();
    await Deno.remove(this.folder, { recursive: true });
  }
}

registerSuite("this host", await LocalSite.open());
