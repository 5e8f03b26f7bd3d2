/** Keeps a compiled server under load, and starts it again whenever it hands over. */
import { strict as assert } from "node:assert";
import { join } from "node:path";
import { TestServer } from "../tests/support/server.ts";
import {
  assertCounted,
  callEveryMethod,
  COUNTING,
  readAndVanish,
  reconnect,
  type Work,
} from "../tests/support/load.ts";
import { type Sample, takeSample } from "./sample.ts";

/** EX_TEMPFAIL: the server asks to be started afresh. */
const HAND_OVER_STATUS = 75;

const SAMPLE_INTERVAL_MS = 1000;

/** Output for slow readers: more than any of them reads. */
const LOG_BYTES = 50_000_000;

const CALLERS = 2;
const RECONNECTORS = 2;
const SLOW_READERS = 4;

/** What came of a soak in which no client lost a byte or a call. */
export interface Soak {
  readonly samples: readonly Sample[];
  readonly handOvers: number;
  /** Rounds of calls of every method. */
  readonly rounds: number;
}

/**
 * Runs a soak.
 *
 * @throws {AssertionError} A call failed, a byte was lost, or the server ended otherwise.
 */
export async function soak(
  { durationMs, limitBytes }: { durationMs: number; limitBytes: number },
): Promise<Soak> {
  await using server = await TestServer.start({ flags: ["--memory-limit", `${limitBytes}`] });
  const gate = join(server.folder, "gate");
  const client = server.client();
  const [counting, log] = await Promise.all([
    client.shell(COUNTING, gate),
    client.start("head", "-c", `${LOG_BYTES}`, "/dev/zero"),
  ]);
  const following = server.cli(["stream", "--retry-for", "1m", counting]);
  let queriesMs: number[] = [];
  const work: Work = { isOver: false, onQuery: (elapsedMs) => queriesMs.push(elapsedMs) };
  const calling = Promise.all(times(CALLERS, (index) => callEveryMethod(server, index, work)));
  const loading = [
    ...times(RECONNECTORS, () => reconnect(server, work)),
    ...times(SLOW_READERS, () => readAndVanish(server, log, work)),
  ];
  const samples: Sample[] = [];
  const beginMs = performance.now();
  const sampling = setInterval(async () => {
    const taken = queriesMs;
    const atSeconds = (performance.now() - beginMs) / 1000;
    const sample = await takeSample(server, { atSeconds, queriesMs: taken });
    if (sample === undefined) return;
    samples.push(sample);
    queriesMs = [];
  }, SAMPLE_INTERVAL_MS);
  let handOvers = 0;
  try {
    handOvers = await supervise(server, { calling, durationMs });
  } finally {
    clearInterval(sampling);
    work.isOver = true;
    await Deno.writeTextFile(gate, "");
    await Promise.all(loading);
  }
  const rounds = (await calling).reduce((sum, count) => sum + count, 0);
  const { code, stdout, stderr } = await following;
  assert.equal(code, 0, stderr);
  assertCounted(stdout);
  return { samples, handOvers, rounds };
}

/** Starts the server again until the time is up; a call that fails ends it at once. */
async function supervise(
  server: TestServer,
  { calling, durationMs }: { calling: Promise<unknown>; durationMs: number },
): Promise<number> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeUp = new Promise<undefined>((resolve) => {
    timer = setTimeout(resolve, durationMs);
  });
  try {
    for (let handOvers = 0;; handOvers++) {
      const status = await Promise.race([server.ended(), timeUp, calling.then(() => undefined)]);
      if (status === undefined) return handOvers;
      assert.equal(status.code, HAND_OVER_STATUS, "the server ended otherwise than by a hand-over");
      await server.launch();
    }
  } finally {
    clearTimeout(timer);
  }
}

function times<T>(count: number, make: (index: number) => T): T[] {
  return Array.from({ length: count }, (_, index) => make(index));
}
