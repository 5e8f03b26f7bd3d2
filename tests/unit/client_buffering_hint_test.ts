/** The hint for who waits for output that a program keeps back. */
import { strict as assert } from "node:assert";
import { BufferingHint, bufferingHintOf } from "../../client/screen/buffering_hint.ts";
import { FakeTerminal } from "../support/client_terminal.ts";
import { FakeTime } from "../support/fake_time.ts";

Deno.test("bufferingHintOf: known programs, unless they are told to print at once", () => {
  assert.match(bufferingHintOf(["/usr/bin/python3.11", "x.py"]) ?? "", /PYTHONUNBUFFERED=1/);
  assert.match(bufferingHintOf(["grep", "x"]) ?? "", /--line-buffered/);
  const silent: [string[], string[]?][] = [
    [["make"]],
    [["pythonic"]],
    [["python3", "-u", "x.py"]],
    [["grep", "--line-buffered", "x"]],
    [["python3", "x.py"], ["PYTHONUNBUFFERED=1"]],
    [[]],
  ];
  for (const [words, variables] of silent) {
    assert.equal(bufferingHintOf(words, variables), undefined, words.join(" "));
  }
});

Deno.test("BufferingHint: is told once after ten seconds of silence, to a person alone", async () => {
  using time = new FakeTime();
  const terminal = new FakeTerminal();
  using _script = new BufferingHint(terminal, "for a script");
  terminal.isAttended = true;
  using _nothing = new BufferingHint(terminal, undefined);
  using _told = new BufferingHint(terminal, "told");
  const output = new BufferingHint(terminal, "not told");
  await time.advance(9000);
  assert.deepEqual(terminal.notes, []);
  output[Symbol.dispose]();
  await time.advance(20_000);
  assert.deepEqual(terminal.notes, ["told"]);
});
