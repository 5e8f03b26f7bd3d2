/** The executor of this host holds what every executor does (tests/conformance/). */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { registerSuite } from "../conformance/suite.ts";
import { Job, type Site } from "../conformance/site.ts";
import type { Executor } from "../../lib/executor.ts";
import { LocalExecutor } from "../../lib/executor/local.ts";
import { run } from "../support/run.ts";
import { until } from "../support/wait.ts";

/** Prints what is left of the groups that a server's jobs have in common. */
const REMOVE_GROUPS = 'cd /sys/fs/cgroup; rmdir -- */"$1"/launchers */"$1" "$1"/launchers "$1" ' +
  '2>/dev/null; ls -d -- */"$1" "$1" 2>/dev/null';

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
    // The last launchers may be about to exit.
    await until("the groups to be gone", async () => {
      const { stdout } = await run("sh", ["-c", REMOVE_GROUPS, "sh", this.#parent]);
      return stdout === "";
    });
  }
}

const site = await LocalSite.open();

registerSuite("this host", site);

Deno.test({
  name:
    "adoption: a job of a cluster is not looked for on this host, where it would seem to be lost",
  sanitizeOps: false,
  sanitizeResources: false,
  async fn() {
    const job = await Job.make(site, ["true"]);
    await assert.rejects(
      site.executor.adopt([job.asLeft("pending", {})]),
      /1 jobs on record are a cluster's .* --engine slurm/,
    );
    await assert.rejects(Deno.stat(join(job.folder, "launch")), Deno.errors.NotFound);
  },
});
