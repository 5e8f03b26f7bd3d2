/** Clients in this process that start and stop jobs, whatever happens to the server and the path. */
import { status } from "@grpc/grpc-js";
import { strict as assert } from "node:assert";
import type { TestClient } from "../../tests/support/client.ts";
import type { Job, Ledger } from "./ledger.ts";
import type { Watch } from "./watch.ts";

/** Starts that are under way at the same time. */
const CALLERS = 4;

/** Jobs that run until they are stopped; so many run at least. */
const RUNNING_LONG = 3;

/** What callers need of the storm. */
export interface Surroundings {
  /** Whether it is time to end. */
  readonly isOver: boolean;
  readonly watch: Watch;
  /** Resolves when the server is there. */
  up(): Promise<void>;
  /** A new connection. */
  connect(): TestClient;
}

/** Callers that share a connection, and try again by the same key when an answer is lost. */
export class Callers {
  readonly #surroundings: Surroundings;
  readonly #ledger: Ledger;
  readonly #runningLong: string[] = [];
  #client: TestClient;

  constructor(surroundings: Surroundings, ledger: Ledger) {
    this.#surroundings = surroundings;
    this.#ledger = ledger;
    this.#client = surroundings.connect();
  }

  /** Starts and stops until the storm is over. */
  async run(): Promise<void> {
    await Promise.all(Array.from({ length: CALLERS }, async () => {
      while (!this.#surroundings.isOver) await this.#work();
    }));
  }

  /** Gets an answer to every start, and ends what still runs. */
  async settle(): Promise<void> {
    const { watch } = this.#surroundings;
    for (const job of [...this.#ledger.pending.values()]) {
      await watch.inTime(`an answer to the start of ${job.key}`, this.#startUntilAnswered(job));
    }
    await watch.inTime("an answer to all stops", this.#stopAll());
    this.#client.raw.close();
  }

  async #work(): Promise<void> {
    const [retried] = this.#ledger.pending.values();
    if (retried !== undefined) this.#ledger.pending.delete(retried.key);
    await this.#start(retried ?? this.#ledger.newJob({ mayRunLong: true }));
    if (this.#runningLong.length <= RUNNING_LONG || this.#surroundings.isOver) return;
    await this.#stop(this.#runningLong.shift() ?? "");
  }

  async #startUntilAnswered(job: Job): Promise<void> {
    while (this.#ledger.pending.has(job.key)) await this.#start(job);
  }

  async #stopAll(): Promise<void> {
    while (this.#runningLong.length > 0) await this.#stop(this.#runningLong.shift() ?? "");
  }

  async #start(job: Job): Promise<void> {
    const client = this.#client;
    try {
      const starting = client.startWith(this.#ledger.request(job));
      const id = await this.#surroundings.watch.inTime(`the start of ${job.key}`, starting);
      this.#ledger.accept(id, job);
      if (job.runsLong) this.#runningLong.push(id);
    } catch (error) {
      this.#ledger.pending.set(job.key, job);
      await this.#lost(client, error);
    }
  }

  async #stop(id: string): Promise<void> {
    const client = this.#client;
    if (this.#ledger.stopped.has(id)) this.#ledger.stoppedAgain.add(id);
    this.#ledger.stopped.add(id);
    try {
      await this.#surroundings.watch.inTime(`the stop of job ${id}`, client.stop(id));
    } catch (error) {
      // Of a stop whose answer was lost.
      if ((error as { code?: number }).code === status.FAILED_PRECONDITION) return;
      this.#runningLong.push(id);
      await this.#lost(client, error);
    }
  }

  /** Notes a call without an answer, and connects anew: the library would wait for long. */
  async #lost(client: TestClient, error: unknown): Promise<void> {
    const { code, details = "" } = error as { code?: number; details?: string };
    if (code === undefined) throw error;
    // grpc-js says INTERNAL when the connection breaks while it writes.
    const isBroken = code === status.INTERNAL && /RST_STREAM.*(EPIPE|ECONNRESET)/.test(details);
    // Another caller has closed the connection.
    const isClosed = code === status.CANCELLED && client !== this.#client;
    assert(code === status.UNAVAILABLE || isBroken || isClosed, `status ${code}: ${details}`);
    this.#ledger.unanswered++;
    await this.#surroundings.up();
    if (client !== this.#client) return;
    client.raw.close();
    this.#client = this.#surroundings.connect();
  }
}
