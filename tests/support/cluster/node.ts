/** A node of the cluster: namespaces of its own on this host, and a slurmd in them. */
import { strict as assert } from "node:assert";
import { run } from "../run.ts";
import { until } from "../wait.ts";
import { Daemon } from "./daemon.ts";

/** What a node is made of. */
export interface NodePlan {
  readonly name: string;
  /** The end of its cable that is plugged into the bridge. */
  readonly link: string;
  /** The name of its network namespace. */
  readonly namespace: string;
  /** The cluster's folder. */
  readonly folder: string;
  readonly env: Readonly<Record<string, string>>;
}

/** The first process of a node: reaps orphans, and ends with the node. */
const INIT = 'hostname "$1"; sleep infinity & wait';

/** A machine of the cluster. */
export class ClusterNode {
  readonly #plan: NodePlan;
  #power: Daemon | undefined;
  #init = 0;

  constructor(plan: NodePlan) {
    this.#plan = plan;
  }

  get name(): string {
    return this.#plan.name;
  }

  /** Switches it on, and starts its slurmd. */
  async powerOn(): Promise<void> {
    const { name, namespace, folder, env } = this.#plan;
    const unshare = "unshare --uts --pid --fork --mount --mount-proc --kill-child --".split(" ");
    const power = new Daemon(
      // `ip netns exec` would mount /sys anew and hide the control groups.
      ["nsenter", `--net=/run/netns/${namespace}`, ...unshare, "sh", "-c", INIT, "init", name],
      { log: `${folder}/log/${name}.log`, env },
    );
    this.#power = power;
    this.#init = await until(`the node ${name} to be on`, () => childOf(power.pid));
    await until("its name", async () => (await this.run(["hostname"])).stdout.trim() === name);
    await this.startSlurmd();
  }

  /** Power failure: every process of it is gone at once. */
  async powerOff(): Promise<void> {
    await this.#power?.kill();
    this.#power = undefined;
  }

  /** Pulls the network cable. */
  async unplug(): Promise<void> {
    await succeed("ip", ["link", "set", this.#plan.link, "down"]);
  }

  /** Plugs the network cable in. */
  async plug(): Promise<void> {
    await succeed("ip", ["link", "set", this.#plan.link, "up"]);
  }

  /** Starts slurmd; jobs that it finds running go on. */
  async startSlurmd(): Promise<void> {
    const { folder, name } = this.#plan;
    const { code, stderr } = await this.run([
      "slurmd",
      "-f",
      `${folder}/etc/slurm.conf`,
      "-N",
      name,
    ]);
    assert.equal(code, 0, stderr);
  }

  /** Kills slurmd, and not the jobs. */
  async killSlurmd(): Promise<void> {
    const pid = (await Deno.readTextFile(`${this.#plan.folder}/run/slurmd.${this.name}.pid`))
      .trim();
    await this.run(["kill", "-s", "KILL", pid]);
    await until("slurmd to be gone", async () => (await this.run(["kill", "-0", pid])).code !== 0);
  }

  /** Runs a program on the node to its end. */
  run(words: readonly string[]): ReturnType<typeof run> {
    const args = ["--target", String(this.#init), "--net", "--uts", "--pid", "--mount", "--"];
    return run("nsenter", [...args, ...words], { env: { ...this.#plan.env } });
  }
}

/** The only child of a process, once it has one. */
async function childOf(pid: number): Promise<number | undefined> {
  const text = await Deno.readTextFile(`/proc/${pid}/task/${pid}/children`).catch(() => "");
  const child = Number(text.trim());
  return child > 0 ? child : undefined;
}

/** Runs a program that must succeed. */
export async function succeed(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(program, args);
  assert.equal(code, 0, `${program} ${args.join(" ")}: ${stderr}`);
  return stdout;
}
