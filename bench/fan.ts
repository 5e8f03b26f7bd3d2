import { join } from "node:path";
import { MAX_WINDOW_BYTES, RawConnection } from "../tests/support/raw_reader.ts";
import type { TestServer } from "../tests/support/server.ts";
import type { Benchmark } from "./benchmark.ts";
import { alternate, elapsedMs } from "./measure.ts";
import type { SshHost } from "./ssh_host.ts";

const RUNS = 5;
const CONNECTIONS = 8;
const FOLLOWERS_OF_EACH = 25;
const FOLLOWERS = CONNECTIONS * FOLLOWERS_OF_EACH;
const LOG_MIB = 4;

/** What the job writes when it may. */
const LOG_BYTES = LOG_MIB * 1024 ** 2;

/** Who has this follows. */
const FIRST_LINE = "followed\n";

/** Writes that line, and the rest when a file is there. */
const WRITER = `printf '${
  FIRST_LINE.replace("\n", "\\n")
}'; until [ -e "$1" ]; do sleep 0.01; done; head -c "$2" /dev/zero`;

/** One job and very many readers. */
export const fan: Benchmark = {
  name: "fan",
  measures:
    `${FOLLOWERS} followers on ${CONNECTIONS} connections of one job that writes ${LOG_MIB} ` +
    "MiB, from its first byte to the last follower's last, against `ssh host tail -f` of the same " +
    "file over as many connections. The program that reads takes its share of the same cores.",

  async run(world) {
    const ssh = await world.ssh();
    await using server = await world.server();
    const { ours, theirs } = await alternate(world.runs(RUNS), {
      ours: () => ofServer(server),
      theirs: () => overSsh(server, ssh),
    });
    return [{
      what: `${FOLLOWERS} followers of a job that writes ${LOG_MIB} MiB`,
      unit: "ms",
      ours,
      alternative: { name: "`ssh host tail -f`, multiplexed", values: theirs },
      target: { text: "no slower", isMet: (mine, other) => mine <= other },
    }];
  },
};

/** Milliseconds until all that follow the server's streams have all. */
async function ofServer(server: TestServer): Promise<number> {
  await using job = await GatedJob.start(server);
  using stack = new DisposableStack();
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const connection = stack.use(await RawConnection.open(server, MAX_WINDOW_BYTES));
      const request = () => connection.stream({ jobID: job.id });
      return await Promise.all(Array.from({ length: FOLLOWERS_OF_EACH }, request));
    }),
  );
  const readUntil = (bytes: number) =>
    Promise.all(connections.map(async (streams) => {
      for (const stream of streams) await stream.readUntil(bytes);
    }));
  await readUntil(FIRST_LINE.length);
  return await elapsedMs(async () => {
    await job.open();
    await readUntil(FIRST_LINE.length + LOG_BYTES);
  });
}

/** The same of those that follow the file by ssh. */
async function overSsh(server: TestServer, ssh: SshHost): Promise<number> {
  await using job = await GatedJob.start(server);
  await using stack = new AsyncDisposableStack();
  const followers: SshFollower[] = [];
  for (let index = 0; index < CONNECTIONS; index++) {
    const connection = stack.use(await ssh.connect());
    for (let each = 0; each < FOLLOWERS_OF_EACH; each++) {
      followers.push(
        stack.use(new SshFollower(connection.args("tail", "-c", "+1", "-f", job.output))),
      );
    }
  }
  const readUntil = (bytes: number) =>
    Promise.all(followers.map((follower) => follower.readUntil(bytes)));
  await readUntil(FIRST_LINE.length);
  return await elapsedMs(async () => {
    await job.open();
    await readUntil(FIRST_LINE.length + LOG_BYTES);
  });
}

/** A job that waits before it writes. */
class GatedJob implements AsyncDisposable {
  readonly id: string;
  readonly #server: TestServer;
  readonly #gate: string;

  private constructor(server: TestServer, id: string, gate: string) {
    this.#server = server;
    this.id = id;
    this.#gate = gate;
  }

  static async start(server: TestServer): Promise<GatedJob> {
    const gate = join(server.folder, crypto.randomUUID());
    const id = await server.client().shell(WRITER, gate, `${LOG_BYTES}`);
    return new GatedJob(server, id, gate);
  }

  /** The file with what it writes. */
  get output(): string {
    return join(this.#server.logDir, "jobs", this.id, "output");
  }

  async open(): Promise<void> {
    await Deno.writeTextFile(this.#gate, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.open();
    await this.#server.client().wait(this.id);
  }
}

/** An ssh that follows a file. */
class SshFollower implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<Uint8Array>;
  #bytes = 0;

  constructor(args: string[]) {
    this.#child = new Deno.Command("ssh", {
      args,
      stdin: "null",
      stdout: "piped",
      stderr: "null",
    }).spawn();
    this.#output = this.#child.stdout.getReader();
  }

  async readUntil(bytes: number): Promise<void> {
    while (this.#bytes < bytes) {
      const { done, value } = await this.#output.read();
      if (done) throw new Error("ssh has ended before it had all");
      this.#bytes += value.length;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGTERM");
    await this.#output.cancel();
    await this.#child.status;
  }
}
