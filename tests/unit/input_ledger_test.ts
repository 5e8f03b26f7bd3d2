/** What of an input is held, and how much more may come. */
import { strict as assert } from "node:assert";
import {
  Ledger,
  MAX_AHEAD_BYTES,
  MAX_SEGMENT_WRITES,
  MAX_SEGMENTS,
  MAX_UNHELD_BYTES,
  SEGMENT_BYTES,
} from "../../lib/input/ledger.ts";

const FRESH = { segments: [{ begin: 0, bytes: 0 }], end: undefined };

/** Writes so many bytes, each time as many as there is room for, until there is none. */
function write(ledger: Ledger, bytes: number): number {
  let left = bytes;
  for (let place = ledger.place(); left > 0 && place !== undefined; place = ledger.place()) {
    if (place.isNew) ledger.made(place.begin);
    const length = Math.min(left, place.room);
    ledger.wrote(length);
    left -= length;
  }
  return bytes - left;
}

Deno.test("Ledger: a part of what may come is allowed at once, the rest as that is held", () => {
  const ledger = new Ledger(FRESH);
  assert.deepEqual([ledger.heldBytes, ledger.allowedBytes], [0, MAX_UNHELD_BYTES]);
  write(ledger, 1000);
  assert.equal(ledger.allowedBytes, 1000 + MAX_UNHELD_BYTES);
});

Deno.test("Ledger: what found no room on the disk leaves a segment that is whole, unless it is empty", () => {
  const ledger = new Ledger(FRESH);
  ledger.close();
  assert.deepEqual(ledger.place(), { begin: 0, isNew: false, room: SEGMENT_BYTES });
  write(ledger, 100);
  ledger.close();
  assert.deepEqual(ledger.place(), { begin: 100, isNew: true, room: SEGMENT_BYTES });
  ledger.made(100);
  assert.equal(ledger.oldestWhole, 0);
});

Deno.test("Ledger: as much may come beyond what the job has read as there is room for, whatever it reads", () => {
  const ledger = new Ledger(FRESH);
  assert.equal(write(ledger, MAX_AHEAD_BYTES), MAX_AHEAD_BYTES);
  assert.deepEqual([ledger.heldBytes, ledger.allowedBytes], [MAX_AHEAD_BYTES, MAX_AHEAD_BYTES]);
  assert.equal(ledger.oldestWhole, 0);
  ledger.fed();
  assert.equal(ledger.allowedBytes, MAX_AHEAD_BYTES + SEGMENT_BYTES);
});

Deno.test("Ledger: the last segment is never taken for one that is fed", () => {
  const ledger = new Ledger(FRESH);
  write(ledger, SEGMENT_BYTES);
  assert.equal(ledger.oldestWhole, undefined);
  write(ledger, 1);
  assert.equal(ledger.oldestWhole, 0);
});

Deno.test("Ledger: however small the pieces, what waits in the bell has room there", () => {
  const ledger = new Ledger(FRESH);
  let writes = 0;
  while (write(ledger, 1) === 1) writes++;
  assert.equal(writes, MAX_SEGMENT_WRITES * MAX_SEGMENTS);
  // A pipe of Linux has 64 KiB; one byte more is rung by the job itself, one by each server, one at the end.
  assert(writes < 60_000, String(writes));
  ledger.fed();
  assert.equal(write(ledger, 1), 1);
});

Deno.test("Ledger: what an earlier server has left is counted, and its last segment is not written to again", () => {
  const left = [
    { begin: 0, bytes: 0 },
    { begin: 10, bytes: 0 },
    { begin: 20, bytes: 30 },
    { begin: 50, bytes: 7 },
  ];
  const ledger = new Ledger({ segments: left, end: undefined });
  assert.deepEqual([ledger.heldBytes, ledger.oldestWhole], [57, 20]);
  assert.equal(ledger.allowedBytes, 57 + MAX_UNHELD_BYTES);
  assert.deepEqual(ledger.place(), { begin: 57, isNew: true, room: SEGMENT_BYTES });
  // Killed right after it had made one.
  const made = new Ledger({ segments: [...left, { begin: 57, bytes: 0 }], end: undefined });
  assert.deepEqual([made.heldBytes, made.oldestWhole], [57, 20]);
  assert.deepEqual(made.place(), { begin: 57, isNew: false, room: SEGMENT_BYTES });
});

Deno.test("Ledger: many servers that are killed one after the other leave no more segments than one", () => {
  const segments = Array.from({ length: MAX_SEGMENTS }, (_, begin) => ({ begin, bytes: 1 }));
  assert.equal(new Ledger({ segments, end: undefined }).place(), undefined);
});

Deno.test("Ledger: after its end an input takes nothing, also when the files were freed", () => {
  const ledger = new Ledger(FRESH);
  write(ledger, 5);
  ledger.end();
  assert.deepEqual([ledger.isEnded, ledger.heldBytes, ledger.allowedBytes], [true, 5, 5]);
  const freed = new Ledger({ segments: [], end: 5 });
  assert.deepEqual([freed.isEnded, freed.heldBytes, freed.allowedBytes], [true, 5, 5]);
});
