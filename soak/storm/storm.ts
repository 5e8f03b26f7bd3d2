/**
 * A storm: the server and its clients are killed, and their connections cut, at random times; every
 * id, every exit status and every byte is accounted for.
 */
import { strict as assert } from "node:assert";
import { cp } from "node:fs/promises";
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
import { Watch } from "./watch.ts";

/** The longest time between two strikes. */
const LONGEST_CALM_MS = 200;

/** After how many of its kills the server may answer a start before the next strike; else it only begins. */
const SERVED_SHARE = 0.75;

/** Whoever has tried for so long is let through: on a busy host, a client takes seconds for a call. */
const LONGEST_TRIAL_MS = 10_000;

/** How many of the strikes kill the server; the others kill clients. */
const SERVER_SHARE = 0.85;

/** How many of the clients that are there are killed at once where clients are. */
const CLIENTS_SHARE = 0.5;

/** How many of the strikes at the server kill clients with it, as the fall of a whole host does. */
const BOTH_SHARE = 0.2;

/** How many of the strikes at the server kill clients while the next one begins. */
const BEGIN_SHARE = 0.2;

/** How many of the strikes go with a cut of all connections. */
const CUT_SHARE = 0.5;

/** Clients that start a job and wait for it, beside each other. */
const STARTERS = 2;

/** Clients that follow one job. */
const FOLLOWERS = 2;

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
    try {
      return await new Storm(server, path, new Random(seed)).run(kills);
    } catch (error) {
      const folder = await keepTraces(server, messageOf(error));
      throw new Error(`${messageOf(error)}; kept in ${folder}`, { cause: error });
    }
  } catch (error) {
    throw new Error(`the storm of seed ${seed}: ${messageOf(error)}`, { cause: error });
  }
}

/** Kills the server, and copies its log and its log directory; returns where to. */
async function keepTraces(server: TestServer, failure: string): Promise<string> {
  if (server.isRunning) await server.end("SIGKILL");
  const folder = await Deno.makeTempDir({ prefix: "job-worker-storm-" });
  await Deno.writeTextFile(join(folder, "failure"), `${failure}\n`);
  await Deno.writeTextFile(join(folder, "server.log"), server.log);
  await cp(server.logDir, join(folder, "log"), { recursive: true });
  return folder;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function times<T>(count: number, make: () => T): T[] {
  return Array.from({ length: count }, make);
}

class Storm implements Surroundings {
  isOver = false;
  readonly watch = new Watch();
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
    const environment = {
      ...server.cliEnvironment(),
      JOB_WORKER_SERVER: `localhost:${path.port}`,
    };
    this.#commands = new Commands(environment, () => this.up());
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
    const followers = times(FOLLOWERS, () => new Follower(this.#commands, countingID).run());
    await this.#endTogether([
      ...followers.map((following) =>
        following.then(
          () => assert(this.isOver, "a follower has ended before its job"),
          (error) => this.#lostOnTheWay(error, { countingID, gate }),
        )
      ),
      callers.run(),
      ...times(STARTERS, () => this.#startByCommand()),
      this.#strike(kills).then(async () => {
        await Deno.writeTextFile(gate, "");
        await this.watch.inTime("the end of all followers", Promise.all(followers));
      }),
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
      followedBytes: (await Promise.all(followers)).reduce((sum, bytes) => sum + bytes, 0),
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
  async #lostOnTheWay(
    error: unknown,
    { countingID, gate }: { countingID: string; gate: string },
  ): Promise<never> {
    if (error instanceof BrokenOff) throw error;
    // Else its output has no end.
    await Deno.writeTextFile(gate, "");
    const reading = this.#server.client().text(countingID);
    const text = await this.watch.inTime("what the server has", reading).catch(String);
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
    const { exitCode } = await this.watch.inTime("the counting job", client.wait(countingID));
    assert.equal(exitCode, COUNTING_EXIT_CODE);
    await this.watch.inTime("the removal of the counting job", client.remove(countingID));
    await this.#ledger.account(client, this.watch);
  }

  async #startByCommand(): Promise<void> {
    const { watch } = this;
    while (!this.isOver) {
      await startAndWait({ commands: this.#commands, ledger: this.#ledger, watch });
    }
  }

  async #strike(kills: number): Promise<void> {
    while (this.#kills.server + this.#kills.clients < kills && !this.isOver) {
      await this.watch.calm(LONGEST_TRIAL_MS);
      await this.#pause();
      if (this.#random.next() < CUT_SHARE) {
        this.#path.cut();
        this.#kills.cuts++;
      }
      const isServers = this.#random.next() < SERVER_SHARE;
      if (!isServers || this.#random.next() < BOTH_SHARE) this.#killClients();
      if (!isServers) continue;
      await Promise.all([
        this.watch.inTime("the next server", this.#killServer()),
        this.#random.next() < BEGIN_SHARE
          ? this.#pause().then(() => this.#killClients())
          : undefined,
      ]);
      if (this.#random.next() < SERVED_SHARE) await this.#untilServed();
    }
    this.isOver = true;
  }

  async #pause(): Promise<void> {
    const pauseMs = this.#random.next() * LONGEST_CALM_MS;
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }

  async #untilServed(): Promise<void> {
    const before = this.#ledger.accepted.size;
    const isServed = () => this.isOver || this.#ledger.accepted.size > before;
    await this.watch.inTime("a start to be answered", until("it", isServed, Infinity));
  }

  async #killServer(): Promise<void> {
    this.#kills.server++;
    const launched = this.#server.end("SIGKILL").then(() => this.#server.launch());
    this.#up = launched;
    await launched;
  }

  /** Kills some of the clients that are there, and one at least. */
  #killClients(): void {
    const { running } = this.#commands;
    const first = this.#random.pick(running);
    for (const client of running) {
      const isHit = client === first || this.#random.next() < CLIENTS_SHARE;
      if (isHit && this.#commands.kill(client)) this.#kills.clients++;
    }
  }
}
