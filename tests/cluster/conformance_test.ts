/** The executor of a cluster holds what every executor does (tests/conformance/). */
import { join } from "node:path";
import { registerSuite } from "../conformance/suite.ts";
import type { Site } from "../conformance/site.ts";
import type { Executor } from "../../lib/executor.ts";
import { Cluster } from "../support/cluster/cluster.ts";
import { EngineHost } from "../support/cluster/engine_host.ts";
import { whyNoCluster } from "../support/cluster/possible.ts";
import { run } from "../support/run.ts";
import { testUnless } from "../support/skip.ts";

/** A cluster. */
class ClusterSite implements Site {
  readonly #cluster: Cluster;
  readonly #host: EngineHost;

  private constructor(cluster: Cluster, host: EngineHost) {
    this.#cluster = cluster;
    this.#host = host;
  }

  static async open(): Promise<ClusterSite> {
    const cluster = await Cluster.start();
    return new ClusterSite(cluster, await EngineHost.open(cluster));
  }

  get executor(): Executor {
    return this.#host.executor;
  }

  get folder(): string {
    return join(this.#host.sharedFolder, "jobs");
  }

  async restart(): Promise<void> {
    await this.#host.restart([]);
  }

  /** This host's processes, which those of all nodes are. */
  async commandLines(): Promise<string> {
    return (await run("ps", ["-eo", "args"])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#host[Symbol.asyncDispose]();
    await this.#cluster[Symbol.asyncDispose]();
  }
}

const reason = await whyNoCluster();
if (reason === undefined) registerSuite("a cluster", await ClusterSite.open());
else testUnless(reason, { name: "conformance: a cluster", fn: () => {} });
