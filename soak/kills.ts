/** Storms until so many processes were killed, some beside each other. */
import { type Damage, describeDamage, runStorm } from "./storm/storm.ts";
import { Random } from "./storm/random.ts";
import { runQueue } from "../tools/test/lanes.ts";

/** A storm has a server of its own, whose jobs are accounted for at its end. */
const KILLS_A_STORM = 100;

/**
 * Kills servers and clients, and cuts their connections, until the number is reached.
 *
 * @param storms How many storms are beside each other: one mostly waits.
 * @param report Says how far it has come, after each storm.
 * @throws {Error} Something was lost, doubled or told falsely; the message has the storm's seed.
 */
export async function soakKills(
  { kills, storms, seed }: { kills: number; storms: number; seed: number },
  report: (line: string) => void,
): Promise<Damage> {
  const total = { ...NOTHING };
  const beganMs = performance.now();
  let failure: unknown;
  await runQueue(planStorms(kills, seed), storms, async (storm) => {
    if (failure !== undefined) return;
    const damage = await runStorm(storm).catch((error) => void (failure ??= error));
    if (damage === undefined) return;
    for (const name of Object.keys(total) as (keyof Damage)[]) total[name] += damage[name];
    const minutes = (performance.now() - beganMs) / 60_000;
    const done = total.serverKills + total.clientKills;
    const leftMinutes = minutes / done * (kills - done);
    report(
      `${done} of ${kills} kills, ${Math.round(done / minutes)} a minute, ` +
        `${Math.ceil(leftMinutes)} minutes left; seed ${storm.seed}: ${describeDamage(damage)}`,
    );
  });
  // The storms beside it have ended, with their servers.
  if (failure !== undefined) throw failure;
  return total;
}

const NOTHING: { -readonly [Name in keyof Damage]: Damage[Name] } = {
  serverKills: 0,
  clientKills: 0,
  cuts: 0,
  jobs: 0,
  stopped: 0,
  unanswered: 0,
  followedBytes: 0,
};

/** The storms that come to so many kills, each with a seed that brings it back alone. Pure. */
export function planStorms(kills: number, seed: number): { kills: number; seed: number }[] {
  const random = new Random(seed);
  const storms: { kills: number; seed: number }[] = [];
  for (let left = kills; left > 0; left -= KILLS_A_STORM) {
    const storm = storms.length === 0 ? seed : Math.floor(random.next() * 2 ** 32);
    storms.push({ kills: Math.min(left, KILLS_A_STORM), seed: storm });
  }
  return storms;
}
