/** The watch over a listening socket, with a fake socket and time that the test moves. */
import { strict as assert } from "node:assert";
import { AcceptWatch, type ListeningSocket } from "../../lib/grpc/accepting.ts";
import { CapturedLog } from "../support/captured_log.ts";
import { FakeTime } from "../support/fake_time.ts";

const ENETUNREACH = 101;
const EMFILE = 24;

type Take = Parameters<ListeningSocket["intercept"]>[0];

/** A listening socket that accepts what arrives unless the test says otherwise. */
class FakeListeningSocket implements ListeningSocket {
  /** What a connect ends with that is bound to fail. */
  error: number | undefined = ENETUNREACH;
  /** Whether the server's own connection is accepted. */
  isDeaf = false;
  /** Given instead of a connection. */
  ownError: number | undefined;
  acceptCount = 0;
  ownCount = 0;
  openCount = 0;
  #take: Take = () => false;

  acceptAgain(): Promise<number | undefined> {
    this.acceptCount++;
    return Promise.resolve(this.error);
  }

  connectToItself() {
    if (this.ownError !== undefined) return this.ownError;
    const port = 5000 + this.ownCount++;
    this.openCount++;
    let isOpen = true;
    return {
      port,
      open: () => {
        if (!this.isDeaf) this.arrive(port);
        return Promise.resolve(0);
      },
      [Symbol.dispose]: () => {
        if (isOpen) this.openCount--;
        isOpen = false;
      },
    };
  }

  intercept(take: Take): void {
    this.#take = take;
  }

  /** A connection arrives. */
  arrive(remotePort: number): { isTaken: boolean; isDestroyed: boolean } {
    let isDestroyed = false;
    const isTaken = this.#take({ remotePort, destroy: () => void (isDestroyed = true) } as never);
    return { isTaken, isDestroyed };
  }
}

function place() {
  const time = new FakeTime();
  const log = new CapturedLog();
  const socket = new FakeListeningSocket();
  const changes: boolean[] = [];
  const watch = new AcceptWatch(socket, () => void changes.push(watch.isAccepting));
  return {
    time,
    log,
    socket,
    changes,
    watch,
    [Symbol.dispose]() {
      watch[Symbol.dispose]();
      log[Symbol.dispose]();
      time[Symbol.dispose]();
    },
  };
}

Deno.test("AcceptWatch: the runtime is told to accept ten times a second, until the end", async () => {
  using scene = place();
  const { time, socket, watch } = scene;
  await time.advance(1000);
  assert.equal(socket.acceptCount, 10);
  watch[Symbol.dispose]();
  await time.advance(1000);
  assert.equal(socket.acceptCount, 10);
  assert.equal(time.pendingCount, 0);
});

Deno.test("AcceptWatch: an idle server connects to itself every ten seconds, and keeps it to itself", async () => {
  using scene = place();
  const { time, socket, changes, log } = scene;
  await time.advance(9_900);
  assert.equal(socket.ownCount, 0);
  await time.advance(100);
  assert.equal(socket.ownCount, 1);
  assert.equal(socket.openCount, 0, "it is closed when it was seen");
  await time.advance(30_000);
  assert.equal(socket.ownCount, 4);
  assert.deepEqual([changes, log.entries], [[], []]);
});

Deno.test("AcceptWatch: somebody's connection goes on its way, and tells as much", async () => {
  using scene = place();
  const { time, socket } = scene;
  for (let second = 0; second < 60; second += 5) {
    await time.advance(5000);
    assert.deepEqual(socket.arrive(40_000), { isTaken: false, isDestroyed: false });
  }
  assert.equal(socket.ownCount, 0);
});

Deno.test("AcceptWatch: the server's own connection is taken, and no other", async () => {
  using scene = place();
  const { time, socket } = scene;
  socket.isDeaf = true;
  await time.advance(10_000);
  assert.equal(socket.ownCount, 1);
  assert.deepEqual(socket.arrive(5001), { isTaken: false, isDestroyed: false });
  assert.deepEqual(socket.arrive(5000), { isTaken: true, isDestroyed: true });
  assert.deepEqual(socket.arrive(5000), { isTaken: false, isDestroyed: false });
});

Deno.test("AcceptWatch: where its own connection does not arrive in a second, it does not accept", async () => {
  using scene = place();
  const { time, socket, changes, log, watch } = scene;
  socket.isDeaf = true;
  await time.advance(10_900);
  assert.deepEqual(changes, []);
  await time.advance(100);
  assert.deepEqual(changes, [false]);
  assert.equal(watch.isAccepting, false);
  assert.equal(socket.openCount, 0);
  assert.deepEqual(log.messages(), ["connections cannot be accepted"]);
  assert.match(String(log.entries[0]?.["problem"]), /connect to its own address: look for/);
  // It tries on, one connection at a time.
  await time.advance(5000);
  assert.equal(socket.openCount, 1);
  socket.isDeaf = false;
  await time.advance(1200);
  assert.deepEqual(changes, [false, true]);
  assert.deepEqual(log.messages(), [
    "connections cannot be accepted",
    "connections are accepted again",
  ]);
});

Deno.test("AcceptWatch: without a descriptor it does not accept, and says what to do", async () => {
  using scene = place();
  const { time, socket, changes, log, watch } = scene;
  socket.error = EMFILE;
  await time.advance(100);
  assert.deepEqual([changes, watch.isAccepting], [[false], false]);
  assert.match(String(log.entries[0]?.["problem"]), /raise its limit \(LimitNOFILE= in its unit\)/);
  assert.equal(log.entries[0]?.level, "error");
  await time.advance(9_900);
  assert.equal(log.entries.length, 1);
  await time.advance(200);
  assert.equal(log.entries.length, 2, "one line in ten seconds");
  socket.error = ENETUNREACH;
  await time.advance(300);
  assert.deepEqual(changes, [false, true]);
  assert.equal(log.messages().at(-1), "connections are accepted again");
});

Deno.test("AcceptWatch: every error that accept would have as well is a failure", async () => {
  for (const error of [12, 23, 24, 105]) {
    using scene = place();
    scene.socket.error = error;
    await scene.time.advance(100);
    assert.deepEqual(scene.changes, [false], String(error));
  }
});

Deno.test("AcceptWatch: where no connection of its own can be made, it does not accept", async () => {
  using scene = place();
  scene.socket.ownError = 99;
  await scene.time.advance(10_100);
  assert.deepEqual(scene.changes, [false]);
});

Deno.test("AcceptWatch: a closed server is no failure", async () => {
  using scene = place();
  scene.socket.error = undefined;
  await scene.time.advance(60_000);
  assert.deepEqual([scene.changes, scene.log.entries], [[], []]);
  assert.equal(scene.socket.ownCount, 0);
});

Deno.test("AcceptWatch: failures that come and go do not fill the log", async () => {
  using scene = place();
  const { time, socket, log, changes } = scene;
  for (let count = 0; count < 20; count++) {
    socket.error = EMFILE;
    await time.advance(100);
    socket.error = ENETUNREACH;
    await time.advance(100);
  }
  assert.equal(changes.length, 40);
  assert.deepEqual(log.messages(), [
    "connections cannot be accepted",
    "connections are accepted again",
  ]);
});
