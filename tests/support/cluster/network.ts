/** The network of a cluster: a bridge on this host, and a namespace with a cable to it for each node. */
import { run } from "../run.ts";
import { addressOf } from "./configuration.ts";
import { succeed } from "./node.ts";

/** Numbers of clusters on this host: below are those that people make by hand. */
const FIRST_NUMBER = 20;
const LAST_NUMBER = 250;

/** The first port of cluster number 0: below those that the kernel gives to clients. */
const FIRST_PORT = 21_000;

/** A network that this process alone uses. */
export class ClusterNetwork {
  readonly #number: number;
  readonly #namespaces: string[] = [];
  readonly #links: string[] = [];

  private constructor(number: number) {
    this.#number = number;
  }

  /** Takes the first free one: to make the bridge is what claims it. */
  static async claim(): Promise<ClusterNetwork> {
    let reason = "";
    for (let number = FIRST_NUMBER; number <= LAST_NUMBER; number++) {
      const network = new ClusterNetwork(number);
      const made = await run("ip", ["link", "add", network.#bridge, "type", "bridge"]);
      if (made.code !== 0) {
        reason = made.stderr;
        continue;
      }
      await succeed("ip", ["addr", "add", `${network.network}.1/24`, "dev", network.#bridge]);
      await succeed("ip", ["link", "set", network.#bridge, "up"]);
      return network;
    }
    throw new Error(`no network is free for a cluster: ${reason}`);
  }

  /** The first three bytes of its addresses. */
  get network(): string {
    return `10.77.${this.#number}`;
  }

  /** The controller's port; the next one is free too. */
  get port(): number {
    return FIRST_PORT + 2 * this.#number;
  }

  /** Part of names on this host. */
  get prefix(): string {
    return `jw${this.#number}`;
  }

  get #bridge(): string {
    return `br-${this.prefix}`;
  }

  /** Makes a namespace with a cable. @returns Its name, and that of the cable's end at the bridge. */
  async connect(index: number): Promise<{ namespace: string; link: string }> {
    const namespace = `${this.prefix}-${index + 1}`;
    const link = `${this.prefix}-v${index + 1}`;
    await succeed("ip", ["netns", "add", namespace]);
    this.#namespaces.push(namespace);
    const peer = ["peer", "name", "eth0", "netns", namespace];
    await succeed("ip", ["link", "add", link, "type", "veth", ...peer]);
    this.#links.push(link);
    await succeed("ip", ["link", "set", link, "master", this.#bridge, "up"]);
    const address = `${addressOf(this, index)}/24`;
    await succeed("nsenter", [
      `--net=/run/netns/${namespace}`,
      "sh",
      "-c",
      'ip link set lo up && ip addr add "$1" dev eth0 && ip link set eth0 up',
      "sh",
      address,
    ]);
    return { namespace, link };
  }

  /**
   * Removes it all; the bridge last, since who makes it anew may use the other names. A namespace takes its cables
   * with it only some time after its removal.
   */
  async remove(): Promise<void> {
    for (const link of this.#links) await run("ip", ["link", "del", link]);
    for (const namespace of this.#namespaces) await run("ip", ["netns", "del", namespace]);
    await run("ip", ["link", "del", this.#bridge]);
  }
}
