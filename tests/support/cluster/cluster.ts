/**
 * A Slurm cluster on this host: a controller, and nodes in namespaces of their own (network,
 * processes, mounts, name). They share all folders of this host. It is ready in about two seconds,
 * and nothing of it is left at the end.
 */
import { strict as assert } from "node:assert";
import { hostname } from "node:os";
import { join } from "node:path";
import { findGroups } from "../../../tools/test/leftovers.ts";
import { run } from "../run.ts";
import { until } from "../wait.ts";
import { CGROUP_CONF, slurmConf } from "./configuration.ts";
import { Daemon } from "./daemon.ts";
import { ClusterNetwork } from "./network.ts";
import { ClusterNode } from "./node.ts";

/** What a cluster is like. */
export interface ClusterOptions {
  /** How many nodes it has: two unless given. */
  readonly nodes?: number;
  /**
   * Parameters of slurm.conf beside the usual ones, or in their place. `NodeCPUs` is the number of
   * processors that each node pretends to have.
   */
  readonly parameters?: Readonly<Record<string, string>>;
}

/** A cluster that runs. */
export class Cluster implements AsyncDisposable {
  readonly folder: string;
  readonly nodes: readonly ClusterNode[];
  readonly #network: ClusterNetwork;
  readonly #munged: Daemon;
  #controller: Daemon | undefined;

  private constructor(
    folder: string,
    network: ClusterNetwork,
    nodes: readonly ClusterNode[],
    munged: Daemon,
  ) {
    this.folder = folder;
    this.#network = network;
    this.nodes = nodes;
    this.#munged = munged;
  }

  /** Makes a cluster, and waits until all its nodes take jobs. */
  static async start({ nodes = 2, parameters = {} }: ClusterOptions = {}): Promise<Cluster> {
    const folder = await Deno.makeTempDir({ prefix: "job-worker-cluster-" });
    // Jobs of other users have their files below it.
    await Deno.chmod(folder, 0o755);
    const network = await ClusterNetwork.claim();
    const names = Array.from({ length: nodes }, (_, index) => `${network.prefix}n${index + 1}`);
    await writeFiles(folder, { network, names, parameters });
    const munged = new Daemon([
      "munged",
      "--foreground",
      "--force",
      `--key-file=${folder}/munge/key`,
      `--socket=${folder}/munge/socket`,
      `--pid-file=${folder}/munge/pid`,
      `--log-file=${folder}/munge/log`,
      `--seed-file=${folder}/munge/seed`,
      "--num-threads=2",
    ], { log: `${folder}/log/munged.log` });
    const env = { SLURM_CONF: join(folder, "etc/slurm.conf") };
    const machines: ClusterNode[] = [];
    const cluster = new Cluster(folder, network, machines, munged);
    try {
      for (const [index, name] of names.entries()) {
        machines.push(new ClusterNode({ name, folder, env, ...await network.connect(index) }));
      }
      await until(
        "munged",
        () => Deno.stat(`${folder}/munge/socket`).then(() => true, () => false),
      );
      await cluster.startController();
      await Promise.all(machines.map((node) => node.powerOn()));
      await cluster.untilReady();
    } catch (error) {
      await cluster[Symbol.asyncDispose]();
      throw error;
    }
    return cluster;
  }

  /** The file that the environment variable SLURM_CONF has to name. */
  get confFile(): string {
    return join(this.folder, "etc/slurm.conf");
  }

  /** A node by its place, from 0. */
  node(index: number): ClusterNode {
    const node = this.nodes[index];
    assert(node, `the cluster has no node ${index}`);
    return node;
  }

  /** The node of this name. */
  nodeNamed(name: string): ClusterNode {
    const node = this.nodes.find((one) => one.name === name);
    assert(node, `the cluster has no node ${name}`);
    return node;
  }

  /** Waits until so many nodes take jobs, or are full of them; all, unless told. */
  async untilReady(count = this.nodes.length): Promise<void> {
    await until(`${count} nodes to take jobs`, async () => {
      const { stdout } = await this.run(["sinfo", "-h", "-N", "-o", "%N %t"]);
      // A state with a mark is that of a node which does not answer.
      const ready = stdout.split("\n").filter((line) => /^\S+ (?:idle|mix|alloc|comp)$/.test(line));
      return new Set(ready).size >= count;
    });
  }

  /** Runs a program of Slurm, as root on this host, to its end. */
  run(
    words: readonly string[],
    { env = {} }: { env?: Record<string, string> } = {},
  ): ReturnType<typeof run> {
    const [program = "", ...args] = words;
    return run(program, args, { env: { SLURM_CONF: this.confFile, ...env } });
  }

  /** Starts the controller; it goes on with what it has saved, or knows of no job, and counts anew. */
  async startController({ knowsJobs = true } = {}): Promise<void> {
    const state = join(this.folder, "state");
    if (!knowsJobs) await Deno.remove(state, { recursive: true });
    await Deno.mkdir(state, { recursive: true });
    const flags = knowsJobs ? [] : ["-c"];
    this.#controller = new Daemon(["slurmctld", "-D", ...flags, "-f", this.confFile], {
      log: `${this.folder}/log/slurmctld.err`,
    });
  }

  /** Waits until the controller answers. */
  async untilAnswers(): Promise<void> {
    await until("the controller", async () => (await this.run(["scontrol", "ping"])).code === 0);
  }

  /** Kills the controller: what it has not saved is lost. */
  async killController(): Promise<void> {
    await this.#controller?.kill();
    this.#controller = undefined;
  }

  /** The controller hangs: it takes connections, and does not answer. */
  stopController(): void {
    this.#controller?.signal("SIGSTOP");
  }

  /** The controller goes on. */
  continueController(): void {
    this.#controller?.signal("SIGCONT");
  }

  /** The control groups of the nodes and their jobs. */
  groups(): Promise<string[]> {
    return findGroups(new RegExp(`^slurm_${this.#network.prefix}n\\d+$`));
  }

  /** Ends every process of it, and removes what it has made. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.powerOff()));
    await this.killController();
    await this.#munged.kill();
    await this.#network.remove();
    await until("the nodes' control groups to be empty", () => this.#removeGroups());
    await Deno.remove(this.folder, { recursive: true });
  }

  async #removeGroups(): Promise<boolean> {
    const groups = await this.groups();
    if (groups.length > 0) await run("find", [...groups, "-depth", "-type", "d", "-delete"]);
    return (await this.groups()).length === 0;
  }
}

async function writeFiles(
  folder: string,
  { network, names, parameters }: {
    network: ClusterNetwork;
    names: readonly string[];
    parameters: Readonly<Record<string, string>>;
  },
): Promise<void> {
  for (const name of ["etc", "log", "spool", "state", "run", "munge"]) {
    await Deno.mkdir(join(folder, name), { mode: 0o755 });
  }
  const key = crypto.getRandomValues(new Uint8Array(128));
  await Deno.writeFile(`${folder}/munge/key`, key, { mode: 0o400 });
  const site = {
    folder,
    host: hostname().split(".")[0] ?? "",
    network: network.network,
    port: network.port,
    nodes: names,
    parameters,
  };
  await Deno.writeTextFile(join(folder, "etc/slurm.conf"), slurmConf(site));
  await Deno.writeTextFile(join(folder, "etc/cgroup.conf"), CGROUP_CONF);
}
