import { strict as assert } from "node:assert";
import { Turns } from "../../common/turns.ts";

const NEVER_MS = 1e9;

/** Asks for turns; what has begun so far, in its order. */
function ask(turns: Turns, names: string): { begun: string[]; taken: Promise<Disposable>[] } {
  const begun: string[] = [];
  const taken = [...names].map(async (name) => {
    // A capital letter: a task for somebody else.
    const turn = await turns.take(/[A-Z]/.test(name) ? "other" : "one");
    begun.push(name);
    return turn;
  });
  return { begun, taken };
}

/** Lets everything that can go on do so. */
async function settle(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
}

async function end(turns: readonly Promise<Disposable>[]): Promise<void> {
  for (const turn of turns) (await turn)[Symbol.dispose]();
}

Deno.test("Turns: so many at once, the others in the order of asking", async () => {
  const { begun, taken } = ask(new Turns(2, NEVER_MS), "abcde");
  await settle();
  assert.equal(begun.join(""), "ab");
  (await taken[1])?.[Symbol.dispose]();
  await settle();
  assert.equal(begun.join(""), "abc");
  (await taken[0])?.[Symbol.dispose]();
  (await taken[2])?.[Symbol.dispose]();
  await settle();
  assert.equal(begun.join(""), "abcde");
  await end(taken);
});

Deno.test("Turns: a turn that has ended is free, also after none was waiting, and ends once", async () => {
  const turns = new Turns(1, NEVER_MS);
  for (let time = 0; time < 3; time++) {
    const turn = await turns.take();
    turn[Symbol.dispose]();
    turn[Symbol.dispose]();
  }
  const { begun, taken } = ask(turns, "ab");
  await settle();
  assert.equal(begun.join(""), "a", "an end that is told twice frees one place");
  await end(taken);
});

Deno.test("Turns: a turn whose task takes too long is over, and its end frees no second place", async () => {
  const turns = new Turns(1, 20);
  const stuck = await turns.take();
  const next = await turns.take();
  stuck[Symbol.dispose]();
  const { begun, taken } = ask(turns, "a");
  await settle();
  assert.deepEqual(begun, [], "the place is the next one's by now");
  next[Symbol.dispose]();
  await end(taken);
});

Deno.test("Turns: the lines of several have their turns one after the other", async () => {
  const { begun, taken } = ask(new Turns(1, NEVER_MS), "abcdAB");
  await settle();
  for (const turn of [0, 1, 4, 2, 5, 3]) {
    (await taken[turn])?.[Symbol.dispose]();
    await settle();
  }
  assert.equal(begun.join(""), "abAcBd");
});

Deno.test("Turns: one has no more turns than its own bound, while others have theirs", async () => {
  const { begun, taken } = ask(new Turns(3, NEVER_MS, 2), "abcAB");
  await settle();
  assert.equal(begun.join(""), "abA");
  (await taken[3])?.[Symbol.dispose]();
  await settle();
  assert.equal(begun.join(""), "abAB", "two are taken by the first");
  (await taken[1])?.[Symbol.dispose]();
  await settle();
  assert.equal(begun.join(""), "abABc");
  await end(taken);
});

Deno.test("Turns: who stops waiting gets no turn, and takes none from the others", async () => {
  const turns = new Turns(1, NEVER_MS);
  const first = await turns.take("one");
  const gone = new AbortController();
  const leaving = turns.take("one", gone.signal);
  const next = turns.take("one");
  gone.abort(new Error("gone"));
  await assert.rejects(leaving, /gone/);
  first[Symbol.dispose]();
  (await next)[Symbol.dispose]();
  await assert.rejects(turns.take("one", gone.signal), /gone/);
});
