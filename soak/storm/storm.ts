/**
 * A storm: the server and its clients are killed, and their connections cut, at random times; every
 * id, every exit status and every byte is accounted for.
 */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestClient } from "../../tests/support/client.ts";
import { assertCounted } from "../../tests/support/load.ts";
import { NetworkPath } from "../../tests/support/network_path.ts";
import { TestServer } from "../../tests/support/server.ts";
import { Callers, type Surroundings } from "./callers.ts";
import { BrokenOff, Commands, Follower, startAndWait } from "./commands.ts";
import { until } from "../../tests/support/wait.ts";
import { Ledger } from "./ledger.ts";
import { Random } from "./random.ts";

/** The longest time between two kills. */
const LONGEST_CALM_MS = 300;

/** How many kills wait for a start that was answered since the last one; others hit a server that begins. */
const SERVED_SHARE = 0.75;

/** How many of the kills are the server's, and how many go with a cut of all connections. */
const SERVER_SHARE = 0.5;
const CUT_SHARE = 0.5;

/** Ten lines at a time until the file is there. */
const COUNTING = 'n=0; while [ ! -e "$1" ]; do for _ in 1 2 3 4 5 6 7 8 9 10; do ' +
  "n=$((n + 1)); echo $n; done; sleep 0.02; done; echo end; exit 7";

const COUNTING_EXIT_CODE = 7;

/** What a storm came to. */
export interface Damage {
  readonly serverKills: number;
  readonly clientKills: number;
  readonly cuts: number;
  readonly jobs: number;
  readonly stopped: number;
  /** Calls that had no answer, and commands that gave up because of the connection. */
  readonly unanswered: number;
  /** Bytes that came to followers, each once. */
  readonly followedBytes: number;
}

/** The same in a line. */
export function describeDamage(damage: Damage): string {
  const { serverKills, clientKills, cuts, jobs, stopped, unanswered, followedBytes } = damage;
  return `${serverKills + clientKills} kills (${serverKills} of the server, ${clientKills} of ` +
    `clients) and ${cuts} cuts: ${jobs} jobs, ${stopped} of them stopped, ${unanswered} calls ` +
    `without an answer, ${followedBytes} bytes followed`;
}

/**
 * Makes a storm over a server of its own.
 *
 * @param kills How many processes are killed, servers and clients.
 * @param seed Brings times and victims back; not what the machine does between them.
 * @throws {AssertionError} An id, an exit status or a byte was lost, doubled or told falsely.
 */
export async function runStorm(
  { kills, seed }: { kills: number; seed: number },
): Promise<Damage> {
  try {
    await using server = await TestServer.start();
    using path = new NetworkPath(server.port);
    return await new Storm(server, path, new Random(seed)).run(kills);
  } catch (error) {
    throw new Error(
      `the storm of seed ${seed}: ${error instanceof Error ? error.message : error}`,
      {
        cause: error,
      },
    );
  }
}

class Storm implements Surroundings {
  isOver = false;
  readonly #server: TestServer;
  readonly #path: NetworkPath;
  readonly #random: Random;
  readonly #ledger: Ledger;
  readonly #commands: Commands;
  readonly #kills = { server: 0, clients: 0, cuts: 0 };
  #up: Promise<void> = Promise.resolve();

  constructor(server: TestServer, path: NetworkPath, random: Random) {
    this.#server = server;
    this.#path = path;
    this.#random = random;
    this.#ledger = new Ledger(server);
    this.#commands = new Commands({
      ...server.cliEnvironment(),
      JOB_WORKER_SERVER: `localhost:${path.port}`,
    });
  }

  up(): Promise<void> {
    return this.#up;
  }

  connect(): TestClient {
    const read = (name: string) => Deno.readTextFileSync(this.#server.pki.file(name));
    return new TestClient(`localhost:${this.#path.port}`, {
      ca: read("ca.crt"),
      cert: read("alice.crt"),
      key: read("alice.key"),
    });
  }

  async run(kills: number): Promise<Damage> {
    const gate = join(this.#server.folder, "gate");
    const counting = { name: "/bin/sh", args: ["-c", COUNTING, "sh", gate] };
    const countingID = await this.#server.client().startWith(counting);
    const callers = new Callers(this, this.#ledger);
    const following = new Follower(this.#commands, countingID).run();
    await this.#endTogether([
      following.then(
        () => assert(this.isOver, "a follower has ended before its job"),
        (error) => this.#lostOnTheWay(error, countingID),
      ),
      callers.run(),
      this.#startByCommand(),
      this.#strike(kills).then(() => Deno.writeTextFile(gate, "")),
    ]);
    await callers.settle();
    await this.#account(countingID);
    return {
      serverKills: this.#kills.server,
      clientKills: this.#kills.clients,
      cuts: this.#kills.cuts,
      jobs: this.#ledger.accepted.size,
      stopped: this.#ledger.stopped.size,
      unanswered: this.#ledger.unanswered + this.#commands.gaveUp,
      followedBytes: await following,
    };
  }

  /** Waits for all; the first that fails ends the others. @throws What that one threw. */
  async #endTogether(parts: readonly Promise<void>[]): Promise<void> {
    const ended = await Promise.allSettled(parts.map(async (part) => {
      try {
        await part;
      } catch (error) {
        this.isOver = true;
        this.#commands.breakOff();
        throw error;
      }
    }));
    const failed = ended.filter((end) => end.status === "rejected").map(({ reason }) => reason);
    const first = failed.find((reason) => !(reason instanceof BrokenOff)) ?? failed[0];
    if (first !== undefined) throw first;
  }

  /** Says of output that did not come whether the server has it. @throws Always. */
  async #lostOnTheWay(error: unknown, countingID: string): Promise<never> {
    const text = await this.#server.client().text(countingID).catch(String);
    let kept = "all of it";
    try {
      assertCounted(text);
    } catch (reason) {
      kept = `not all: ${reason}`;
    }
    throw new Error(`${error}; the server has ${kept}`, { cause: error });
  }

  async #account(countingID: string): Promise<void> {
    const client = this.#server.client();
    assert.equal((await client.wait(countingID)).exitCode, COUNTING_EXIT_CODE);
    await client.remove(countingID);
    await this.#ledger.account(client);
  }

  async #startByCommand(): Promise<void> {
    while (!this.isOver) await startAndWait(this.#commands, this.#ledger);
  }

  async #strike(kills: number): Promise<void> {
    while (this.#kills.server + this.#kills.clients < kills && !this.isOver) {
      if (this.#random.next() < SERVED_SHARE) await this.#untilServed();
      await new Promise((resolve) => setTimeout(resolve, this.#random.next() * LONGEST_CALM_MS));
      if (this.#random.next() < CUT_SHARE) {
        this.#path.cut();
        this.#kills.cuts++;
      }
      const isServers = this.#random.next() < SERVER_SHARE;
      const victim = this.#random.pick(this.#commands.running);
      if (isServers || victim === undefined) await this.#killServer();
      else this.#killClient(victim);
    }
    this.isOver = true;
  }

  async #untilServed(): Promise<void> {
    const before = this.#ledger.accepted.size;
    await until("a start to be answered", () => this.isOver || this.#ledger.accepted.size > before);
  }

  async #killServer(): Promise<void> {
    this.#kills.server++;
    const launched = this.#server.end("SIGKILL").then(() => this.#server.launch());
    this.#up = launched;
    await launched;
  }

  #killClient(victim: Deno.ChildProcess): void {
    if (this.#commands.kill(victim)) this.#kills.clients++;
  }
}
