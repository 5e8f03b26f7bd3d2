import assert from "node:assert/strict";
import { toServerTimes } from "../../client/command_line/output_time.ts";
import { parsePastMs } from "../../client/command_line/past_time.ts";
import type { Session } from "../../client/connection/session.ts";
import { LineStamps } from "../../client/screen/line_stamps.ts";

const T1 = Date.parse("2026-05-04T14:30:01.250Z");
const T2 = T1 + 5000;

function marked(pieces: readonly (readonly [text: string, timeMs: number] | "gap")[]): string {
  const stamps = new LineStamps();
  const parts = pieces.map((piece) =>
    piece === "gap" ? stamps.markGap() : stamps.mark(new TextEncoder().encode(piece[0]), piece[1])
  );
  return parts.map((part) => new TextDecoder().decode(part)).join("");
}

Deno.test("LineStamps: one mark a line, with the time of its first byte", () => {
  const [one, two] = ["2026-05-04T14:30:01.250Z", "2026-05-04T14:30:06.250Z"];
  assert.equal(marked([["a\nb\n", T1]]), `${one} a\n${one} b\n`);
  assert.equal(marked([["ab", T1], ["c\nd", T2], ["e", T2]]), `${one} abc\n${two} de`);
  assert.equal(marked([["a", T1], ["", T2], ["\n", T2], ["\n", T2]]), `${one} a\n${two} \n`);
  assert.equal(
    marked([["a", T1], "gap", ["b\n", T2], "gap", ["c", T2]]),
    [
      ...[`${one} a`, `${two} b`, `${two} c`],
    ].join("\n"),
  );
});

Deno.test("parsePastMs: a time as --timestamps prints it", () => {
  assert.equal(parsePastMs("2026-05-04T14:30:01.250Z", 0), T1);
  assert.equal(parsePastMs("2026-05-04T16:30:01.25+02:00", 0), T1);
});

Deno.test("toServerTimes: by the server's clock, which is asked only where it is needed", async () => {
  let calls = 0;
  const session = {
    call: (method: string) => {
      assert.equal(method, "Info");
      calls++;
      return Promise.resolve({ timeMs: T2 });
    },
  } as unknown as Pick<Session, "call">;
  assert.deepEqual(await toServerTimes(session, { timestamps: true }), { timestamps: true });
  assert.equal(calls, 0);
  assert.deepEqual(await toServerTimes(session, { since: "5s", until: "2026-05-04T14:30:06Z" }), {
    sinceMs: T1,
    untilMs: T2 - 250,
    timestamps: false,
  });
});
