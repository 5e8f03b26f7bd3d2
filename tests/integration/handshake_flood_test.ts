/** Handshakes that are begun and never completed: callers are answered meanwhile, also new ones. */
// Attacks: the handshakes of others.
import { strict as assert } from "node:assert";
import { type TestClient } from "../support/client.ts";
import { latenciesMs, median } from "../support/flood.ts";
import { TestServer } from "../support/server.ts";

const PER_SECOND = 100;
const FLOOD_MS = 4000;

/** What an honest caller may wait meanwhile. */
const MAX_MEDIAN_MS = 500;

/** Where the random bytes of a ClientHello are (RFC 8446, 4.1.2). */
const RANDOM_OFFSET = 11;

/** The first message of a client, as it goes over the wire. */
async function clientHello(): Promise<Uint8Array> {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const client = Deno.connectTls({ hostname: "localhost", port, alpnProtocols: ["h2"] })
    .then((connection) => connection.handshake()).catch(() => {});
  using connection = await listener.accept();
  const buffer = new Uint8Array(4096);
  const length = await connection.read(buffer) ?? 0;
  connection.close();
  await client;
  return buffer.slice(0, length);
}

/** Sends a first message, waits for what comes of it, and goes. @returns Whether it was answered. */
async function begin(port: number, hello: Uint8Array): Promise<boolean> {
  try {
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(hello);
    return (await connection.read(new Uint8Array(1)) ?? 0) > 0;
  } catch {
    return false;
  }
}

/** @returns How many were answered, and how many there were. */
async function flood(
  port: number,
  hello: () => Uint8Array,
  signal: AbortSignal,
): Promise<{ answered: number; count: number }> {
  const begun: Promise<boolean>[] = [];
  const beganMs = performance.now();
  while (!signal.aborted) {
    while (begun.length < (performance.now() - beganMs) / 1000 * PER_SECOND) {
      begun.push(begin(port, hello()));
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const answers = await Promise.all(begun);
  return { answered: answers.filter(Boolean).length, count: begun.length };
}

/** Latencies of calls that each have a connection of their own. */
async function newcomersMs(server: TestServer, job: string, isOver: () => boolean) {
  const latencies: number[] = [];
  while (!isOver()) {
    const client: TestClient = server.client("bob");
    const beganMs = performance.now();
    // The flood comes from the same address: one who is not let in tries again.
    const isAnswered = await client.query(job).then(() => true, () => false);
    if (isAnswered) latencies.push(performance.now() - beganMs);
    client.raw.close();
  }
  return latencies.sort((one, two) => one - two);
}

const hello = await clientHello();

function fresh(): Uint8Array {
  const other = hello.slice();
  crypto.getRandomValues(other.subarray(RANDOM_OFFSET, RANDOM_OFFSET + 32));
  return other;
}

for (
  const [what, next, maxAnswered] of [
    ["replays of one", () => hello, () => 1],
    // Fifty at once and 25 a second; as many again while a slow host waits for the last ones.
    ["ones of their own", fresh, (seconds: number) => (50 + 25 * seconds) * 2],
  ] as const
) {
  Deno.test({
    name: `handshakes: ${PER_SECOND} first messages a second, ${what}, delay nobody's calls`,
    // grpc-js leaves the timers of a closed connection to run out by themselves.
    sanitizeOps: false,
    sanitizeResources: false,
    async fn() {
      await using server = await TestServer.start();
      const alice = server.client();
      const job = await alice.start("sleep", "600");
      const ended = new AbortController();
      const flooding = flood(server.port, next, ended.signal);
      const beganMs = performance.now();
      const isOver = () => performance.now() - beganMs > FLOOD_MS;
      const [open, anew] = await Promise.all([
        latenciesMs(alice, job, isOver),
        newcomersMs(server, job, isOver),
      ]);
      ended.abort();
      const { answered, count } = await flooding;
      console.log(
        `${count} first messages, ${answered} answered; a Query takes ${
          median(open).toFixed(1)
        } ms ` +
          `(median of ${open.length}), on a new connection ${median(anew).toFixed(1)} ms ` +
          `(median of ${anew.length}, the slowest ${anew.at(-1)?.toFixed(0)} ms)`,
      );
      assert(median(open) < MAX_MEDIAN_MS, `${median(open)} ms`);
      assert(answered <= maxAnswered(count / PER_SECOND), `${answered} of ${count} were answered`);
      assert(anew.length > 0, "nobody could connect");
      await alice.stop(job, 0);
    },
  });
}
